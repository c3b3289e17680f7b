"""Foreign configurations, as readers see them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from mcpvault.interop.entry import ImportedEntry, Skipped
from mcpvault.interop.exporting import Export
from mcpvault.interop.source import Source
from mcpvault.interop.sources import Imported, read
from mcpvault.interop.targets import TARGETS

TOKEN = "ghp_9f8e7d6c5b4a39281706f5e4d3c2b1a0zzzz"
RANDOM = "Zq81mVx07LrTs5GhWp93kNc26YdFa4Jb"
URL = "https://api.example.com/mcp"


def source(content: object, path: str = "/somewhere/mcp.json") -> Source:
    """Return the source that *content* would be, bytes as they are and anything else as JSON."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Source.of(Path(path), data)


def imported(content: object, kind: str | None = None, path: str = "/somewhere/mcp.json") -> Imported:
    """Read a configuration."""
    return read(source(content, path), kind)


def one(server: object, kind: str = "mcp-use", name: str = "s") -> ImportedEntry:
    """Return the entry that one server table becomes."""
    [entry] = imported(holding(server, kind, name), kind).entries
    return entry


def skipped(server: object, kind: str = "mcp-use") -> Skipped:
    """Return why one server table becomes none."""
    [left] = imported(holding(server, kind), kind).skipped
    return left


def holding(server: object, kind: str, name: str = "s") -> dict[str, Any]:
    """Return a whole file around one server table."""
    root = {"mcp-use-cli": "sessions", "vscode": "servers"}.get(kind, "mcpServers")
    return {root: {name: server}}


def sealed(entry: ImportedEntry) -> dict[str, str]:
    """Return what of an entry is to be sealed, in clear."""
    return {field: secret.reveal() for field, secret in entry.secrets}


def said(entry: ImportedEntry) -> str:
    """Return everything that is told about an entry; no secret may be in it."""
    return "\n".join([repr(entry), *entry.todo, *entry.losses, *entry.references, json.dumps(entry.tree)])


def http(**keys: Any) -> ImportedEntry:
    """Return the entry of a remote server."""
    entry = one({"url": URL, **keys})
    assert TOKEN not in said(entry)
    return entry


def stdio(**keys: Any) -> ImportedEntry:
    """Return the entry of a local server; it waits for approval."""
    entry = one({"command": "tool", **keys})
    assert TOKEN not in said(entry)
    assert entry.tree["approved"] is False
    return entry


def told(lines: tuple[str, ...], *parts: str) -> bool:
    """Tell whether one of *lines* holds all *parts*."""
    return any(all(part in line for part in parts) for line in lines)


def around(client: str, server: Any) -> Any:
    """Return a file of *client* around one server."""
    return {TARGETS[client].root: {"s": server}}


def text_of(client: str, tree: Any) -> bytes:
    """Return the bytes of a file of *client*."""
    import tomli_w

    return (tomli_w.dumps(tree) if client == "codex" else json.dumps(tree)).encode()


def tree_of(made: Export, client: str) -> Any:
    """Return the tree of what was written."""
    return tomllib.loads(made.text) if client == "codex" else json.loads(made.text)
