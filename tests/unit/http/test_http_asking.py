"""Carrying out what flows ask: which hosts may be asked, what is followed, how much is read."""

from __future__ import annotations

import gzip
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest
from asks import get, post
from http_servers import CANARY, Seen, answer, serve
from test_http_secrecy import assert_clean

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    DeadlineExceededError,
    McpVaultError,
    MessageTooLargeError,
    RemoteProtocolError,
    RequestLostError,
)
from mcpvault.http import Asker, was_sent
from mcpvault.oauth.wire import Answer, Flow, drive


def test_a_request_and_its_answer(asker_for: Any) -> None:
    """Method, headers and body go out as asked; status, body and headers come back, names in lower case."""
    with serve(lambda c, _: answer(c, b"[1]", "418 Teapot", ("X-One: a", "x-one: b", "Retry-After: 7"))) as server:
        got = asker_for()(post(f"{server.origin}/token?tenant=1", headers={"Authorization": "Basic eDp5"}))

        assert (418, b"[1]", "a, b", "7") == (got.status, got.body, got.headers["x-one"], got.headers["retry-after"])
        seen = server.seen[0]
        assert ("/token?tenant=1", b"grant_type=x", "Basic eDp5") == (
            seen.target,
            seen.body,
            seen.header("Authorization"),
        )


def test_nothing_is_added_but_what_a_client_says_of_itself(asker_for: Any, monkeypatch: Any, tmp_path: Any) -> None:
    """No credential of ~/.netrc, and no cookie that an earlier answer has set."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serve(lambda c, _: answer(c, headers=("Set-Cookie: a=b",))) as server:
        asker = asker_for()
        for _ in range(2):
            asker(get(server.url))

        assert [None] * 4 == [seen.header(name) for seen in server.seen for name in ("Authorization", "Cookie")]
        assert ["application/json"] * 2 == [seen.header("Accept") for seen in server.seen]
        assert 1 == server.connections


def test_a_flow_is_carried_out(asker_for: Any) -> None:
    """``drive`` runs a generator with an asker, whatever the statuses are."""

    def flow(origin: str) -> Flow[list[int]]:
        first = yield get(f"{origin}/missing")
        second = yield post(f"{origin}/token")
        return [first.status, second.status]

    def handle(connection: socket.socket, seen: Seen) -> None:
        answer(connection, b"", "404 Not Found" if seen.target == "/missing" else "200 OK")

    with serve(handle) as server:
        assert [404, 200] == drive(flow(server.origin), asker_for())


def _moved(status: str, location: str) -> Callable[[socket.socket, Seen], None]:
    def handle(connection: socket.socket, seen: Seen) -> None:
        if seen.target == "/mcp":
            answer(connection, b"", status, (f"Location: {location}",))
        else:
            answer(connection)

    return handle


@pytest.mark.parametrize("status", [307, 308])
def test_metadata_may_move_within_its_origin(asker_for: Any, status: int) -> None:
    """A GET follows 307 and 308."""
    with serve(_moved(f"{status} Moved", "/new")) as server:
        assert 200 == asker_for()(get(server.url)).status

        assert ["/mcp", "/new"] == [seen.target for seen in server.seen]


@pytest.mark.parametrize("status", [301, 302, 303])
def test_other_redirects_are_answers(asker_for: Any, status: int) -> None:
    """The flow is told, and judges."""
    with serve(_moved(f"{status} Moved", "/new")) as server:
        got = asker_for()(get(server.url))

        assert (status, "/new", 1) == (got.status, got.headers["location"], len(server.seen))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("ask", [get, post])
def test_no_other_origin_is_reached(asker_for: Any, ask: Any, status: int) -> None:
    """Neither metadata nor a token request goes on to another host."""
    with serve() as other, serve(_moved(f"{status} Moved", f"{other.origin}/x")) as server:
        assert status == asker_for()(ask(server.url)).status

        assert [] == other.seen


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_request_is_never_redirected(asker_for: Any, status: int) -> None:
    """Its body goes to the endpoint that was asked, and to no other path either."""
    with serve(_moved(f"{status} Moved", "/new")) as server:
        assert status == asker_for()(post(server.url)).status

        assert 1 == len(server.seen)


def test_a_circle_ends(asker_for: Any) -> None:
    """Metadata that moves for ever is an error."""
    with serve(_moved("307 Moved", "/mcp")) as server, pytest.raises(RemoteProtocolError, match="redirects"):
        asker_for()(get(server.url))


@pytest.mark.parametrize("form", ["plain", "gzip"])
def test_an_answer_is_read_up_to_its_limit(asker_for: Any, form: str) -> None:
    """What is larger, also after decoding, is refused; what is as large is read."""

    def handle(connection: socket.socket, seen: Seen) -> None:
        body = b"x" * (1000 if seen.target == "/fits" else 2_000_000)
        if form == "gzip":
            answer(connection, gzip.compress(body), headers=("Content-Encoding: gzip",))
        else:
            answer(connection, body)

    with serve(handle) as server:
        asker = asker_for(largest=1000)
        assert b"x" * 1000 == asker(get(f"{server.origin}/fits")).body
        with pytest.raises(
            MessageTooLargeError,
            match=f"{server.origin}: authorization server metadata: the answer is larger than 1000 bytes",
        ):
            asker(get(f"{server.origin}/larger"))


def test_the_deadline_is_for_everything(asker_for: Any) -> None:
    """A silent server holds nobody, and when the time is over the next request is not sent."""
    with serve(lambda c, _: c.recv(1) and None) as server:
        asker = asker_for(deadline=0.3)
        with pytest.raises(DeadlineExceededError) as caught:
            asker(post(server.url))
        with pytest.raises(DeadlineExceededError) as later:
            asker(post(server.url))

        assert [True, False] == [was_sent(caught.value), was_sent(later.value)]
        assert 1 == len(server.seen)


def _lost(connection: socket.socket, seen: Seen) -> None:
    connection.close()


def _half(connection: socket.socket, seen: Seen) -> None:
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{seen.body.decode()}".encode())
    connection.shutdown(socket.SHUT_RDWR)


def _rubbish(connection: socket.socket, seen: Seen) -> None:
    connection.sendall(f"{seen.body.decode()}\r\n\r\n".encode())
    connection.shutdown(socket.SHUT_RDWR)


def _large(connection: socket.socket, seen: Seen) -> None:
    answer(connection, seen.body * 100_000)


@pytest.mark.parametrize("handle", [_lost, _half, _rubbish, _large], ids=lambda f: f.__name__.strip("_"))
def test_no_failure_shows_what_was_sent(asker_for: Any, caplog: pytest.LogCaptureFixture, handle: Any) -> None:
    """Neither body nor headers are in the error, in its frames or in a log."""
    caplog.set_level(logging.DEBUG)
    with serve(handle) as server:
        asker = asker_for()
        ask = post(server.url, f"refresh_token={CANARY}".encode(), headers={"Authorization": f"Basic {CANARY}"})
        with pytest.raises(McpVaultError) as caught:
            asker(ask)

    assert was_sent(caught.value)
    assert_clean(caught.value)
    assert CANARY[:8] not in caplog.text + repr(ask)


def test_a_lost_token_request_is_not_repeated(asker_for: Any) -> None:
    """Only what cannot have been carried out is sent again."""
    with serve(_lost) as server:
        with pytest.raises(RequestLostError):
            asker_for()(post(server.url))

        assert 1 == len(server.seen)


def test_an_asker_is_used_once_with_with(asker_for: Any) -> None:
    """Leaving the block closes its connections."""
    with serve() as server:
        with Asker(server="x", deadline=Deadline(5), named_hosts=["127.0.0.1"]) as asker:
            assert isinstance(asker(get(server.url)), Answer)
            session = asker.session(server.url)
        assert not session.guard._pool._idle
