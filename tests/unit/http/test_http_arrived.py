"""A stream that is read beside something else: what is there is taken, and nothing is waited for."""

from __future__ import annotations

import queue
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from http_servers import Authority, Seen, answer, read_request, serve

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, RemoteProtocolError, RequestLostError
from mcpvault.http import RequestsExchange

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n"
CHUNKS = b"a\r\ndata: one\n\r\nB;x=y\r\ndata: two\n\n\r\n0\r\nX-Trailer: 1\r\n\r\n"
BODY = b"data: one\ndata: two\n\n"
FRAMED = {
    "chunked": (b"Transfer-Encoding: chunked\r\n", CHUNKS),
    "length": (b"Content-Length: 21\r\n", BODY),
    "to the end": (b"Connection: close\r\n", BODY),
}


class Dripping:
    """A server that sends its head, and then a byte of what is on the wire whenever it is told to."""

    def __init__(self, head: bytes, body: bytes, context: ssl.SSLContext | None) -> None:
        self.head, self.body, self._context = head, body, context
        self.tokens: queue.Queue[bool] = queue.Queue()
        self._sent: queue.Queue[bool] = queue.Queue()
        self._ended = False

    def __call__(self, connection: socket.socket) -> None:
        """Serve one connection."""
        head, body = self.head, self.body
        if self._context is None:
            read_request(connection)
        else:
            head, body = _in_records(connection, self._context, head, body)
        connection.sendall(head)
        for byte in body:
            if not self.tokens.get():
                return
            connection.sendall(bytes([byte]))
            self._sent.put(True)
        if self.tokens.get():
            connection.shutdown(socket.SHUT_RDWR)
            self._sent.put(False)

    def step(self) -> None:
        """Let it send a byte, or after the last one end the connection."""
        if not self._ended:
            self.tokens.put(True)
            self._ended = not self._sent.get(timeout=20)


def _in_records(connection: socket.socket, context: ssl.SSLContext, *said: bytes) -> list[bytes]:
    """Shake hands, read a request, and return the TLS records of what is said."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)

    def until_done(act: Callable[[], Any]) -> Any:
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))

    until_done(tls.do_handshake)
    while b"\r\n\r\n" not in until_done(lambda: tls.read(65536)):
        pass
    records = []
    for each in said:
        tls.write(each)
        records.append(outgoing.read())
    return records


@pytest.fixture(params=["plain", "tls"])
def dripping(request: pytest.FixtureRequest, authority: Authority, session_for: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that starts such a server, and returns it and the answer to a GET."""
    context = authority.server_context() if request.param == "tls" else None
    with ExitStack() as stack:

        def start(head: bytes, body: bytes) -> tuple[Dripping, Any]:
            dripper = Dripping(HEAD % head, body, context)
            server = stack.enter_context(serve(greet=dripper))
            stack.callback(dripper.tokens.put, False)
            server.scheme = "https" if context else "http"
            exchange = RequestsExchange(session_for(server, ca_file=authority.file if context else None), server.url)
            return dripper, exchange.send("GET", {}, None, Deadline(15))

        yield start


def taken(answered: Any) -> tuple[bytes, bool]:
    """Return all that is there now, and whether the end is."""
    body = b""
    while piece := answered.arrived():
        body += piece
    return body, piece == b""


@pytest.mark.parametrize("framed", FRAMED)
def test_a_stream_is_read_byte_by_byte(framed: str, dripping: Callable[..., Any]) -> None:
    """Wherever the packets end, in a TLS record or in the size of a chunk, the next look does not wait for the rest."""
    dripper, answered = dripping(*FRAMED[framed])
    assert (b"", False) == taken(answered)
    body, ended = b"", False
    while not ended:
        dripper.step()
        piece, ended = taken(answered)
        body += piece

    assert (BODY, b"") == (body, answered.arrived())


@pytest.mark.parametrize("framed", ["chunked", "length"])
def test_a_stream_that_breaks_off_is_told(framed: str, dripping: Callable[..., Any]) -> None:
    """The end of the connection before the end of the body is an error of ours."""
    head, body = FRAMED[framed]
    dripper, answered = dripping(head, body[:5])
    with pytest.raises(RequestLostError):
        while True:
            dripper.step()
            taken(answered)
    answered.close()


def test_what_is_no_framing_is_told(dripping: Callable[..., Any]) -> None:
    """A chunk without a size is a broken protocol."""
    dripper, answered = dripping(b"Transfer-Encoding: chunked\r\n", b"data: 1\r\n")
    with pytest.raises(RemoteProtocolError):
        while True:
            dripper.step()
            taken(answered)
    answered.close()


def _whole(connection: socket.socket, seen: Seen) -> None:
    answer(connection, BODY, headers=("Content-Encoding: gzip",) if seen.target == "/coded" else ())


def test_a_stream_that_ended_gives_its_connection_back(session_for: Any) -> None:
    """The next request goes over it; a stream that is left before its end is cut off."""
    with serve(_whole) as server:
        exchange = RequestsExchange(session_for(server), server.url)
        for _ in range(2):
            answered = exchange.send("GET", {}, None, Deadline(5))
            body = b""
            while (piece := answered.arrived()) != b"":
                body += piece or b""
            assert BODY == body
            answered.close()
        assert (2, 1) == (len(server.seen), server.connections)


def test_an_encoded_stream_is_refused(session_for: Any) -> None:
    """It was asked for as it is."""
    with serve(_whole) as server:
        exchange = RequestsExchange(session_for(server), server.url).at(f"{server.origin}/coded")
        answered = exchange.send("GET", {}, None, Deadline(5))
        with pytest.raises(McpVaultError, match="encoded"):
            answered.arrived()
        answered.close()
