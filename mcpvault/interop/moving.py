"""
``--move``: servers of a foreign file that were taken over ask the vault from then on.

Decides which files may be rewritten. Others' files are replaced in one step, and only if they
are still what was read; ``~/.claude.json`` never is, for Claude Code writes it all the time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcpvault.errors import ConfigurationError, McpVaultError, VaultChangedError
from mcpvault.interop.source import Source, Written
from mcpvault.vault import file


def check_movable(source: Source) -> None:
    """
    Refuse a file that must not be rewritten; called before anything is written anywhere.

    Raises:
        ConfigurationError: The hint says what to do by hand.
    """
    by_hand = 'by hand, replace a server by {"command": "mcpvault", "args": ["stdio", "NAME"]}'
    if source.path.resolve().name == ".claude.json" or source.path.name == ".claude.json":
        raise ConfigurationError(
            f"{source.path}: Claude Code writes this file all the time, so it is never rewritten",
            hint="import without --move, then: claude mcp remove NAME; claude mcp add NAME -- mcpvault stdio NAME",
        )
    if source.lenient:
        raise ConfigurationError(
            f"{source.path}: holds comments or trailing commas, which a rewrite would lose",
            hint=f"import without --move; {by_hand}",
        )


def move(source: Source, names: Mapping[tuple[str, ...], str], *, typed: bool) -> None:
    """
    Rewrite *source* so that its servers at the places in *names* are ``mcpvault stdio NAME``.

    Args:
        source: The file, as it was read.
        names: Place of a server to the name of its entry.
        typed: Whether the client wants ``"type": "stdio"``.

    Raises:
        ConfigurationError: It must not be rewritten, or cannot be.
        VaultChangedError: It is no longer what was read; nothing was written to it.
    """
    check_movable(source)
    text = _rewritten(source, names, typed)
    problem, changed = _replaced(source, text)
    if changed:
        raise VaultChangedError(f"{source.path}: changed since it was read", hint="run the import again with --move")
    if problem is not None:
        raise ConfigurationError(f"{source.path}: not rewritten: {problem}", hint="its servers are in the vault")


def _rewritten(source: Source, names: Mapping[tuple[str, ...], str], typed: bool) -> Written:
    if source.is_toml:
        return _rewritten_toml(source, names)
    tree = source.plain()
    for place, name in names.items():
        table: Any = tree
        for key in place[:-1]:
            table = table[key]
        old = table[place[-1]]
        new: dict[str, Any] = {"type": "stdio"} if typed or "type" in old else {}
        new |= {"command": "mcpvault", "args": ["stdio", name]}
        # A switch that the client itself understands goes on to mean what it meant.
        table[place[-1]] = new | {key: value for key, value in old.items() if isinstance(value, bool)}
    text = source.reveal().decode("utf-8-sig")
    indent = re.match(r"\s*\{\r?\n([ \t]+)", text)
    # Half of a surrogate pair, which JSON can say, stands as an escape only.
    halves = re.search(r"\\u[dD][89a-fA-F]", text) is not None
    dumped = json.dumps(tree, ensure_ascii=halves, indent=indent[1] if indent else None)
    dumped += "\n" if text.endswith("\n") else ""
    return Written(dumped.replace("\n", "\r\n") if "\r\n" in text else dumped)


def _rewritten_toml(source: Source, names: Mapping[tuple[str, ...], str]) -> Written:
    """Return Codex's file with comments and order as they were."""
    import tomlkit

    document: Any = tomlkit.parse(source.reveal().decode())
    for place, name in names.items():
        table = document
        for key in place[:-1]:
            table = table[key]
        switches = {key: value for key, value in table[place[-1]].items() if isinstance(value, bool)}
        table[place[-1]] = {"command": "mcpvault", "args": ["stdio", name], **switches}
    return Written(tomlkit.dumps(document))


def _replaced(source: Source, text: Written) -> tuple[str | None, bool]:
    """Replace the file; return the problem, or that it changed, for the bytes may stand in a frame here."""
    try:
        if Path(source.path).read_bytes() != source.reveal():
            return None, True
        file.replace(source.path, text.reveal().encode(), keep_previous=False)
    except OSError as error:
        return error.strerror or "refused", False
    except McpVaultError as error:
        return error.message, False
    return None, False
