"""
The clients whose files can be read: how each writes them, and which client a file belongs to.

To add a client: write its row in ``CLIENTS`` and, if its file is shaped in a new way, where its servers stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcpvault.errors import ConfigurationError
from mcpvault.interop import literals
from mcpvault.interop.dialects import Dialect
from mcpvault.interop.entry import ImportedEntry, Skipped
from mcpvault.interop.servers import imported, our_name
from mcpvault.interop.source import Source, Written

Place = tuple[str, ...]
Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """
    One client.

    ``servers`` yields the tables of servers in its tree, each with its place. ``typed`` tells whether
    its stdio entries must say ``"type": "stdio"``; ``shared`` that others write the file all the time.
    """

    kind: str
    dialect: Dialect
    servers: Callable[[Tree], Iterator[tuple[Place, Tree]]]
    ignored: frozenset[str] = frozenset()
    typed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file holds: entries, servers that were left out, and what concerns the whole file."""

    kind: str
    entries: tuple[ImportedEntry, ...]
    skipped: tuple[Skipped, ...]
    losses: tuple[str, ...] = ()
    active: str | None = None


def _below(*place: str) -> Callable[[Tree], Iterator[tuple[Place, Tree]]]:
    def servers(tree: Tree) -> Iterator[tuple[Place, Tree]]:
        found = _at(tree, place)
        if isinstance(found, dict):
            yield place, found

    return servers


def _at(tree: Any, place: Place) -> Any:
    for key in place:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _claude_code(tree: Tree) -> Iterator[tuple[Place, Tree]]:
    yield from _below("mcpServers")(tree)
    projects = tree.get("projects")
    for project in projects if isinstance(projects, dict) else ():
        yield from _below("projects", project, "mcpServers")(tree)


def _vscode(tree: Tree) -> Iterator[tuple[Place, Tree]]:
    for place in (("servers",), ("mcp", "servers"), ("customizations", "vscode", "mcp", "servers")):
        yield from _below(*place)(tree)


_FOLDERS = frozenset({"workspaceFolder", "workspaceFolderBasename", "workspaceRoot"})
_HOME = {"userHome": "${env:HOME}", "pathSeparator": "/", "/": "/"}
CLIENTS: dict[str, Client] = {
    client.kind: client
    for client in (
        Client(kind="mcp-use", dialect=Dialect(client="mcp-use"), servers=_below("mcpServers")),
        Client(
            kind="mcp-use-cli",
            dialect=Dialect(client="mcp-use"),
            servers=_below("sessions"),
            ignored=frozenset({"lastUsed", "serverInfo"}),
            typed=True,
        ),
        Client(
            kind="claude-desktop",
            dialect=Dialect(client="Claude Desktop", expands=False),
            servers=_below("mcpServers"),
        ),
        Client(
            kind="claude-code",
            dialect=Dialect(
                client="Claude Code", own=frozenset({"CLAUDE_PLUGIN_ROOT", "CLAUDE_PLUGIN_DATA", "CLAUDE_PROJECT_DIR"})
            ),
            servers=_claude_code,
        ),
        Client(
            kind="cursor",
            dialect=Dialect(client="Cursor", fixed=_HOME, own=_FOLDERS),
            servers=_below("mcpServers"),
        ),
        Client(
            kind="vscode",
            dialect=Dialect(
                client="VS Code",
                fixed=_HOME,
                own=_FOLDERS | {"cwd", "file", "config", "command", "extensionInstallFolder"},
                inputs={},
            ),
            servers=_vscode,
            typed=True,
        ),
    )
}


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
    if any(True for _ in _vscode(tree)) and "mcpServers" not in tree:
        return "vscode"
    if name == "claude_desktop_config.json":
        return "claude-desktop"
    if name in (".mcp.json", ".claude.json", "managed-mcp.json") or isinstance(tree.get("projects"), dict):
        return "claude-code"
    if isinstance(tree.get("mcpServers"), dict):
        return "cursor" if folders & {".cursor", "cursor"} else "mcp-use"
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
        dialect = replace(dialect, inputs=_inputs(source.tree))
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
            if place[0] == "projects" and theirs in seen and _same(seen[theirs], server):
                continue
            seen.setdefault(theirs, server)
            name = our_name(theirs, (entry.name for entry in entries))
            made = imported(
                (*place, theirs), server, name=name, kind=client.kind, dialect=dialect, ignored=client.ignored
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


def _inputs(tree: Tree) -> dict[str, str | None]:
    """Return VS Code's inputs, id to the default that may be written down."""
    inputs: dict[str, str | None] = {}
    for place in (("inputs",), ("mcp", "inputs"), ("customizations", "vscode", "mcp", "inputs")):
        listed = _at(tree, place)
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, dict) and isinstance(each.get("id"), Written):
                default = each.get("default")
                name, text = each["id"].reveal(), default.reveal() if isinstance(default, Written) else ""
                may = text and each.get("password") is not True and not literals.is_secret(name, text)
                inputs[name] = text if may else None
    return inputs


def _active(tree: Tree, entries: list[ImportedEntry]) -> str | None:
    active = tree.get("activeSession")
    theirs = active.reveal() if isinstance(active, Written) else None
    return next((entry.name for entry in entries if entry.place[-1] == theirs), None)
