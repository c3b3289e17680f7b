"""
What came back: messages told apart, an answer judged, its result or its error.

Decides which message answers a request and what each error becomes. Leaves bytes to ``jsonrpc``.

Spec: JSON-RPC 2.0 §5; MCP 2026-07-28 basic (``resultType``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mcpvault.errors import McpVaultError, RemoteProtocolError, UnknownToolError
from mcpvault.mcp import jsonrpc

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Json

# Which requests may be answered by something else than their result (2026-07-28 MRTR; tasks extension).
_UNFINISHED = {
    "input_required": frozenset({"tools/call", "prompts/get", "resources/read"}),
    "task": frozenset({"tools/call"}),
}
_MISSING = ("unknown", "not found", "no such", "not exist")


def messages(data: bytes | bytearray | memoryview, *, batches: bool = False) -> Iterator[Json]:
    """
    Yield the messages in a body: one, or those of a batch where the revision has *batches* (2025-03-26).

    Raises:
        RemoteProtocolError: It is no JSON, or something in it is no JSON-RPC message.
    """
    value = jsonrpc.decode(data)
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
    if not jsonrpc.is_response(message):
        return False
    # "If there was an error in detecting the id in the Request object, it MUST be Null." -- JSON-RPC 2.0 §5
    return jsonrpc.answers(message, id_) or (message.get("id") is None and message.get("error") is not None)


def result_of(message: Json, method: str, params: Json | None, *, server: str) -> Json:
    """
    Return the result object of an answer; its ``resultType`` may be one that *method* allows.

    Raises:
        RpcError: The answer is an error; ``code`` and ``data`` are the server's.
        UnknownToolError: The error says that there is no such tool.
        RemoteProtocolError: The answer is misshapen, or of a kind that was not asked for.
    """
    if (flaw := jsonrpc.flaw(message)) is not None:
        raise RemoteProtocolError(f"{server}: {method}: the server's answer holds {flaw}", server=server)
    if message.get("error") is not None:
        raise _error(message["error"], method, params, server)
    result: Json = message["result"]
    # Absent means complete (servers before 2026-07-28); an unknown kind is an invalid result.
    kind = result.get("resultType", "complete")
    if kind != "complete" and method not in _UNFINISHED.get(str(kind), ()):
        from mcpvault.quoting import quote

        shown = quote(str(kind)[:40])
        raise RemoteProtocolError(f"{server}: {method}: the server answered with resultType {shown!r}", server=server)
    return result


def _error(error: Any, method: str, params: Json | None, server: str) -> McpVaultError:
    said = error["message"].lower() if method == "tools/call" else ""
    lookup = error["code"] in (jsonrpc.METHOD_NOT_FOUND, jsonrpc.INVALID_PARAMS)
    if lookup and "tool" in said and any(word in said for word in _MISSING):
        tool = str((params or {}).get("name", ""))
        return UnknownToolError(
            f"{server}: the server has no tool {tool!r}", hint=f"run: mcpvault tools {server}", server=server
        )
    return jsonrpc.rpc_error(error, method=method, server=server)
