"""
JSON-RPC 2.0: messages to bytes and back, and an answer's result.

Decides what is a well-formed message, and which message answers a request. Leaves what an error becomes to
``rpc_errors``, and the meaning of methods to others.

Spec: jsonrpc.org/specification §4–5; MCP 2026-07-28 basic (``resultType``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from mcpvault.errors import RemoteProtocolError, UsageError

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Json

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

_SURROGATE = rb"\\u[dD][89a-fA-F]"
_SMALL = 64 * 1024  # bytes; beyond them msgspec repays its import
# Which requests may be answered by something else than their result (2026-07-28 MRTR; tasks extension).
_UNFINISHED = {
    "input_required": frozenset({"tools/call", "prompts/get", "resources/read"}),
    "task": frozenset({"tools/call"}),
}
_HEAD = {"jsonrpc": "2.0"}


def request(id_: int, method: str, params: Json | None) -> bytes:
    """Return the bytes of a request; raise UsageError where *params* cannot be written as JSON."""
    message = {"jsonrpc": "2.0", "id": id_, "method": method}
    if params is not None:
        message["params"] = params
    return encode(message)


class Numbered:
    """
    The bytes of a request, under a new id each time that they are asked for; ``id`` is the last one.

    "re-issue … as a new request with a new request ID" -- MCP 2026-07-28, key changes.
    """

    id = 0

    def __init__(self, ids: Iterator[int], method: str, params: Json | None) -> None:
        self._ids, self._method, self._params = ids, method, params

    def __call__(self) -> bytes:
        """Return them."""
        self.id = next(self._ids)
        return request(self.id, self._method, self._params)


def notification(method: str, params: Json | None = None) -> bytes:
    """Return the bytes of a notification."""
    return encode({**_HEAD, "method": method} if params is None else {**_HEAD, "method": method, "params": params})


def cancelled(id_: int, reason: str) -> bytes:
    """Return the notification that the request *id_* is no longer wanted."""
    return notification("notifications/cancelled", {"requestId": id_, "reason": reason})


def reply_to(message: Json) -> bytes:
    """
    Return the answer to a request that a legacy server sent us.

    "The receiver MUST respond promptly with an empty response" -- MCP 2025-11-25, ping.
    Whatever else it asks for was never declared.
    """
    head = head_of_reply(message)
    if message["method"] == "ping":
        return encode({**head, "result": {}})
    return encode({**head, "error": {"code": METHOD_NOT_FOUND, "message": "method not found"}})


def head_of_reply(request: Json) -> Json:
    """Return what the answer to a server's *request* begins with."""
    id_ = request["id"]
    usable = type(id_) in (int, float) or (isinstance(id_, str) and id_.encode("utf-8", "ignore").decode() == id_)
    # "If there was an error in detecting the id in the Request object, it MUST be Null." -- JSON-RPC 2.0 §5
    return {**_HEAD, "id": id_ if usable else None}


def encode(message: Json) -> bytes:
    """
    Return *message* as UTF-8 JSON without line breaks.

    Raises:
        UsageError: It holds something that JSON cannot say: NaN, an infinity, lone surrogates, other objects.
    """
    try:
        return text_of(message).encode()
    except (TypeError, ValueError, RecursionError):
        pass
    raise UsageError("the arguments cannot be written as JSON")


text_of = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def decode(data: bytes | bytearray | memoryview) -> Any:
    """
    Return the JSON value in *data*, or an instance of RemoteProtocolError that says what is wrong.

    It is returned, not raised, because a decoder's exception quotes its input.
    """
    reason = "not JSON"
    try:
        return _decode(str(data, "utf-8")) if len(data) <= _SMALL else _decode_large(data)
    except UnicodeDecodeError:
        reason = "not UTF-8"
    except RecursionError:
        reason = "nested too deeply"
    except ValueError:
        # A lone surrogate escape (a truncated emoji) is valid JSON that msgspec refuses.
        if re.search(_SURROGATE, data):
            return _decode_slowly(data)
    return RemoteProtocolError(f"the server's message is {reason}")


def _decode_large(data: bytes | bytearray | memoryview) -> Any:
    import msgspec

    return msgspec.json.decode(data)


def _decode_slowly(data: bytes | bytearray | memoryview) -> Any:
    try:
        return _decode(str(data, "utf-8"))
    except (ValueError, RecursionError):
        return RemoteProtocolError("the server's message is not JSON")


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


_decode = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite).decode


def is_response(message: Json) -> bool:
    """Tell whether *message* is an answer rather than a request or a notification."""
    return "method" not in message


def answers(message: Json, id_: int) -> bool:
    """Tell whether the response *message* is for the request *id_*: the type counts, ``true`` is not 1."""
    return type(message.get("id")) is int and message["id"] == id_


def flaw(message: Json) -> str | None:
    """Return what is wrong with the shape of a response, or None."""
    if message.get("error") is not None:
        if message.get("result") is not None:
            return "both result and error"
        error = message["error"]
        if (
            not isinstance(error, dict)
            or type(error.get("code")) is not int
            or not isinstance(error.get("message"), str)
        ):
            return "a misshapen error"
        return None
    if "result" not in message:
        return "neither result nor error"
    return None if isinstance(message["result"], dict) else "a result that is no object"


def messages(data: bytes | bytearray | memoryview, *, batches: bool = False) -> Iterator[Json]:
    """
    Yield the messages in a body: one, or those of a batch where the revision has *batches* (2025-03-26).

    Raises:
        RemoteProtocolError: It is no JSON, or something in it is no JSON-RPC message.
    """
    value = decode(data)
    if isinstance(value, RemoteProtocolError):
        raise value
    for message in value if batches and isinstance(value, list) else (value,):
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            raise RemoteProtocolError("the server sent something that is no JSON-RPC 2.0 message")
        yield message


def read(data: bytes | bytearray | memoryview, *, batches: bool = False) -> list[Json]:
    """Return the messages in a body; see ``messages``."""
    return [*messages(data, batches=batches)]


def is_answer(message: Json, id_: int) -> bool:
    """Tell whether *message* answers request *id_*; an error without an id answers the request it came back for."""
    if not is_response(message):
        return False
    # "If there was an error in detecting the id in the Request object, it MUST be Null." -- JSON-RPC 2.0 §5
    return answers(message, id_) or (message.get("id") is None and message.get("error") is not None)


def result_of(message: Json, method: str, params: Json | None, *, server: str) -> Json:
    """
    Return the result object of an answer; its ``resultType`` may be one that *method* allows.

    Raises:
        RpcError: The answer is an error; ``code`` and ``data`` are the server's.
        UnknownToolError: The error says that there is no such tool.
        RemoteProtocolError: The answer is misshapen, or of a kind that was not asked for.
    """
    if (wrong := flaw(message)) is not None:
        raise RemoteProtocolError(f"{server}: {method}: the server's answer holds {wrong}", server=server)
    if message.get("error") is not None:
        from mcpvault.mcp.rpc_errors import error_of

        raise error_of(message["error"], method, params, server=server)
    result: Json = message["result"]
    # Absent means complete (servers before 2026-07-28); an unknown kind is an invalid result.
    kind = result.get("resultType", "complete")
    if kind != "complete" and method not in _UNFINISHED.get(str(kind), ()):
        from mcpvault.quoting import quote

        shown = quote(str(kind)[:40])
        raise RemoteProtocolError(f"{server}: {method}: the server answered with resultType {shown!r}", server=server)
    return result
