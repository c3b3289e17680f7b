"""
How each client is written: the form of a server, of a reference, and the words around them.

Decides what a client can say. What it cannot goes through ``mcpvault stdio NAME``, which every client can start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from vault_schema.record import Record

Tree = dict[str, Any]
# A variable, its default or None, and where it stands (stdio, header, url); None where the client cannot say it.
Say = Callable[[str, str | None, str], str | None]
_NOTHING: Mapping[str, str] = MappingProxyType({})


def _never(name: str, default: str | None, place: str) -> None:
    return None


def _dollar(name: str, default: str | None, place: str) -> str | None:
    return f"${{{name}}}" if default is None else f"${{{name}:-{default}}}"


def _env(name: str, default: str | None, place: str) -> str | None:
    return f"${{env:{name}}}" if default is None else None


def _vscode(name: str, default: str | None, place: str) -> str | None:
    if default is not None:
        return None
    # "${env:…}" in headers is reported not to be expanded: there an input asks once, and VS Code keeps it.
    return f"${{input:{name}}}" if place == "header" else f"${{env:{name}}}"


def _gemini(name: str, default: str | None, place: str) -> str | None:
    return f"${{{name}}}" if default is None else None


class Target(Record):
    """
    One client.

    Args:
        root: The key that holds the servers.
        say: How it writes a reference.
        url: The key of an HTTP server's URL; None: it knows no HTTP servers.
        http: What else an HTTP server says of itself.
        sse: What an HTTP+SSE server says instead; None: it knows none.
        stdio: What a stdio server says of itself.
        toml: Its file is TOML.
        helper: It runs a command that prints headers (``headersHelper``).
        cwd: It knows the folder of a stdio server.
        timeout: The key of a call's limit of time, and how many of its units are a second; None: it knows none.
    """

    root: str
    say: Say = _never
    url: str | None = "url"
    http: Mapping[str, str] = _NOTHING
    sse: Mapping[str, str] | None = None
    stdio: Mapping[str, str] = _NOTHING
    toml: bool = False
    helper: bool = False
    cwd: bool = False
    timeout: tuple[str, int] | None = None


TARGETS: Mapping[str, Target] = {
    "claude-desktop": Target(root="mcpServers", url=None),
    "claude-code": Target(
        root="mcpServers",
        say=_dollar,
        http={"type": "http"},
        sse={"type": "sse"},
        helper=True,
        cwd=True,
        timeout=("timeout", 1000),
    ),
    "cursor": Target(root="mcpServers", say=_env),
    "vscode": Target(
        root="servers", say=_vscode, http={"type": "http"}, sse={"type": "sse"}, stdio={"type": "stdio"}, cwd=True
    ),
    "windsurf": Target(root="mcpServers", say=_env, url="serverUrl"),
    "zed": Target(root="context_servers", timeout=("timeout", 1)),
    "codex": Target(root="mcp_servers", toml=True, cwd=True, timeout=("tool_timeout_sec", 1)),
    "gemini": Target(root="mcpServers", say=_gemini, url="httpUrl", cwd=True, timeout=("timeout", 1000)),
    "fastmcp": Target(
        root="mcpServers",
        http={"transport": "http"},
        sse={"transport": "sse"},
        cwd=True,
        timeout=("timeout", 1000),
    ),
    "mcp-use": Target(root="mcpServers", sse={"transport": "sse"}),
}
