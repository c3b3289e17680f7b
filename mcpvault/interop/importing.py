"""
``import``: a foreign file's servers become entries of the vault, its literals sealed.

Decides the order: read and judge, then write the vault in one change, then rewrite the source.
What exists in the vault already is never overwritten; what the vault says of a server in all that the file says can be
moved.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcpvault.connect import Vault
from mcpvault.errors import ConfigurationError, McpVaultError
from mcpvault.interop import moving
from mcpvault.interop.clients import CLIENTS, Place, at
from mcpvault.interop.editing import check_writable
from mcpvault.interop.entry import ImportedEntry
from mcpvault.interop.source import Source
from mcpvault.interop.sources import Imported, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    What became of one server: added, or why not; then what to do, and what was lost. No values.

    ``there``: nothing was added, for the vault says of it all that the file does; ``needless``: nor was this, as it
    asks a vault already.
    """

    name: str
    source_name: str
    added: bool
    kind: str = ""
    leads_to: str = ""
    why: str | None = None
    sealed: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    moved: bool = False
    there: bool = False
    needless: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """What a person does before it works: all that is to do, and looking at a command that was added."""
        look = f"look at it, then: mcpvault approve {self.name}"
        return (*self.todo, look) if self.added and self.kind == "stdio" and not self.there else self.todo

    def as_json(self) -> dict[str, Any]:
        """Return the row for ``--json``."""
        return {field: _plain(getattr(self, field)) for field in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an import did, or would do; ``complete`` tells whether every server of the file came in."""

    path: Path
    client: str
    rows: tuple[Row, ...]
    losses: tuple[str, ...]
    active: str | None
    dry_run: bool

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return all(row.added or row.needless for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {
            "path": str(self.path),
            "from": self.client,
            "dry_run": self.dry_run,
            "active": self.active,
            "losses": list(self.losses),
            "servers": [row.as_json() for row in self.rows],
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def import_file(
    vault: Vault, path: str | os.PathLike[str], *, kind: str | None = None, move: bool = False, dry_run: bool = False
) -> Report:
    """
    Take over the servers in the file at *path*.

    Args:
        vault: The vault, opened with an admin's key.
        path: The file.
        kind: The client that wrote it, a key of ``sources.CLIENTS``; by default path and shape decide.
        move: Rewrite the file, too, so that its servers ask the vault.
        dry_run: Report and write nothing.

    Raises:
        ConfigurationError: The file is none of a known client, or must not be rewritten; nothing was written.
        RoleError: The key is a reader's.
        BusyError: Vault or source changed meanwhile.
    """
    source = Source.load(Path(path))
    found = read(source, kind)
    if move:
        check_writable(source)
    refused: dict[str, str] = {}
    held: set[str] = set()  # there already
    with vault.change(dry_run=dry_run) as change:
        for entry in found.entries:
            try:
                change.add_server(entry.name, entry.tree)
            except ConfigurationError as error:
                differing = _differing(vault, entry)
                if not move or differing is None or differing:
                    refused[entry.name] = error.message + _told(differing)
                held.add(entry.name)
                continue
            for field, secret in entry.secrets:
                change.set_secret(entry.name, field, secret)
    moved = {
        entry.place: entry.name for entry in found.entries if move and entry.name not in refused and not entry.kept_back
    }
    if moved and not dry_run:
        moving.move(source, moved, typed=CLIENTS[found.kind].typed)
    return _report(source.path, found, refused, moved, held, dry_run=dry_run, move=move)


def _differing(vault: Vault, entry: ImportedEntry) -> list[str] | None:
    """Return the fields of *entry* of which the vault's entry says something else, or nothing; None if it has none."""
    if entry.name not in vault.names():
        return None
    table = vault.file.table(entry.name)
    found = [
        ".".join(path) for path, value in _leaves(entry.tree) if at(table, path) != value and not _stays(path, value)
    ]
    for field, secret in entry.secrets:
        same = False
        with suppress(McpVaultError):
            same = vault.file.secret(entry.name, field) == secret
        found += [] if same else [field]
    return found


def _stays(path: Place, value: Any) -> bool:
    """Tell whether *value* is not for the vault to say: approval, and a switch that moving leaves in place."""
    return path == ("approved",) or (path[0].startswith("x-") and len(path) == 2 and isinstance(value, bool))


def _told(differing: list[str] | None) -> str:
    if not differing:
        return ""
    return f"; it differs in {', '.join(differing)}: set that there, or take it out of the file"


def _leaves(tree: Mapping[str, Any], above: Place = ()) -> Iterator[tuple[Place, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _report(
    path: Path,
    found: Imported,
    refused: dict[str, str],
    moved: dict[tuple[str, ...], str],
    held: Collection[str],
    *,
    dry_run: bool,
    move: bool,
) -> Report:
    rows = [
        _row(entry, refused.get(entry.name), moved=entry.place in moved, move=move, held=entry.name in held)
        for entry in found.entries
    ]
    rows += [
        Row(name=each.place[-1], source_name=each.place[-1], added=False, why=each.why, needless=each.needless)
        for each in found.skipped
    ]
    active = found.active if found.active not in refused else None
    return Report(path=path, client=found.kind, rows=tuple(rows), losses=found.losses, active=active, dry_run=dry_run)


def _row(entry: ImportedEntry, refused: str | None, *, moved: bool, move: bool, held: bool) -> Row:
    losses = entry.losses
    if move and not moved and refused is None:
        losses = (*losses, "not moved: the source holds a secret that has no place in the vault")
    tree = entry.tree
    return Row(
        name=entry.name,
        source_name=entry.place[-1],
        added=refused is None,
        why=refused,
        kind="stdio" if "command" in tree else "http",
        leads_to=tree["url"].partition("?")[0] if "url" in tree else " ".join([tree["command"], *tree.get("args", ())]),
        sealed=tuple(field for field, _ in entry.secrets) if refused is None and not held else (),
        references=entry.references if refused is None else (),
        todo=entry.todo if refused is None and not held else (),
        losses=losses if refused is None else (),
        moved=moved,
        there=held and refused is None,
    )
