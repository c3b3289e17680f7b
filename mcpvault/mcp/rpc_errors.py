"""
Which exception the error of a JSON-RPC answer becomes, and what of it may be shown.

Spec: JSON-RPC 2.0 §5.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpvault.errors import McpVaultError, RpcError, UnknownToolError
from mcpvault.mcp import jsonrpc
from mcpvault.quoting import quote
from mcpvault.secret import redact

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Json

_LARGEST_DATA = 64 * 1024  # bytes of an error's data that are worth keeping
_REFUSALS = frozenset({jsonrpc.METHOD_NOT_FOUND, -32022})  # unknown method or version: nothing was carried out
_MISSING = ("unknown", "not found", "no such", "not exist")


def error_of(error: Json, method: str, params: Json | None, *, server: str) -> McpVaultError:
    """Return the exception for the error that answers *method*: there may be no such tool."""
    said = error["message"].lower() if method == "tools/call" else ""
    lookup = error["code"] in (jsonrpc.METHOD_NOT_FOUND, jsonrpc.INVALID_PARAMS)
    if lookup and "tool" in said and any(word in said for word in _MISSING):
        tool = str((params or {}).get("name", ""))
        return UnknownToolError(
            f"{server}: the server has no tool {tool!r}", hint=f"run: mcpvault tools {server}", server=server
        )
    return rpc_error(error, method=method, server=server)


def rpc_error(error: Json, *, method: str, server: str) -> RpcError:
    """Return the exception for the ``error`` member of a response; what the server said is redacted."""
    code = error["code"]
    return RpcError(
        f"{server}: {method}: the server answered error {code}: {quote(error['message'])!r}",
        code=code,
        data=_clean(error.get("data")),
        refused=code in _REFUSALS,
        server=server,
    )


def _clean(data: object) -> object:
    """Return an error's data with every live secret masked; None if it is too large to be of use."""
    try:
        return _masked(data) if len(jsonrpc.text_of(data)) <= _LARGEST_DATA else None
    except (ValueError, RecursionError):
        return None


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(key): _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value
