"""
What a client of one era is told of a server of the other.

Decides which capabilities can be carried over, and what is taken off a request on its way. Pure.

Spec: MCP 2026-07-28 "Versioning"; 2025-11-25 "Lifecycle".
"""

from __future__ import annotations

from typing import Any

from mcpvault.errors import LoginNeededError, McpVaultError, RpcError
from mcpvault.mcp import era
from mcpvault.mcp.wire import Json

Facts = tuple[Json, Json, str | None]  # of a server: info, capabilities, instructions
SERVER_ERROR = -32000
INTERNAL_ERROR = -32603
_PREFIX = "io.modelcontextprotocol/"
# What needs the server to speak first, or a client that polls: not carried from one era to the other.
_OF_MODERN = frozenset({"extensions", "tasks"})


def is_modern(params: Json | None) -> bool:
    """Tell whether a request carries the ``_meta`` of a modern client."""
    meta = (params or {}).get("_meta")
    return isinstance(meta, dict) and era.META_VERSION in meta


def initialize_result(requested: Any, spoken: str | None, facts: Facts) -> Json:
    """Return the InitializeResult for a legacy client: its version where we know it, else our newest legacy one."""
    version = requested if isinstance(requested, str) and requested in era.LEGACY_STDIO else era.LEGACY
    info, capabilities, instructions = facts
    offered = {key: value for key, value in capabilities.items() if key not in _OF_MODERN}
    if spoken == "modern" and isinstance(offered.get("resources"), dict):
        offered["resources"] = {key: value for key, value in offered["resources"].items() if key != "subscribe"}
    found: Json = {
        "protocolVersion": version,
        "capabilities": offered,
        "serverInfo": {"name": "unknown", "version": "0", **info},
    }
    return found if instructions is None else {**found, "instructions": instructions}


def discover_result(facts: Facts) -> Json:
    """Return the DiscoverResult for a modern client of a legacy server."""
    info, capabilities, instructions = facts
    found: Json = {
        "resultType": "complete",
        "supportedVersions": [era.MODERN],
        "capabilities": {
            key: {k: v for k, v in value.items() if k not in ("subscribe", "listChanged")}
            if isinstance(value, dict)
            else value
            for key, value in capabilities.items()
            if key not in _OF_MODERN
        },
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {_PREFIX + "serverInfo": info},
    }
    return found if instructions is None else {**found, "instructions": instructions}


def for_legacy(params: Json | None) -> Json | None:
    """Return a modern client's parameters without what only modern servers understand."""
    meta = (params or {}).get("_meta")
    if params is None or not isinstance(meta, dict):
        return params
    kept = {key: value for key, value in meta.items() if not key.startswith(_PREFIX)}
    rest = {key: value for key, value in params.items() if key not in ("_meta", "inputResponses", "requestState")}
    return {**rest, "_meta": kept} if kept else rest


def unsupported(params: Json | None) -> Json | None:
    """Return the error for a modern client of another version than ours, or None."""
    meta = (params or {}).get("_meta")
    version = meta.get(era.META_VERSION) if isinstance(meta, dict) else None
    if version == era.MODERN:
        return None
    data = {"supported": [era.MODERN], "requested": version}
    return {"code": era.UNSUPPORTED_VERSION, "message": "unsupported protocol version", "data": data}


def error_of(failure: McpVaultError) -> Json:
    """Return the JSON-RPC error that a client is told: the server's own as it is, ours with the hint."""
    if isinstance(failure, RpcError):
        told: Json = {"code": failure.code, "message": failure.message}
        return told if failure.data is None else {**told, "data": failure.data}
    hint = f"; {failure.hint}" if failure.hint else ""
    facts = {"kind": failure.kind, "exitCode": failure.exit_code, "hint": failure.hint}
    if isinstance(failure, LoginNeededError):
        facts["loginCommand"] = failure.login_command
    return {"code": SERVER_ERROR, "message": f"mcpvault: {failure.message}{hint}", "data": facts}
