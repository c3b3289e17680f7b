"""
Answers of the interactive fake server that are streams: questions, logs, subscriptions, interrupted ones.

Decides which requests are answered so. Leaves what is in a stream to ``streams``.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from mcpvault.testing.interactive import STEPS
from mcpvault.testing.listener import Recorded
from mcpvault.testing.offer import Json, Refusal, text
from mcpvault.testing.streams import Stream, Streams

if TYPE_CHECKING:
    from mcpvault.testing.exchange import Handler

_HEAD = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "Connection": "close"}
_ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
_LOG_LEVEL = "io.modelcontextprotocol/logLevel"
_SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def answered(handler: Handler, streams: Streams, request: Recorded, message: Json, *, modern: bool) -> bool:
    """
    Answer *message* if it is one of those that this module is for.

    Raises:
        Refusal: It is, and it is wrong.
    """
    method, params = message["method"], message.get("params") or {}
    name = params.get("name") if method == "tools/call" else None
    fake = handler.fake
    if not modern and method in ("resources/subscribe", "resources/unsubscribe", "logging/setLevel"):
        fake.check_legacy(request, message)
        _set(streams, method, params)
        _finish(handler, streams.new(), message, {})
    elif modern and method == "subscriptions/listen":
        fake.check_modern(request, message)
        _listen(handler, streams, message)
    elif name == "log":
        (fake.check_modern if modern else fake.check_legacy)(request, message)
        level = (params.get("_meta") or {}).get(_LOG_LEVEL) if modern else streams.level
        stream = streams.new()
        for each in streams.logs(level):
            stream.put(each)
        _finish(handler, stream, message, text("logged"))
    elif not modern and (name in STEPS or (streams.interrupt and method != "initialize")):
        fake.check_legacy(request, message)
        _ask(handler, streams, message, str(name))
    else:
        return False
    return True


def stand(handler: Handler, streams: Streams, request: Recorded) -> None:
    """Answer a GET: a stream of its own, or the rest of one that broke off."""
    last = request.headers.get("last-event-id", "")
    stream = streams.of(last) if last else streams.new()
    if stream is None or request.headers.get("mcp-session-id") not in handler.fake.sessions:
        handler.send(404, b"")
        return
    if not last:
        streams.standing.append(stream)
    try:
        _write(handler, stream, after=last, retry=streams.retry)
    finally:
        if not last:
            streams.standing.remove(stream)


def _set(streams: Streams, method: str, params: Json) -> None:
    if method == "logging/setLevel":
        streams.level = str(params["level"])
    elif method == "resources/subscribe":
        streams.subscribed.add(params["uri"])
    else:
        streams.subscribed.discard(params["uri"])


def _ask(handler: Handler, streams: Streams, message: Json, name: str) -> None:
    stream = streams.new()
    arguments = (message.get("params") or {}).get("arguments") or {}

    def work() -> None:
        try:
            if name in STEPS:
                result = streams.run(name, arguments, stream)
            else:
                result = handler.fake.result(message, modern=False)
            stream.put({"jsonrpc": "2.0", "id": message["id"], "result": result})
        except Refusal as refusal:
            stream.put({"jsonrpc": "2.0", "id": message["id"], "error": refusal.as_error()})
        stream.end()

    if streams.interrupt:
        stream.put(None)
    threading.Thread(target=work, daemon=True).start()
    _write(handler, stream, after="", retry=streams.retry, most=1 if streams.interrupt else None)


def _listen(handler: Handler, streams: Streams, message: Json) -> None:
    asked = (message.get("params") or {}).get("notifications") or {}
    wanted = {key: value for key, value in asked.items() if key not in streams.declines}
    stream = streams.new()
    stream.subscription = message["id"]
    meta = {_SUBSCRIPTION: message["id"]}
    if streams.agrees:
        stream.put({"jsonrpc": "2.0", "method": _ACKNOWLEDGED, "params": {"_meta": meta, "notifications": wanted}})
    streams.listening.append((stream, wanted))
    try:
        _write(handler, stream, after="")
    finally:
        streams.listening.remove((stream, wanted))


def _finish(handler: Handler, stream: Stream, message: Json, result: Any) -> None:
    stream.put({"jsonrpc": "2.0", "id": message["id"], "result": result})
    stream.end()
    _write(handler, stream, after="")


def _write(handler: Handler, stream: Stream, *, after: str, retry: int | None = None, most: int | None = None) -> None:
    handler.close_connection = True
    handler.send_response_only(200)
    streams = handler.fake.streams
    chunked, ahead = (streams.chunked, streams.ahead) if streams is not None else (False, 0)
    batches = streams is not None and streams.batches
    for name, value in {**_HEAD, **({"Transfer-Encoding": "chunked"} if chunked else {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    comment, rest = _framed(b": here\n\n", chunked), b""
    try:
        for number, (event_id, message) in enumerate(stream.after(after, handler.fake.closing), 1):
            data = b"" if message is None else json.dumps([message] if batches else message).encode()
            wait = b"retry: %d\n" % retry if retry is not None else b""
            event = b"id: %b\n%bdata: %b\n\n" % (event_id.encode(), wait, data)
            handler.wfile.write(rest + _framed(event, chunked) + comment[:ahead])
            rest = comment[ahead:] if ahead else b""
            if number == most:
                break
        if chunked:
            handler.wfile.write(rest + b"0\r\n\r\n")
    except OSError:
        handler.fake.abandoned += 1  # the client has gone


def _framed(data: bytes, chunked: bool) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if chunked else data
