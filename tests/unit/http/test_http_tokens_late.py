"""Redemptions by a process that is stopped until their time is over: what came meanwhile is read, and no more."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from http_servers import Authority, Seen, serve
from redemptions import GRANTED, redeemed

from mcpvault.deadline import Deadline
from mcpvault.errors import DeadlineExceededError
from mcpvault.http import was_sent

LONG = json.dumps({**json.loads(GRANTED), "padding": "x" * 40_000}).encode()  # more than one receive takes
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(LONG)}\r\n\r\n".encode()
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SLACK = 5.0  # seconds


class Stopped:
    """A process that is stopped once it has sent its request, and goes on when the server has sent *data*."""

    def __init__(self, data: bytes, then: Callable[[socket.socket], object] = lambda _: None) -> None:
        self._data = data
        self._then = then
        self._asked = threading.Event()
        self._answered = threading.Event()
        self.deadline = Deadline(20, clock=self._clock)

    def _clock(self) -> float:
        if not self._asked.is_set():
            return 0.0
        self._answered.wait(20)
        return 120.0

    def handle(self, connection: socket.socket, _: Seen) -> None:
        """Serve."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what was sent has arrived
        self._asked.set()
        connection.sendall(self._data)
        self._answered.set()
        self._then(connection)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_an_answer_that_came_meanwhile_is_read(session_to: Any, authority: Authority, secure: bool) -> None:
    """Its time is over, and the answer is there: not to read it would cost the grant."""
    stopped = Stopped(HEAD + LONG)
    with serve(stopped.handle, context=authority.server_context() if secure else None) as server:
        session = session_to(server.origin, **({"ca_file": authority.file} if secure else {}))

        answer = redeemed(session, server.url, deadline=stopped.deadline)

    assert (200, LONG) == (answer.status, answer.body)
    assert stopped.deadline.expired()


def _silent(connection: socket.socket) -> None:
    connection.recv(1)


def _in_drops(connection: socket.socket) -> None:
    while True:
        time.sleep(0.02)
        connection.sendall(b"x")


def _for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(CONTINUE * 1000)


@pytest.mark.parametrize(
    "data, then",
    [
        (HEAD, _silent),
        (HEAD + LONG[:20_000], _silent),
        (HEAD, _in_drops),
        (b"HTTP/1.1 100 Continue\r\n\r\n", _for_ever),
    ],
    ids=["head", "half", "drops", "flood"],
)
def test_nobody_waits_for_the_rest(session_to: Any, data: bytes, then: Callable[[socket.socket], object]) -> None:
    """Where the answer is not there, or has no end, it counts as lost at once."""
    stopped = Stopped(data, then)
    with serve(stopped.handle) as server:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError) as caught:
            redeemed(session_to(server.origin), server.url, deadline=stopped.deadline)
        spent = time.monotonic() - began

    assert spent < _SLACK
    assert was_sent(caught.value)
