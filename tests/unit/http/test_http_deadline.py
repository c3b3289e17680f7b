"""The time allowed is wall-clock time, whatever a server does with it."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from http_servers import Authority, Seen, serve

from mcpvault.deadline import Deadline
from mcpvault.errors import ConnectFailedError, DeadlineExceededError, McpVaultError
from mcpvault.http import RequestsExchange, Timeouts
from mcpvault.http.connection import dial
from mcpvault.http.policy import Allowance

_LIMIT = 0.3  # seconds
_SLACK = 3.0


def _drip(connection: socket.socket, start: bytes, piece: bytes) -> None:
    connection.sendall(start)
    while True:
        time.sleep(0.02)
        connection.sendall(piece)


def _head_in_drops(connection: socket.socket, seen: Seen) -> None:
    _drip(connection, b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n")


def _one_line_in_drops(connection: socket.socket, seen: Seen) -> None:
    _drip(connection, b"HTTP/1.1 200 OK\r\nX-Long: ", b"x")


def _continue_for_ever(connection: socket.socket, seen: Seen) -> None:
    _drip(connection, b"", b"HTTP/1.1 100 Continue\r\n\r\n")


def _body_in_drops(connection: socket.socket, seen: Seen) -> None:
    _drip(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x")


def _chunks_in_drops(connection: socket.socket, seen: Seen) -> None:
    _drip(connection, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")


def _chunk_size_in_drops(connection: socket.socket, seen: Seen) -> None:
    _drip(connection, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0")


def _silence(connection: socket.socket, seen: Seen) -> None:
    connection.recv(1)


_SLOW = [
    _head_in_drops,
    _one_line_in_drops,
    _continue_for_ever,
    _body_in_drops,
    _chunks_in_drops,
    _chunk_size_in_drops,
    _silence,
]


def _spent(act: Callable[[], object]) -> tuple[McpVaultError, float]:
    began = time.monotonic()
    with pytest.raises(McpVaultError) as caught:
        act()
    return caught.value, time.monotonic() - began


@pytest.mark.parametrize("handle", _SLOW, ids=lambda f: f.__name__.strip("_"))
def test_a_slow_server_holds_nobody(session_for: Any, handle: Any) -> None:
    """Head, body or chunks in drops, or nothing at all: the call ends when its time is over."""
    with serve(handle) as server:
        session = session_for(server, timeout=Timeouts(total=_LIMIT))
        error, seconds = _spent(lambda: session.post(server.url, data=b"x"))

    assert isinstance(error, DeadlineExceededError)
    assert _LIMIT <= seconds < _LIMIT + _SLACK
    assert f"{server.origin}: no answer within 0.3 s" == error.message


@pytest.mark.parametrize("handle", _SLOW, ids=lambda f: f.__name__.strip("_"))
def test_a_slow_server_holds_no_exchange(session_for: Any, handle: Any) -> None:
    """The same for what the transports use, their deadline being the caller's."""
    with serve(handle) as server:
        exchange = RequestsExchange(session_for(server), server.url)

        def read() -> None:
            answer = exchange.send("POST", {}, b"x", Deadline(_LIMIT))
            while answer.read1(65536):
                pass

        error, seconds = _spent(read)

    assert isinstance(error, DeadlineExceededError)
    assert _LIMIT <= seconds < _LIMIT + _SLACK


def test_a_number_limits_the_whole_call(session_for: Any) -> None:
    """``timeout=0.3`` means 0.3 s, and not 0.3 s from one byte to the next."""
    with serve(_body_in_drops) as server:
        error, seconds = _spent(lambda: session_for(server).get(server.url, timeout=_LIMIT))

    assert isinstance(error, DeadlineExceededError)
    assert seconds < _LIMIT + _SLACK


def test_a_streamed_body_keeps_the_deadline(session_for: Any) -> None:
    """With ``stream=True`` the time goes on while the caller reads."""
    with serve(_chunks_in_drops) as server:
        response = session_for(server).get(server.url, timeout=_LIMIT, stream=True)
        error, seconds = _spent(lambda: list(response.iter_content(10)))

    assert isinstance(error, DeadlineExceededError)
    assert seconds < _LIMIT + _SLACK


def test_silence_is_told_from_the_end_of_the_time(session_for: Any) -> None:
    """A pair limits connecting and silence; the message says which limit it was."""
    with serve(_silence) as server:
        error, _ = _spent(lambda: session_for(server).get(server.url, timeout=(5, 0.1)))

    assert isinstance(error, DeadlineExceededError)
    assert f"{server.origin}: silent for 0.1 s" == error.message


def test_a_server_that_does_not_read_holds_nobody(session_for: Any) -> None:
    """Sending is limited as receiving is."""
    stop = threading.Event()
    with serve(greet=lambda connection: (stop.wait(10), None)[1]) as server:
        session = session_for(server, timeout=Timeouts(total=_LIMIT))
        error, seconds = _spent(lambda: session.post(server.url, data=b"x" * 50_000_000))
        stop.set()

    assert isinstance(error, DeadlineExceededError)
    assert seconds < _LIMIT + _SLACK


def test_a_tls_handshake_is_limited(session_for: Any, authority: Authority) -> None:
    """A server that accepts and never shakes hands is given up within the time for connecting."""
    stop = threading.Event()
    with serve(greet=lambda connection: (stop.wait(10), None)[1]) as server:
        session = session_for(f"https://127.0.0.1:{server.port}", timeout=Timeouts(connect=_LIMIT))
        error, seconds = _spent(lambda: session.get(f"https://127.0.0.1:{server.port}/"))
        stop.set()

    assert isinstance(error, ConnectFailedError)
    assert "no connection within 0.3 s" in error.message
    assert seconds < _LIMIT + _SLACK


def test_a_tls_body_in_drops_is_limited(session_for: Any, authority: Authority) -> None:
    """The deadline holds above TLS as well."""
    with serve(_body_in_drops, context=authority.server_context()) as server:
        session = session_for(server, ca_file=authority.file, timeout=Timeouts(total=_LIMIT))
        error, seconds = _spent(lambda: session.get(server.url))

    assert isinstance(error, DeadlineExceededError)
    assert seconds < _LIMIT + _SLACK


def test_every_address_is_tried_within_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that swallows everything takes its share of the time, and the next one is tried."""
    with serve() as server, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        clogs = [socket.socket() for _ in range(4)]
        for clog in clogs:
            clog.setblocking(False)
            clog.connect_ex(full.getsockname())
        entries = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", full.getsockname()),
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", server.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
        began = time.monotonic()

        connection = dial("two.example", 0, Allowance(Deadline(_LIMIT), connect=_LIMIT, read=math.inf), lambda _: None)

        seconds = time.monotonic() - began
        assert server.port == connection.getpeername()[1]
        assert _LIMIT / 2 <= seconds < _LIMIT + _SLACK
        connection.close()
        for clog in clogs:
            clog.close()


def test_an_expired_deadline_sends_nothing(session_for: Any) -> None:
    """A call whose time is over before it begins does not reach the server."""
    with serve() as server:
        exchange = RequestsExchange(session_for(server), server.url)
        with pytest.raises(DeadlineExceededError):
            exchange.send("POST", {}, b"x", Deadline(0))

        assert [] == server.seen


def test_a_timeout_of_another_shape_is_a_programmers_error(session_for: Any) -> None:
    """What requests would not take either is a ``TypeError``."""
    with serve() as server, pytest.raises(TypeError):
        session_for(server).get(server.url, timeout="5")
