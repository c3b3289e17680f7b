"""
The two eras of the protocol: versions, and the headers and ``_meta`` of each.

Leaves which of them a server speaks to ``judgement``.

Spec: MCP 2026-07-28 "Backward Compatibility", versioning.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcpvault._version import VERSION
from mcpvault.credentials import is_field_value
from mcpvault.errors import UsageError

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Json

MODERN = "2026-07-28"
LEGACY = "2025-11-25"  # what we offer in initialize
LEGACY_HTTP = frozenset({"2025-11-25", "2025-06-18", "2025-03-26"})
LEGACY_STDIO = LEGACY_HTTP | {"2024-11-05"}
BATCHES = frozenset({"2025-03-26"})  # revisions in which a server may send arrays of messages
CLIENT_INFO: Mapping[str, str] = {"name": "mcpvault", "version": VERSION}

HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION = -32020, -32021, -32022
_PREFIX = "io.modelcontextprotocol/"
META_VERSION, META_CAPABILITIES = _PREFIX + "protocolVersion", _PREFIX + "clientCapabilities"
META_LOG_LEVEL, META_SUBSCRIPTION = _PREFIX + "logLevel", _PREFIX + "subscriptionId"
META_SERVER = _PREFIX + "serverInfo"
META: Mapping[str, Any] = {
    META_VERSION: MODERN,
    META_CAPABILITIES: {},
    _PREFIX + "clientInfo": dict(CLIENT_INFO),
}
_NAMED = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
ANNOTATION = "x-mcp-header"  # in a tool's schema, of an argument that is mirrored into a header
_SENTINEL = ("=?base64?", "?=")
_READS = frozenset(
    {
        "server/discover",
        "tools/list",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "tasks/get",
        "ping",
    }
)


def is_safe(method: str) -> bool:
    """Tell whether carrying out *method* twice is the same as once."""
    return method in _READS


def modern_params(params: Json | None, meta: Mapping[str, Any] = META) -> Json:
    """Return *params* with the ``_meta`` that every modern request carries (L1); what is there already stays."""
    if params is None:
        return {"_meta": meta}
    own = params.get("_meta")
    return {**params, "_meta": {**meta, **own} if own else meta}


def modern_headers(method: str, params: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the headers of a modern request that mirror its body (T3–T5, T8)."""
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    if (field := _NAMED.get(method)) and params:
        headers["Mcp-Name"] = header_value(str(params.get(field, "")))
    return headers


def may_mirror(page: Json) -> bool:
    """Tell whether a page of ``tools/list`` may hold an argument that is mirrored; ``param_headers`` looks closely."""
    tools = page.get("tools")
    try:
        return isinstance(tools, list) and any(ANNOTATION in str(tool) for tool in tools)
    except (RecursionError, ValueError):  # it could be read, but not be written
        return True


def header_value(text: str) -> str:
    """Return *text* as a header may carry it: as it is, or as ``=?base64?…?=`` (T8)."""
    # "${" too: the guard would take it for a reference that was not resolved.
    begin, end = _SENTINEL
    encoded = text.startswith(begin) and text[len(begin) :].endswith(end)
    if is_field_value(text) and not encoded and "${" not in text:
        return text
    return f"{begin}{base64.b64encode(text.encode()).decode('ascii')}{end}"


def initialize_params(*, version: str = LEGACY, capabilities: Json | None = None) -> Json:
    """Return the parameters of ``initialize`` (legacy lifecycle)."""
    return {"protocolVersion": version, "capabilities": capabilities or {}, "clientInfo": dict(CLIENT_INFO)}


def casts_doubt(code: int) -> bool:
    """
    Tell whether a JSON-RPC error makes a remembered "modern" doubtful.

    So does what a server says that does not understand the request; -32602 too is common before
    ``initialize``. The codes that only modern servers know do not, nor does a tool's own failure.
    Most of them may also come after something was carried out: only ``RpcError.refused`` allows to ask again.
    """
    return code in (-32600, -32601, -32602, UNSUPPORTED_VERSION) or -32019 <= code <= -32000


def own_meta(meta: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """
    Return the caller's *meta* if it leaves the protocol's own keys alone.

    Raises:
        UsageError: It does not.
    """
    for key in meta or ():
        if key.startswith(_PREFIX) or key == "progressToken":
            raise UsageError(f"meta: {key!r} is the protocol's own")
    return meta
