"""Tokens that change, in a ``requests`` session: its own ways of preparing and sending."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from typing import Any

import pytest
import requests
from http_servers import CANARY, Seen, answer, serve
from requests.auth import AuthBase
from token_sources import Source, accepts

from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError, HeaderRefusedError, OriginMismatchError
from mcpvault.http import OriginPolicy, RequestsExchange, Timeouts, TokenAuth
from mcpvault.secret import Secret


@pytest.mark.parametrize("options, seconds", [({"timeout": 33}, 33), ({"timeout": (3, 4)}, 77), ({}, 77)])
def test_the_calls_time_is_the_sources(session_of: Any, options: Any, seconds: float) -> None:
    """Waiting for a refresh is part of the call, for the first signature and for the next ones."""
    source = Source()
    with serve(accepts(1)) as server:
        session_of(server.origin, source, timeout=Timeouts(total=77)).post(server.url, **options)

    assert [seconds] * 3 == [deadline.seconds for deadline in source.deadlines]


def test_the_transports_deadline_is_the_sources(session_of: Any) -> None:
    """An exchange passes its caller's deadline on."""
    source = Source()
    mine = Deadline(20)
    with serve(accepts(1)) as server:
        RequestsExchange(session_of(server.origin, source), server.url).send("POST", {}, b"", mine)

    assert [True] * 3 == [deadline is mine for deadline in source.deadlines]


def test_a_prepared_request_holds_no_token(session_of: Any) -> None:
    """It is signed when it is sent, in a copy; the ``Request`` may be used again."""
    source = Source()
    with serve(accepts(1)) as server:
        session = session_of(server.origin, source)
        request = requests.Request("GET", server.url)
        prepared = session.prepare_request(request)
        assert ("Authorization" in prepared.headers, source.asked) == (False, [])

        statuses = [session.send(prepared).status_code, session.send(session.prepare_request(request)).status_code]

        assert [200, 200] == statuses
        assert "Authorization" not in prepared.headers
        assert 3 == len(server.seen)


def test_the_answers_request_is_the_one_that_was_answered(session_of: Any) -> None:
    """``response.request`` carries the token that was accepted; the rejected answer is no redirect of its history."""
    with serve(accepts(1)) as server:
        response = session_of(server.origin, Source()).get(server.url)

        assert f"Bearer {CANARY}-1" == response.request.headers["Authorization"]
        assert [] == response.history


def test_a_callers_own_authentication_comes_first(session_of: Any) -> None:
    """``auth=`` of one call replaces the token of that call."""

    class Own(AuthBase):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            r.headers["Authorization"] = "Own"
            return r

    source = Source()
    with serve(accepts(0)) as server:
        session = session_of(server.origin, source)
        assert 401 == session.get(server.url, auth=Own()).status_code
        assert 200 == session.get(server.url).status_code

        assert ["Own", f"Bearer {CANARY}-0"] == [seen.header("Authorization") for seen in server.seen]
        assert [] == source.rejections


def test_a_token_auth_signs_requests_of_others(session_of: Any) -> None:
    """As a ``requests`` authentication it also works by itself, for its own origin only."""
    source = Source()
    with serve(accepts(0)) as server, serve() as other:
        auth = TokenAuth(OriginPolicy(origin=server.origin), source, {})
        assert 200 == requests.get(server.url, auth=auth, timeout=5).status_code
        with pytest.raises(OriginMismatchError):
            requests.get(other.url, auth=auth, timeout=5)


def test_an_upload_that_cannot_be_read_again_is_not_sent_again(session_of: Any) -> None:
    """The body of a generator is gone: its 401 is handed back."""
    source = Source()
    with serve(accepts(1)) as server:
        assert 401 == session_of(server.origin, source).post(server.url, data=iter([b"x"])).status_code

        assert (1, []) == (len(server.seen), source.rejections)


@pytest.mark.parametrize("name", ["authorization", "DPoP"])
def test_an_entrys_headers_leave_the_tokens_alone(session_of: Any, name: str) -> None:
    """The headers of the entry and of its grant must not contend."""
    with pytest.raises(ConfigurationError, match=r"headers\.(Authorization|DPoP): set by the entry's auth"):
        session_of("http://127.0.0.1:1", Source(), {name: "x"})
    with pytest.raises(HeaderRefusedError):
        session_of("http://127.0.0.1:1", Source(), {"Host": "x"})


def test_threads_do_not_mix_their_tokens_up(session_of: Any) -> None:
    """Each request is rejected with the token that it carried, whatever other threads have got since."""
    together = threading.Barrier(4)
    problems: list[object] = []

    class Each(Source):
        def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
            return {"Authorization": Secret(f"Bearer {url.rpartition('/')[2]}")}

        def rejected(
            self, sent: Mapping[str, Secret], status: int, headers: Mapping[str, str], deadline: Deadline
        ) -> bool:
            if sent["Authorization"].reveal() != headers["X-Saw"]:
                problems.append(headers["X-Saw"])
            return False

    def handle(connection: socket.socket, seen: Seen) -> None:
        together.wait(20)
        answer(connection, b"", "401 No", (f"X-Saw: {seen.header('Authorization')}",))

    with serve(handle) as server:
        session = session_of(server.origin, Each())
        threads = [threading.Thread(target=session.get, args=(f"{server.origin}/token-{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

        assert 4 == len(server.seen)
    assert [] == problems
