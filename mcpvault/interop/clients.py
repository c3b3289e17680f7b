"""
The clients whose files are read and written: where each keeps its servers, and how it writes them.

To add a client: write its row in ``CLIENTS`` and, if it has words of its own for a server's keys, what they are in
``normal``; then its row in ``targets``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mcpvault.interop import normal
from mcpvault.interop.dialects import Dialect

Place = tuple[str, ...]
Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """
    One client.

    ``servers`` yields the tables of servers in its tree, each with its place. ``typed`` tells whether
    its stdio entries must say ``"type": "stdio"``. ``normal`` turns one server's table into the common words.
    """

    kind: str
    dialect: Dialect
    servers: Callable[[Tree], Iterator[tuple[Place, Tree]]]
    ignored: frozenset[str] = frozenset()
    typed: bool = False
    normal: Callable[[Tree], Tree] = normal.as_it_is


def _below(*place: str) -> Callable[[Tree], Iterator[tuple[Place, Tree]]]:
    def servers(tree: Tree) -> Iterator[tuple[Place, Tree]]:
        found = at(tree, place)
        if isinstance(found, dict):
            yield place, found

    return servers


def at(tree: Any, place: Place) -> Any:
    """Return what stands at *place*, None where nothing does."""
    for key in place:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _claude_code(tree: Tree) -> Iterator[tuple[Place, Tree]]:
    yield from _below("mcpServers")(tree)
    projects = tree.get("projects")
    for project in projects if isinstance(projects, dict) else ():
        yield from _below("projects", project, "mcpServers")(tree)


def vscode_servers(tree: Tree) -> Iterator[tuple[Place, Tree]]:
    """Yield VS Code's tables of servers: of its own file, of its settings, of a dev container."""
    for place in (("servers",), ("mcp", "servers"), ("customizations", "vscode", "mcp", "servers")):
        yield from _below(*place)(tree)


def _fastmcp(tree: Tree) -> Iterator[tuple[Place, Tree]]:
    """The file may be the map of servers itself."""
    if isinstance(tree.get("mcpServers"), dict):
        yield from _below("mcpServers")(tree)
    elif tree and all(isinstance(each, dict) for each in tree.values()):
        yield (), tree


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
            servers=vscode_servers,
            typed=True,
        ),
        Client(
            kind="windsurf",
            dialect=Dialect(client="Windsurf", own=frozenset({"file"})),
            servers=_below("mcpServers"),
        ),
        Client(
            kind="zed",
            dialect=Dialect(client="Zed", expands=False),
            servers=_below("context_servers"),
            ignored=frozenset({"source", "remote"}),
            normal=normal.of_zed,
        ),
        Client(
            kind="codex",
            dialect=Dialect(client="Codex", expands=False, named=normal.NAMED),
            servers=_below("mcp_servers"),
            normal=normal.of_codex,
        ),
        Client(
            kind="gemini",
            dialect=Dialect(client="Gemini CLI"),
            servers=_below("mcpServers"),
            normal=normal.of_gemini,
        ),
        Client(
            kind="fastmcp",
            dialect=Dialect(client="fastmcp", expands=False),
            servers=_fastmcp,
            ignored=frozenset({"icon"}),
            normal=normal.of_fastmcp,
        ),
    )
}
