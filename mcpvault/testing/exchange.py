"""
One HTTP exchange of the fake server: reads a request, answers it properly or as told to misbehave.

``Exchange`` is also what a misbehaviour writes with; see ``behaviours``.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from mcpvault.testing.behaviours.registry import proper_answer
from mcpvault.testing.listener import LoopbackHandler, Recorded
from mcpvault.testing.offer import Json, Refusal

if TYPE_CHECKING:
    import threading

    from mcpvault.testing.server import FakeMcpServer


class Fake(Protocol):
    """What a misbehaviour may know of the server."""

    sse: bool
    closing: threading.Event

    @property
    def port(self) -> int:
        """The port it listens on."""


class Exchange:
    """
    A request that waits for its answer, and the raw means to give one.

    ``message`` is the JSON-RPC message (an empty dict for GET and DELETE).
    """

    def __init__(
        self, handler: LoopbackHandler, fake: Fake, request: Recorded, message: Json, proper: Json | None
    ) -> None:
        self.request, self.message, self.fake = request, message, fake
        self._handler, self._proper = handler, proper

    @property
    def proper(self) -> Json | None:
        """The message that a well-behaved server would answer with."""
        return self._proper

    def start(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send the status line and headers; without a length the body ends with the connection."""
        self._handler.send_response_only(status)
        for name, value in (headers or {}).items():
            self._handler.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self._handler.send_header("Connection", "close")
            self._handler.close_connection = True
        self._handler.end_headers()

    def write(self, data: bytes) -> None:
        """Send body bytes (or, before ``start``, anything at all)."""
        self._handler.wfile.write(data)

    def whole(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        """Send a complete answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.start(status, {"Content-Type": kind, "Content-Length": str(len(body)), **named})
        self.write(body)

    def answer(self, message: object, status: int = 200) -> None:
        """Send one JSON document, or one event when the server answers with streams."""
        if self.fake.sse and status == 200:
            self.start(200, {"Content-Type": "text/event-stream"})
            self.event(message)
        else:
            self.whole(status, json.dumps(message).encode())

    def proceed(self) -> None:
        """Give the proper answer."""
        self.answer(proper_answer(self))

    def event(self, message: object) -> None:
        """Send one server-sent event."""
        self.write(b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n")

    def pause(self, seconds: float) -> bool:
        """Wait; return True when the server is being closed and the answer should end."""
        return self.fake.closing.wait(seconds)

    def hang(self) -> None:
        """Do nothing until the server is closed."""
        self.fake.closing.wait()

    def cut(self) -> None:
        """Drop the connection."""
        self._handler.close_connection = True
        self._handler.connection.shutdown(socket.SHUT_RDWR)


class Handler(LoopbackHandler):
    """The handler of ``FakeMcpServer``."""

    @property
    def fake(self) -> FakeMcpServer:
        """The server in front of this connection."""
        return self.server.fake  # type: ignore[attr-defined, no-any-return]

    def do_POST(self) -> None:
        """Answer one JSON-RPC message."""
        request = self._read()
        if self._elsewhere(request) or self._refuse(request):
            return
        message = request.message
        if not isinstance(message, dict):
            if not self._misbehave(request, {}, None):
                self._send_error(None, Refusal(-32700, "parse error", status=400))
            return
        modern = self.fake.is_modern(request)
        if "method" not in message or "id" not in message:
            if self.fake.streams is not None and "method" not in message:
                self.fake.streams.take(message)
            if not self._misbehave(request, message, None):
                self.send(202, b"")
            return
        self._answer(request, message, modern=modern)

    def do_GET(self) -> None:
        """Show the metadata of the resource; refuse otherwise, unless it offers a stream of its own."""
        request = self._read()
        if self._elsewhere(request) or self._refuse(request) or self._misbehave(request, {}, None):
            return
        if self.fake.streams is not None and self.fake.era != "modern":
            from mcpvault.testing.streaming import stand

            stand(self, self.fake.streams, request)
            return
        self.send(405, b"", {"Allow": "POST, DELETE"})

    def do_DELETE(self) -> None:
        """End a legacy session."""
        request = self._read()
        if not self._elsewhere(request) and not self._refuse(request) and not self._misbehave(request, {}, None):
            self.fake.sessions.discard(request.headers.get("mcp-session-id", ""))
            self.send(self.fake.delete_status, b"")

    def _read(self) -> Recorded:
        request = self.read()
        self.fake.requests.append(request)
        return request

    def _elsewhere(self, request: Recorded) -> bool:
        """Answer what is not for the MCP endpoint: metadata, and an authorization server at the same origin."""
        document = self.fake.documents(request)
        if document:
            if not self._misbehave(request, {}, document):
                self.send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})
            return True
        for tenant in self.fake.tenants:
            if request.place != "/mcp":
                tenant.serve(self, request)
                return True
        if document is None:
            return False
        if not self._misbehave(request, {}, None):
            self.send(404, b"not found", {"Content-Type": "text/plain"})
        return True

    def _refuse(self, request: Recorded) -> bool:
        refused = self.fake.refused(request)
        if refused:
            self.send(refused[0], b'{"error":"unauthorized"}', {"Content-Type": "application/json", **refused[1]})
        return refused is not None

    def _misbehave(self, request: Recorded, message: Json, proper: Json | None) -> bool:
        switch = self.fake.switch_for(request)
        if switch is None:
            return False
        try:
            switch.behaviour(Exchange(self, self.fake, request, message, proper), **switch.options)
        except OSError:
            self.fake.abandoned += 1
            self.close_connection = True
        return True

    def _answer(self, request: Recorded, message: Json, *, modern: bool) -> None:
        headers: dict[str, str] = {}
        progress = _Progress(self, message) if self.fake.sse else None
        try:
            if self.fake.streams is not None:
                from mcpvault.testing.streaming import answered

                if answered(self, self.fake.streams, request, message, modern=modern):
                    return
            (self.fake.check_modern if modern else self.fake.check_legacy)(request, message)
            result = self.fake.seen(request, self.fake.result(message, modern=modern, progress=progress))
        except Refusal as refusal:
            proper = {"jsonrpc": "2.0", "id": message["id"], "error": refusal.as_error()}
            if not self._misbehave(request, message, proper):
                outside = not modern and refusal.code in (-32000, -32001)
                self._send_error(message["id"], refusal, status=refusal.status if modern or outside else 200)
            return
        proper = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        if self._misbehave(request, message, proper):
            return
        if not modern and message["method"] == "initialize":
            headers["Mcp-Session-Id"] = self.fake.new_session()
        if progress is None:
            self.send(200, json.dumps(proper).encode(), {"Content-Type": "application/json", **headers})
        else:
            progress.begin(headers)
            progress.send(proper)
            progress.end()

    def _send_error(self, id_: object, refusal: Refusal, status: int | None = None) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": id_, "error": refusal.as_error()}).encode()
        self.send(refusal.status if status is None else status, body, {"Content-Type": "application/json"})


class _Progress:
    """An event stream: opened by the first notification or by the answer, in HTTP chunks."""

    def __init__(self, handler: Handler, message: Json) -> None:
        self._handler = handler
        self._token = ((message.get("params") or {}).get("_meta") or {}).get("progressToken")
        self._begun = False

    def __call__(self, done: float, total: float) -> None:
        if self._token is not None:
            self.begin({})
            params = {"progressToken": self._token, "progress": done, "total": total}
            self.send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

    def begin(self, headers: Mapping[str, str]) -> None:
        if self._begun:
            return
        self._begun = True
        self._handler.send_response_only(200)
        kind = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "Transfer-Encoding": "chunked"}
        for name, value in {**kind, **headers}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def send(self, message: object) -> None:
        data = b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"
        try:
            self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        except OSError:
            self._handler.fake.abandoned += 1
            raise

    def end(self) -> None:
        self._handler.wfile.write(b"0\r\n\r\n")
