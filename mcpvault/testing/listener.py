"""
What every fake server stands on: a listener on 127.0.0.1, one thread per connection, and what it has recorded.

Decides nothing about the answers. ``close`` drops every connection, so that hanging answers end.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it arrived; header names are in lower case, a repeated header is joined by commas."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        """The body as JSON, or None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def rpc_method(self) -> str:
        """The JSON-RPC method, or the empty string."""
        message = self.message
        return str(message.get("method", "")) if isinstance(message, dict) else ""

    @property
    def place(self) -> str:
        """The path without the query."""
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, the first value of each."""
        return _firsts(urlsplit(self.path).query)

    @property
    def form(self) -> dict[str, str]:
        """The body's form fields, the first value of each."""
        return _firsts(self.body.decode("utf-8", "replace"))


def _firsts(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


class LoopbackHandler(BaseHTTPRequestHandler):
    """What ``http.server`` calls for each request: reads it whole, sends head and body in one packet."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""

    def read(self) -> Recorded:
        """Read the request to its end."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            lower = name.lower()
            headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
        return Recorded(self.command, self.path, headers, body)

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a complete answer."""
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        # One write for head and body: two would be two packets.
        self._headers_buffer.append(b"\r\n" + body)  # type: ignore[attr-defined]
        self.flush_headers()


class Listener(ThreadingHTTPServer):
    """The listening socket; ``fake`` is the server in front of it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    fake: Any

    def __init__(self, port: int, handler: type[LoopbackHandler], fake: object) -> None:
        self._open: set[socket.socket] = set()
        self.fake = fake
        super().__init__(("127.0.0.1", port), handler)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def server_bind(self) -> None:
        """Bind to the port."""
        # HTTPServer.server_bind would look up the host's name: slow, and a look-up for nothing.
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and remember it."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection, and forget it."""
        self._open.discard(request)
        super().shutdown_request(request)

    def shutdown(self) -> None:
        """Stop serving: who waits for a connection is woken, where the system does that, and need not be waited for."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        super().shutdown()

    def server_close(self) -> None:
        """Stop listening and drop every connection."""
        super().server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: a client that goes away in the middle is what many tests are about."""
