"""
Which era a server speaks, by what it answers to a probe or to ``initialize``, and what it says of itself there.

Pure: a status and a body in, a verdict out. The steps are D1–D8 of the design notes, after
MCP 2026-07-28 "Backward Compatibility", versioning and server/discover.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcpvault.errors import RemoteProtocolError, ServerError, UnsupportedVersionError
from mcpvault.mcp.era import (
    HEADER_MISMATCH,
    LEGACY_STDIO,
    META_SERVER,
    MISSING_CAPABILITY,
    MODERN,
    UNSUPPORTED_VERSION,
)
from mcpvault.quoting import quote
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Json


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
    told = meta.get(META_SERVER) if isinstance(meta, dict) else None
    info = told or result.get("serverInfo")
    capabilities, instructions = result.get("capabilities"), result.get("instructions")
    return (
        info if isinstance(info, dict) else {},
        capabilities if isinstance(capabilities, dict) else {},
        instructions if isinstance(instructions, str) else None,
    )
