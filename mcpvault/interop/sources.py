"""
Whose file it is, and the servers in it.

Decides which client a file belongs to. Leaves how each writes to ``clients``, and a server's keys to ``servers``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcpvault.errors import ConfigurationError
from mcpvault.interop import literals
from mcpvault.interop.clients import CLIENTS, Tree, at, vscode_servers
from mcpvault.interop.entry import ImportedEntry, Skipped
from mcpvault.interop.servers import imported, our_name
from mcpvault.interop.source import Source, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file holds: entries, servers that were left out, and what concerns the whole file."""

    kind: str
    entries: tuple[ImportedEntry, ...]
    skipped: tuple[Skipped, ...]
    losses: tuple[str, ...] = ()
    active: str | None = None


_FOLDERS = {
    "cursor": {".cursor", "cursor"},
    "windsurf": {".windsurf", "windsurf", "windsurf-next"},
    "gemini": {".gemini"},
}
_FASTMCP = frozenset({"keep_alive", "sse_read_timeout", "authentication", "description", "icon", "include_tags"})


def _speaks_fastmcp(servers: Tree) -> bool:
    return any(isinstance(each, dict) and not _FASTMCP.isdisjoint(each) for each in servers.values())


def detect(path: Path, tree: Tree) -> str:
    """
    Return the kind of client whose file this is, by its path, then by its shape.

    Raises:
        ConfigurationError: It is no client's that is known here.
    """
    folders = {part.lower() for part in path.parts[:-1]}
    name = path.name.lower()
    if isinstance(tree.get("sessions"), dict) and "mcpServers" not in tree:
        return "mcp-use-cli"
    if any(True for _ in vscode_servers(tree)) and "mcpServers" not in tree:
        return "vscode"
    if isinstance(tree.get("context_servers"), dict):
        return "zed"
    if isinstance(tree.get("mcp_servers"), dict):
        return "codex"
    if name == "claude_desktop_config.json":
        return "claude-desktop"
    if name in (".mcp.json", ".claude.json", "managed-mcp.json") or isinstance(tree.get("projects"), dict):
        return "claude-code"
    if isinstance(tree.get("mcpServers"), dict):
        for kind, parts in _FOLDERS.items():
            if folders & parts:
                return kind
        return "fastmcp" if name == "fastmcp.json" or _speaks_fastmcp(tree["mcpServers"]) else "mcp-use"
    raise ConfigurationError(
        f"{path}: holds no MCP servers in a shape that is known here",
        hint=f"known are: {', '.join(CLIENTS)}; name one with --from",
    )


def read(source: Source, kind: str | None = None) -> Imported:
    """
    Return the servers of *source*; nothing is expanded, run or written.

    Args:
        source: The file.
        kind: The client, a key of ``CLIENTS``; by default ``detect`` decides.

    Raises:
        ConfigurationError: There is no such client, or the file holds no servers as that client writes them.
    """
    kind = kind or detect(source.path, source.tree)
    if kind not in CLIENTS:
        raise ConfigurationError(f"there is no reader {kind!r}", hint=f"known are: {', '.join(CLIENTS)}")
    client = CLIENTS[kind]
    dialect = client.dialect
    if dialect.inputs is not None:
        dialect = replace(dialect, inputs=_inputs(source.tree), declared=_declared(source.tree))
    tables = list(client.servers(source.tree))
    if not tables and not isinstance(source.tree.get("projects"), dict):
        raise ConfigurationError(
            f"{source.path}: holds no servers as {dialect.client} writes them", hint="name another reader with --from"
        )
    entries: list[ImportedEntry] = []
    skipped: list[Skipped] = []
    seen: dict[str, Any] = {}
    for place, table in tables:
        for theirs, server in table.items():
            if place[:1] == ("projects",) and theirs in seen and _same(seen[theirs], server):
                continue
            seen.setdefault(theirs, server)
            name = our_name(theirs, (entry.name for entry in entries))
            made = imported(
                (*place, theirs),
                client.normal(server) if isinstance(server, dict) else server,
                name=name,
                kind=client.kind,
                dialect=dialect,
                ignored=client.ignored,
            )
            (entries if isinstance(made, ImportedEntry) else skipped).append(made)  # type: ignore[arg-type]
    return Imported(
        kind=kind,
        entries=tuple(entries),
        skipped=tuple(skipped),
        losses=("clientInfo: what the client calls itself",) if "clientInfo" in source.tree else (),
        active=_active(source.tree, entries) if kind == "mcp-use-cli" else None,
    )


def _same(one: Any, other: Any) -> bool:
    """Compare two tables whose texts are ``Written``."""
    if isinstance(one, Written) and isinstance(other, Written):
        return one.reveal() == other.reveal()
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _declared(tree: Tree) -> dict[str, Any]:
    """Return VS Code's inputs by id."""
    listed = [at(tree, (*place, "inputs")) for place in ((), ("mcp",), ("customizations", "vscode", "mcp"))]
    found = [each for some in listed if isinstance(some, list) for each in some if isinstance(each, dict)]
    return {each["id"].reveal(): each for each in found if isinstance(each.get("id"), Written)}


def _inputs(tree: Tree) -> dict[str, str | None]:
    """Return VS Code's inputs, id to the default that may be written down."""
    inputs: dict[str, str | None] = {}
    for name, each in _declared(tree).items():
        default = each.get("default")
        text = default.reveal() if isinstance(default, Written) else ""
        may = text and each.get("password") is not True and not literals.is_secret(name, text)
        inputs[name] = text if may else None
    return inputs


def _active(tree: Tree, entries: list[ImportedEntry]) -> str | None:
    active = tree.get("activeSession")
    theirs = active.reveal() if isinstance(active, Written) else None
    return next((entry.name for entry in entries if entry.place[-1] == theirs), None)
