"""Tokens that change: signed when sent, and again when the server says that it did nothing."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import pytest
from http_servers import CANARY, Seen, answer, serve
from test_http_secrecy import assert_clean
from token_sources import Source, accepts, both

from mcpvault.deadline import Deadline
from mcpvault.errors import AuthorizationRequiredError, OriginMismatchError
from mcpvault.secret import Secret


class Without(Source):
    """There is no token."""

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Say why there is none."""
        raise AuthorizationRequiredError("x: nobody is logged in", login_command="mcpvault login x")


class Spent(Source):
    """There was a token, and there is no other."""

    def rejected(self, sent: Mapping[str, Secret], status: int, headers: Mapping[str, str], deadline: Deadline) -> bool:
        """Say that it is over."""
        raise AuthorizationRequiredError("x: the grant is over", login_command="mcpvault login x")


@both
def test_each_request_is_signed_for_itself(session_of: Any, post: Any) -> None:
    """The source is told method and URL, for a proof of possession; the entry's headers go along, no URL changes."""
    source = Source(gives_up=True)
    with serve() as server:
        session = session_of(server.origin, source, {"X-Version": "1"})

        assert [200, 200] == [post(session, server.url), post(session, f"{server.origin}/other?q=1")]

        assert [("POST", server.url), ("POST", f"{server.origin}/other?q=1")] == source.asked
        assert [f"Bearer {CANARY}-0"] * 2 == [seen.header("Authorization") for seen in server.seen]
        assert ["1", "1"] == [seen.header("X-Version") for seen in server.seen]
        assert ["/mcp", "/other?q=1"] == [seen.target for seen in server.seen]


@both
@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_rejected_token_is_replaced_and_the_request_sent_again(session_of: Any, post: Any, status: str) -> None:
    """401 and 403 mean that nothing was done: the same body goes out with the next token, on the same connection."""
    source = Source()
    with serve(accepts(1, status)) as server:
        assert 200 == post(session_of(server.origin, source), server.url)

        assert [f"Bearer {CANARY}-0", f"Bearer {CANARY}-1"] == [seen.header("Authorization") for seen in server.seen]
        assert [b"body", b"body"] == [seen.body for seen in server.seen]
        assert ["4", "4"] == [seen.header("Content-Length") for seen in server.seen]
        assert 1 == server.connections
        assert [(int(status[:3]), 'Bearer error="invalid_token"')] == [r[1:] for r in source.rejections]


@both
def test_the_source_learns_which_token_was_rejected(session_of: Any, post: Any) -> None:
    """It gets back the very object that it gave: meanwhile another thread may have replaced the token."""
    source = Source()
    with serve(accepts(2)) as server:
        assert 200 == post(session_of(server.origin, source), server.url)

    assert [True, True] == [r[0] is given for r, given in zip(source.rejections, source.given, strict=False)]


@both
def test_a_request_is_sent_three_times_at_most(session_of: Any, post: Any) -> None:
    """A server that never accepts is asked again twice, once for a nonce and once for a token; then its 401 stands."""
    source = Source()
    with serve(accepts(99)) as server:
        assert 401 == post(session_of(server.origin, source), server.url)

        assert 3 == len(server.seen)


@both
def test_what_the_source_lets_stand_is_handed_back(session_of: Any, post: Any) -> None:
    """Insufficient scope, for one, is not mended by another token."""
    with serve(accepts(1, "403 Forbidden")) as server:
        assert 403 == post(session_of(server.origin, Source(gives_up=True)), server.url)

        assert 1 == len(server.seen)


@both
@pytest.mark.parametrize("status", ["400 Bad", "404 Not Found", "500 Broken", "503 Busy"])
def test_other_statuses_are_none_of_its_business(session_of: Any, post: Any, status: str) -> None:
    """Only 401 and 403 say something about the token."""
    source = Source()
    with serve(lambda c, _: answer(c, b"", status)) as server:
        assert int(status[:3]) == post(session_of(server.origin, source), server.url)

        assert (1, []) == (len(server.seen), source.rejections)


@both
def test_without_a_token_nothing_is_sent(session_of: Any, post: Any) -> None:
    """The source's error ends the request before it leaves; it holds nothing secret."""
    with serve() as server:
        with pytest.raises(AuthorizationRequiredError, match="nobody is logged in") as caught:
            post(session_of(server.origin, Without()), server.url)

        assert [] == server.seen
        assert_clean(caught.value)


@both
def test_the_sources_error_replaces_the_rejection(session_of: Any, post: Any) -> None:
    """When the grant turns out to be over, the caller is told that, and not 401; no frame holds the token."""
    with serve(accepts(99)) as server:
        session = session_of(server.origin, Spent())
        for _ in range(2):
            with pytest.raises(AuthorizationRequiredError, match="the grant is over") as caught:
                post(session, server.url)
            assert_clean(caught.value)

        assert 1 == server.connections


@both
def test_every_nonce_is_seen(session_of: Any, post: Any) -> None:
    """A ``DPoP-Nonce`` may come with any answer (RFC 9449 §8.2), the last rejection included."""
    source = Source()
    counter = iter(range(10))

    def handle(connection: socket.socket, seen: Seen) -> None:
        status = "200 OK" if seen.target == "/fine" else "401 Unauthorized"
        answer(connection, b"", status, (f"dpop-nonce: n{next(counter)}",))

    with serve(handle) as server:
        session = session_of(server.origin, source)
        assert [200, 401] == [post(session, f"{server.origin}/fine"), post(session, server.url)]

    assert ["n0", "n1", "n2", "n3"] == source.nonces


@both
def test_another_origin_gets_no_token(session_of: Any, post: Any) -> None:
    """The origin is checked before the source is asked."""
    source = Source()
    with serve() as other, serve() as server:
        session = session_of(server.origin, source)
        with pytest.raises(OriginMismatchError):
            post(session, other.url)

        assert ([], []) == (other.seen, source.asked)


@both
def test_a_redirect_is_signed_for_its_own_url(session_of: Any, post: Any) -> None:
    """Within the origin the next URL gets headers of its own; a proof names its URL."""
    source = Source()

    def handle(connection: socket.socket, seen: Seen) -> None:
        if seen.target == "/mcp":
            answer(connection, b"", "307 Temporary Redirect", ("Location: /new",))
        else:
            accepts(1)(connection, seen)

    with serve(handle) as server:
        assert 200 == post(session_of(server.origin, source), server.url)

        new = f"{server.origin}/new"
        assert [("POST", server.url), ("POST", new), ("POST", new)] == source.asked
        assert ["/mcp", "/new", "/new"] == [seen.target for seen in server.seen]


@both
def test_a_signature_replaces_the_one_before(session_of: Any, post: Any) -> None:
    """When the next token needs no proof, the old proof does not go with it; without a token there is no header."""

    class Changing(Source):
        def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
            kinds = [{"Authorization": "DPoP a", "DPoP": "p"}, {"Authorization": "Bearer b"}, {}]
            return {name: Secret(value) for name, value in kinds[self.number].items()}

    with serve(accepts(99)) as server:
        assert 401 == post(session_of(server.origin, Changing()), server.url)

        assert [("DPoP a", "p"), ("Bearer b", None), (None, None)] == [
            (seen.header("Authorization"), seen.header("DPoP")) for seen in server.seen
        ]
