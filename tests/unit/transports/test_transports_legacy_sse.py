"""HTTP+SSE servers that misbehave, and the one thing that they must not decide: where our credential goes."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from mcpvault.connectors import HttpConnector
from mcpvault.errors import (
    DeadlineExceededError,
    McpVaultError,
    OriginMismatchError,
    RemoteProtocolError,
    RequestLostError,
)

HANDSHAKE = {"protocolVersion": "2024-11-05", "capabilities": {}, "serverInfo": {"name": "old"}}
ENDPOINT = b"event: endpoint\ndata: /messages?session=1\n\n"


class OldServer(ThreadingHTTPServer):
    """
    Says *opening* on each stream; answers what is posted as *answer* makes of it, None closes the stream.

    ``split``: the next answer's bytes that are sent; the others are kept in ``rest``.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, opening: bytes, answer: Callable[[Any], Any], status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.opening, self.answer, self.status = opening, answer, status
        self.out: queue.Queue[bytes | None] = queue.Queue()
        self.seen: list[tuple[str, str]] = []
        self.chunked = False
        self.split: int | None = None
        self.rest = b""

    def framed(self, data: bytes) -> bytes:
        """Return what *data* is on the wire."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data


class _Handler(BaseHTTPRequestHandler):
    server: OldServer

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        """Be the stream."""
        self.server.seen.append(("GET", self.path))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if self.server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(self.server.framed(self.server.opening))
        while (piece := self.server.out.get()) is not None:
            self.wfile.write(piece)

    def do_POST(self) -> None:
        """Take a message."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(("POST", message["method"]))
        status = self.server.status if self.path.startswith("/messages") else 405
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if status == 202 and "id" in message:
            said = HANDSHAKE if message["method"] == "initialize" else self.server.answer(message)
            event = {"jsonrpc": "2.0", "id": message["id"], "result": said}
            data = self.server.framed(b": hello\n\ndata: %b\n\n" % json.dumps(event).encode())
            self.server.out.put(None if said is None else data[: self.server.split])
            if self.server.split is not None:
                self.server.rest, self.server.split = data[self.server.split :], None


@pytest.fixture
def old_server() -> Iterator[Callable[..., OldServer]]:
    """Start old servers; they are closed after the test."""
    servers: list[OldServer] = []

    def start(opening: bytes = ENDPOINT, answer: Callable[[Any], Any] = dict, status: int = 202) -> OldServer:
        server = OldServer(opening, answer, status)
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.out.put(None)
        server.shutdown()
        server.server_close()


def connector(server: OldServer, transport: str = "sse") -> HttpConnector:
    """Return a connector to *server*, with a credential."""
    return HttpConnector(f"http://127.0.0.1:{server.server_port}/sse", auth_token="t" * 20, transport=transport)


@pytest.mark.parametrize(
    ("endpoint", "error"),
    [
        (b"http://127.0.0.1:1/messages", OriginMismatchError),
        (b"https://127.0.0.1/messages", OriginMismatchError),
        (b"//elsewhere.example/messages", OriginMismatchError),
        (b"http://user:pw@127.0.0.1/messages", RemoteProtocolError),
        (b"file:///etc/passwd", RemoteProtocolError),
        (b"javascript:alert(1)", RemoteProtocolError),
        (b"http://[", RemoteProtocolError),
        (b"/" + b"x" * 10_000, RemoteProtocolError),
        (b"/m\xff", RemoteProtocolError),
    ],
)
def test_messages_go_to_the_entry_s_origin_only(
    endpoint: bytes, error: type[McpVaultError], old_server: Callable[..., OldServer]
) -> None:
    """A server that names another place for messages, or none, gets none of them."""
    server = old_server(b"event: endpoint\ndata: " + endpoint + b"\n\n")

    with connector(server) as old, pytest.raises(error):
        old.session().call_tool("x")
    assert [("GET", "/sse")] == server.seen


@pytest.mark.parametrize("opening", [b"data: {}\n\n", b"event: message\ndata: /messages\n\n", b"event: endpoint\n\n"])
def test_a_stream_begins_with_the_endpoint(opening: bytes, old_server: Callable[..., OldServer]) -> None:
    """Anything else there is no HTTP+SSE."""
    server = old_server(opening + b"data: {}\n\n")

    with connector(server) as old, pytest.raises(RemoteProtocolError, match="does not begin with 'endpoint'"):
        old.session().call_tool("x")


def test_a_silent_stream_is_a_deadline(old_server: Callable[..., OldServer]) -> None:
    """A stream that says nothing does not hold the caller."""
    with connector(old_server(b": nothing\n\n")) as old, pytest.raises(DeadlineExceededError):
        old.session().call_tool("x", timeout=0.3)


def test_an_end_before_the_answer_is_a_lost_request(old_server: Callable[..., OldServer]) -> None:
    """A call is not repeated, a read is, on a new stream with its own handshake."""
    server = old_server(answer=lambda message: None)

    with connector(server) as old:
        with pytest.raises(RequestLostError):
            old.session().call_tool("x")
        server.answer = lambda message: {"tools": []} if ("POST", "tools/list") in server.seen[:-1] else None
        assert [] == old.session().list_tools()
    posted = [what for kind, what in server.seen if kind == "POST"]
    handshake = ["initialize", "notifications/initialized"]
    assert [*handshake, "tools/call", *handshake, "tools/list", *handshake, "tools/list"] == posted


def test_an_idle_end_costs_nothing(old_server: Callable[..., OldServer]) -> None:
    """A stream that the server has closed between two calls is opened again, and the call is sent once."""
    server = old_server(answer=lambda message: {"content": []})

    with connector(server) as old:
        session = old.session()
        session.call_tool("x")
        server.out.put(None)
        while server.out.qsize():
            pass
        session.call_tool("y")
    assert 2 == server.seen.count(("GET", "/sse"))
    assert 2 == server.seen.count(("POST", "tools/call"))


def test_a_message_that_is_not_accepted_is_an_error(old_server: Callable[..., OldServer]) -> None:
    """A status other than 2xx says that the server did not take it."""
    with connector(old_server(status=404)) as old, pytest.raises(RemoteProtocolError, match="unexpected status 404"):
        old.session().call_tool("x")


def test_the_older_way_is_found_out(old_server: Callable[..., OldServer]) -> None:
    """With ``auto`` a refused ``initialize`` leads to the stream; what is found there is kept for the session."""
    server = old_server(answer=lambda message: {"tools": []})

    with connector(server, "auto") as old:
        assert [] == old.session().list_tools() == old.session().list_tools()
        assert "2024-11-05" == old.session().protocol_version
    kinds = [kind if kind == "GET" else what for kind, what in server.seen]
    assert ["server/discover", "initialize", "GET", "initialize", "notifications/initialized"] == kinds[:5]
    assert 2 == kinds.count("tools/list")


@pytest.mark.parametrize("split", range(1, 12))
def test_a_deadline_in_the_middle_of_a_piece_is_not_the_end(split: int, old_server: Callable[..., OldServer]) -> None:
    """The call is over; the stream goes on with the rest of the piece, wherever it was cut."""
    server = old_server(answer=lambda message: {"tools": []} if message["method"] == "tools/list" else {"content": []})
    server.chunked = True
    with connector(server) as made:
        session = made.session()
        assert [] == session.list_tools()
        server.split = split
        with pytest.raises(DeadlineExceededError):
            session.call_tool("echo", {"message": "x"}, timeout=0.3)
        server.out.put(server.rest)

        assert [] == session.list_tools()
    assert 1 == [method for method, _ in server.seen].count("GET")
