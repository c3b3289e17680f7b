"""
``export --into``: exported servers in a client's own file, beside what else is there.

Decides what may take whose place: what asks this vault already is brought up to date, a server of somebody else's is
not touched unless that was said. Leaves the text to ``editing``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from mcpvault.errors import ConfigurationError
from mcpvault.interop.clients import CLIENTS, Place, at
from mcpvault.interop.editing import check_writable, edited, write
from mcpvault.interop.exporting import Export
from mcpvault.interop.source import Source, Written
from mcpvault.interop.splicing import END
from mcpvault.interop.targets import TARGETS

# What an export says of a server; whatever else is there the client or its user has added.
_SAID = frozenset(
    {
        *("type", "transport", "command", "args", "env", "env_vars", "cwd", "url", "serverUrl", "httpUrl"),
        *("headers", "headersHelper", "bearer_token_env_var", "http_headers", "env_http_headers"),
    }
)
_REMEDY = "export without --into, and put it there by hand"


def put_into(path: Path, made: Export, client: str, *, force: bool = False, dry_run: bool = False) -> dict[str, str]:
    """
    Write the servers of an export into the file at *path*; all else in it stays, byte for byte.

    Args:
        path: The client's file; it is made where there is none.
        made: For *client*.
        client: A key of ``TARGETS``.
        force: Take the place of other servers of the same names, too.
        dry_run: Write nothing.

    Returns:
        What became of each server: ``added``, ``replaced`` or ``unchanged``.

    Raises:
        ConfigurationError: The file is no such client's, cannot be edited, or has another server of that name.
        VaultChangedError: It changed meanwhile; nothing was written.
    """
    target = TARGETS[client]
    if not path.exists():
        if not dry_run:
            write_new(path, made.text)
        return dict.fromkeys(made.tree[target.root], "added")
    source = Source.load(path)
    check_writable(source)
    if source.is_toml is not target.toml:
        raise ConfigurationError(f"{path}: the file of {client} is {'TOML' if target.toml else 'JSON'}", hint=_REMEDY)
    place = next((place for place, _ in CLIENTS[client].servers(source.tree)), (target.root,))
    became, values = _changes(source, place, made.tree[target.root], force=force)
    if foreign := [name for name, change in became.items() if change == "foreign"]:
        raise ConfigurationError(
            f"{path}: has another server {', '.join(foreign)}, which mcpvault did not write",
            hint="take it into the vault with: mcpvault import --move; or replace it with --force",
        )
    values += _inputs(source, (*place[:-1], "inputs"), made.tree.get("inputs", ()))
    text = edited(source, values)
    if text is None:
        raise ConfigurationError(f"{path}: cannot be edited in place", hint=_REMEDY)
    if values and not dry_run:
        write(source, text, remedy=_REMEDY)
    return became


def _changes(
    source: Source, place: Place, servers: Mapping[str, Any], *, force: bool
) -> tuple[dict[str, str], list[tuple[Place, Any]]]:
    """Return what becomes of each server, and the values to write; nothing of another's is kept but switches."""
    became: dict[str, str] = {}
    values: list[tuple[Place, Any]] = []
    for name, server in servers.items():
        there = at(source.tree, (*place, name))
        old = _shown(there) if isinstance(there, dict) else None
        became[name] = "added" if there is None else "replaced"
        if old == server:
            became[name] = "unchanged"
            continue
        if old is not None and _is_ours(old, name):
            server = {**{key: value for key, value in old.items() if key not in _SAID}, **server}
            became[name] = "unchanged" if old == server else "replaced"
        elif there is not None and not force:
            became[name] = "foreign"
        elif old is not None:
            server = {**server, **{key: value for key, value in old.items() if isinstance(value, bool)}}
        if became[name] != "unchanged":
            values.append(((*place, name), server))
    return became, values


def _is_ours(old: Mapping[str, Any], name: str) -> bool:
    helper = old.get("headersHelper")
    if isinstance(helper, str) and re.fullmatch(rf"mcpvault headers {re.escape(name)}( --for \S+)?", helper):
        return True
    command = old.get("command")
    return isinstance(command, str) and PurePath(command).name == "mcpvault" and old.get("args") == ["stdio", name]


def _inputs(source: Source, place: Place, wanted: Any) -> list[tuple[Place, Any]]:
    """Return what is appended to VS Code's inputs: those that are not there yet."""
    there = at(source.tree, place)
    known = [_shown(each.get("id")) for each in there if isinstance(each, dict)] if isinstance(there, list) else []
    return [((*place, END), each) for each in wanted if each["id"] not in known]


def _shown(value: Any) -> Any:
    """Return a part of a file's tree with its texts in clear. Do not keep it where something raises."""
    if isinstance(value, Written):
        return value.reveal()
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return {key: _shown(item) for key, item in value.items()} if isinstance(value, dict) else value


def write_new(path: Path, text: str) -> None:
    """
    Write *text* to a file that is not there yet.

    Raises:
        ConfigurationError: It is there, or cannot be written.
    """
    problem = None
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        problem = "is there already"
    except OSError as error:
        problem = (error.strerror or "cannot be written").lower()
    if problem is not None:
        raise ConfigurationError(f"{path}: {problem}", hint="write it --into the file, or to stdout and there by hand")
