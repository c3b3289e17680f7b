"""
Which era a server speaks: versions, the headers and ``_meta`` of each, and the judgement of a probe.

Pure: a status and a body in, a verdict out. The steps are D1–D8 of the design notes, after
MCP 2026-07-28 "Backward Compatibility", versioning and server/discover.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcpvault._version import VERSION
from mcpvault.credentials import is_field_value
from mcpvault.errors import RemoteProtocolError, ServerError, UnsupportedVersionError, UsageError
from vault_schema.record import Record

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


class Verdict(Record):
    """
    What a probe has shown.

    ``era`` is None when nothing can be said: then ``why`` is the fault. ``discovered`` is the
    DiscoverResult of a modern server.
    """

    era: str | None
    why: str = ""
    discovered: Json | None = None
    supported: tuple[str, ...] = ()


def judge_discover(status: int, message: Json | None) -> Verdict:
    """
    Judge the answer to ``server/discover`` at 2026-07-28.

    Args:
        status: The HTTP status; 200 on stdio.
        message: The JSON-RPC message in the body, or None if it held none.

    401, 403, 429 and 5xx are never evidence of an era (D7, D8): do not pass them here.
    """
    if message is None:
        # "an empty or unrecognized body" -- a legacy server that wants its session first (D6)
        return Verdict("legacy") if status in (400, 404, 405) else Verdict(None, "an answer that is no JSON-RPC")
    error = message.get("error")
    if error is None:
        result = message.get("result")
        if not isinstance(result, dict):
            return Verdict(None, "a result that is no object")
        versions = _texts(result.get("supportedVersions"))
        if MODERN in versions or (not versions and status == 200 and "capabilities" in result):
            return Verdict("modern", discovered=result, supported=versions)
        if not versions or any(version in LEGACY_STDIO for version in versions):
            # Without versions it is no DiscoverResult: some legacy servers answer whatever they are asked.
            return Verdict("legacy", supported=versions)
        return Verdict(None, "no protocol version in common", supported=versions)
    code = error.get("code") if isinstance(error, dict) else None
    data = error.get("data") if isinstance(error, dict) else None
    if code == UNSUPPORTED_VERSION:
        versions = _texts(data.get("supported")) if isinstance(data, dict) else ()
        if MODERN in versions:
            return Verdict("modern", supported=versions)
        if not versions or any(version in LEGACY_STDIO for version in versions):
            return Verdict("legacy", supported=versions)
        return Verdict(None, "no protocol version in common", supported=versions)
    if code in (HEADER_MISMATCH, MISSING_CAPABILITY):
        return Verdict("modern")
    return Verdict("legacy")


def casts_doubt(code: int) -> bool:
    """
    Tell whether a JSON-RPC error makes a remembered "modern" doubtful.

    So does what a server says that does not understand the request; -32602 too is common before
    ``initialize``. The codes that only modern servers know do not, nor does a tool's own failure.
    Most of them may also come after something was carried out: only ``RpcError.refused`` allows to ask again.
    """
    return code in (-32600, -32601, -32602, UNSUPPORTED_VERSION) or -32019 <= code <= -32000


def accepted(result: Json, versions: frozenset[str], *, server: str) -> str:
    """
    Return the protocol version that a server answered ``initialize`` with.

    Raises:
        UnsupportedVersionError: It is none of *versions*.
    """
    version = result.get("protocolVersion")
    if isinstance(version, str) and version in versions:
        return version
    raise disjoint([version] if isinstance(version, str) else [], server=server)


def disjoint(supported: Sequence[str], *, server: str) -> UnsupportedVersionError:
    """Return the error for a server that speaks only *supported*."""
    from mcpvault.quoting import quote

    said = ", ".join(quote(version) for version in supported[:10]) or "no version"
    return UnsupportedVersionError(
        f"{server}: the server speaks {said}, which we do not", supported=supported, server=server
    )


def undecided(verdict: Verdict, *, server: str) -> ServerError:
    """Return the error for a *verdict* that names no era."""
    if verdict.supported:
        return disjoint(verdict.supported, server=server)
    return RemoteProtocolError(
        f"{server}: asked what it speaks, the server sent {verdict.why}",
        hint=f"if it is an older server, run: mcpvault set {server} era legacy",
        server=server,
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def facts_of(result: Json) -> tuple[Json, Json, str | None]:
    """Return server info, capabilities and instructions from a DiscoverResult or an InitializeResult."""
    meta = result.get("_meta")
    told = meta.get(_PREFIX + "serverInfo") if isinstance(meta, dict) else None
    info = told or result.get("serverInfo")
    capabilities, instructions = result.get("capabilities"), result.get("instructions")
    return (
        info if isinstance(info, dict) else {},
        capabilities if isinstance(capabilities, dict) else {},
        instructions if isinstance(instructions, str) else None,
    )


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
