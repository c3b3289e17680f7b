"""Tokens that change, at each try and each redirect of one request: when they are signed, and in which time."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import requests
from http_servers import CANARY, Seen, answer, serve
from test_http_secrecy import assert_clean
from token_sources import Source, both

from mcpvault.deadline import Deadline
from mcpvault.errors import BusyError
from mcpvault.http import GuardedSession, OriginPolicy, RequestsExchange, Timeouts, new_session
from mcpvault.secret import Secret


class Counting(Source):
    """A new token for each signature, as a proof of possession is new each time."""

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Give the next token."""
        self.number += 1
        return super().headers(method, url, deadline)


class Once(Source):
    """A token for the first request, and none for what follows."""

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Give the token, then say that it is being replaced."""
        if self.asked:
            raise BusyError("x: its tokens are being refreshed by another process")
        return super().headers(method, url, deadline)


def get(session: GuardedSession, url: str) -> int:
    """Get over the session and return the status."""
    return session.get(url).status_code


def safe_post(session: GuardedSession, url: str) -> int:
    """Post what may be repeated through an exchange and return the status."""
    return RequestsExchange(session, url).send("POST", {}, b"{}", Deadline(20), safe=True).status


def prepared(session: GuardedSession, url: str) -> int:
    """Send a request that was prepared elsewhere and return the status."""
    return session.send(requests.Request("POST", url, data=b"x").prepare()).status_code


def _redirecting(connection: socket.socket, seen: Seen) -> None:
    if seen.target == "/mcp":
        answer(connection, b"", "307 Temporary Redirect", ("Location: /new",))
    else:
        answer(connection)


@pytest.mark.parametrize("ask", [get, safe_post])
@pytest.mark.parametrize("fault", ["busy", "lost"])
def test_each_try_is_signed_for_itself(session_of: Any, ask: Callable[..., int], fault: str) -> None:
    """A proof may be used once (RFC 9449 §11.1): after a 503 or a lost connection the request goes out with another."""
    faults = [1, 2]

    def handle(connection: socket.socket, seen: Seen) -> None:
        if not faults:
            answer(connection)
        elif faults.pop() and fault == "busy":
            answer(connection, b"", "503 Busy", ("Retry-After: 0",))
        else:
            connection.close()

    source = Counting()
    with serve(handle) as server:
        assert 200 == ask(session_of(server.origin, source, retries=2), server.url)

        assert [f"Bearer {CANARY}-{n}" for n in (1, 2, 3)] == [seen.header("Authorization") for seen in server.seen]


@pytest.mark.parametrize("ask", [get, safe_post])
def test_a_request_is_signed_when_its_turn_has_come(ask: Callable[..., int]) -> None:
    """What waits for a rate limit waits unsigned: a proof is good for a minute or so, a turn may be an hour away."""
    source = Source()
    signed: list[int] = []

    def pace(deadline: Deadline) -> None:
        signed.append(len(source.asked))

    with serve() as server, new_session(OriginPolicy(origin=server.origin), tokens=source, pace=pace) as session:
        assert [200, 200] == [ask(session, server.url), ask(session, server.url)]

    assert [0, 1] == signed


def test_a_redirect_is_signed_in_the_calls_time(session_of: Any) -> None:
    """The time of a call is not begun anew where it is redirected: its token may have to be waited for."""
    source = Source()
    mine = Deadline(20)
    with serve(_redirecting) as server:
        session = session_of(server.origin, source, timeout=Timeouts(total=77))
        assert 200 == session.post(server.url, timeout=33).status_code
        assert 200 == RequestsExchange(session, server.url).send("POST", {}, b"", mine).status

    assert [33, 33, 20, 20] == [deadline.seconds for deadline in source.deadlines]
    assert source.deadlines[-1] is mine


@both
def test_a_redirect_that_cannot_be_signed_shows_no_token(session_of: Any, post: Any) -> None:
    """The source's error ends the call; no frame of it holds the token that the first request carried."""
    with serve(_redirecting) as server:
        with pytest.raises(BusyError) as caught:
            post(session_of(server.origin, Once()), server.url)
        assert_clean(caught.value)
        with pytest.raises(BusyError) as caught:
            prepared(session_of(server.origin, Once()), server.url)
        assert_clean(caught.value)

        assert ["/mcp", "/mcp"] == [seen.target for seen in server.seen]
