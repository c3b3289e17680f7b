"""What is tried again, and what never."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from http_servers import Seen, answer, serve

from mcpvault.deadline import Deadline
from mcpvault.errors import ConnectFailedError, RemoteProtocolError, RequestLostError, UsageError
from mcpvault.http import RequestsExchange, Timeouts


def _busy(times: int, status: str = "503 Busy", wait: str = "0") -> Any:
    left = [times]

    def handle(connection: socket.socket, seen: Seen) -> None:
        left[0] -= 1
        if left[0] >= 0:
            answer(connection, b"later", status, (f"Retry-After: {wait}",))
        else:
            answer(connection)

    return handle


@pytest.mark.parametrize("status", ["429 Too Many", "500 Oops", "502 Bad", "503 Busy", "504 Late"])
def test_a_safe_request_is_repeated(session_for: Any, status: str) -> None:
    """GET, and what the caller declares safe, is sent again after 429 and 5xx, on the same connection."""
    with serve(_busy(2, status)) as server:
        assert 200 == session_for(server, retries=2).get(server.url).status_code
        assert (3, 1) == (len(server.seen), server.connections)
    with serve(_busy(1, status)) as server:
        exchange = RequestsExchange(session_for(server, retries=1), server.url)
        assert 200 == exchange.send("POST", {}, b"x", Deadline(5), safe=True).status


def test_each_try_may_have_a_body_of_its_own(session_for: Any) -> None:
    """What makes the body is asked for each try, and each is as long as its head says."""
    bodies = iter([b"1", b"22", b"333"])
    with serve(_busy(2)) as server:
        exchange = RequestsExchange(session_for(server, retries=2), server.url)

        assert 200 == exchange.send("POST", {}, lambda: next(bodies), Deadline(5), safe=True).status
        assert [(b"1", "1"), (b"22", "2"), (b"333", "3")] == [
            (seen.body, seen.header("Content-Length")) for seen in server.seen
        ]


def test_an_unsafe_request_is_not_repeated(session_for: Any) -> None:
    """A POST that reached the server is the caller's to repeat."""
    with serve(_busy(1)) as server:
        assert 503 == session_for(server, retries=2).post(server.url, data=b"x").status_code
        exchange = RequestsExchange(session_for(server, retries=2), server.url)
        assert 200 == exchange.send("POST", {}, b"x", Deadline(5)).status
        assert 2 == len(server.seen)


def test_the_last_answer_is_handed_back(session_for: Any) -> None:
    """When the tries are used up, the caller sees the answer, its body included."""
    with serve(_busy(9)) as server:
        response = session_for(server, retries=1).get(server.url)

        assert (503, b"later", 2) == (response.status_code, response.content, len(server.seen))


def test_a_wait_beyond_the_deadline_is_not_begun(session_for: Any) -> None:
    """A Retry-After longer than the time left ends the tries at once."""
    with serve(_busy(1, wait="60")) as server:
        began = time.monotonic()
        response = session_for(server, retries=2, timeout=Timeouts(total=5)).get(server.url)

        assert (503, 1) == (response.status_code, len(server.seen))
        assert time.monotonic() - began < 2


def test_a_refused_connection_is_tried_again(session_for: Any) -> None:
    """Where nothing was sent, a second try is harmless, even of a POST."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    session = session_for(f"http://127.0.0.1:{port}", retries=1)
    began = time.monotonic()
    with pytest.raises(ConnectFailedError) as caught:
        session.post(f"http://127.0.0.1:{port}/", data=b"x")

    assert f"http://127.0.0.1:{port}: connection refused" == caught.value.message
    assert "try again later" in str(caught.value.hint)
    assert 4 == caught.value.exit_code
    assert time.monotonic() - began >= 0.1


def test_a_lost_answer_is_not_asked_for_again(session_for: Any) -> None:
    """A connection that breaks after the request was sent: it may have been carried out."""
    with serve(lambda connection, _: connection.close()) as server:
        with pytest.raises(RequestLostError) as caught:
            session_for(server, retries=3).post(server.url, data=b"x")

        assert (1, 5) == (len(server.seen), caught.value.exit_code)


def test_a_safe_lost_answer_is_asked_for_again(session_for: Any) -> None:
    """A GET whose answer got lost is sent again."""
    left = [1]

    def handle(connection: socket.socket, seen: Seen) -> None:
        left[0] -= 1
        connection.close() if left[0] == 0 else answer(connection)

    with serve(handle) as server:
        assert 200 == session_for(server, retries=1).get(server.url).status_code


def test_a_connection_that_the_server_closed_meanwhile_is_not_used(session_for: Any) -> None:
    """A kept connection is looked at before the next request goes out on it."""
    closed = threading.Event()

    def once(connection: socket.socket, seen: Seen) -> None:
        answer(connection)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    with serve(once) as server:
        session = session_for(server)
        for _ in range(2):
            assert 200 == session.post(server.url, data=b"x").status_code
            assert closed.wait(5)
            closed.clear()

        assert 2 == server.connections


def test_an_early_answer_is_read(session_for: Any) -> None:
    """A server may refuse before it has read everything; its answer counts."""

    def refuse(connection: socket.socket) -> None:
        connection.recv(100)
        answer(connection, b"too large", "413 Too Large", ("Connection: close",))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with serve(greet=refuse) as server:
        assert 413 == session_for(server).post(server.url, data=b"x" * 3_000_000).status_code


@pytest.mark.parametrize(
    "rubbish", [b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200]
)
def test_what_is_not_http_is_said_to_be_so(session_for: Any, rubbish: bytes) -> None:
    """Another protocol, a broken status line, or a head without measure is a protocol error."""

    def handle(connection: socket.socket, seen: Seen) -> None:
        connection.sendall(rubbish)
        connection.shutdown(socket.SHUT_WR)

    with serve(handle) as server, pytest.raises(RemoteProtocolError, match="not HTTP"):
        session_for(server).get(server.url)


def test_an_informational_answer_does_not_shift_the_next(session_for: Any) -> None:
    """After 103 the connection is not used again: the next answer on it would belong to another request."""

    def handle(connection: socket.socket, seen: Seen) -> None:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        answer(connection, seen.body)

    with serve(handle) as server:
        session = session_for(server)
        for _ in range(2):
            with pytest.raises(RemoteProtocolError, match="unexpected status 103"):
                session.post(server.url, data=b"x")

        assert 2 == server.connections


@pytest.mark.parametrize("method", ["GE T", "GET\r\nX-Evil: 1"])
def test_a_method_that_is_none_is_not_sent(session_for: Any, method: str) -> None:
    """A malformed method is the caller's mistake, and nothing leaves."""
    with serve() as server:
        with pytest.raises(UsageError):
            session_for(server).request(method, server.url)

        assert [] == server.seen
