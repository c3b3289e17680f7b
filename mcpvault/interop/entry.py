"""
What a reader makes of one server of a foreign file, and the draft that it fills in.

Decides nothing about any client: that is ``servers`` and ``sources``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcpvault.interop.dialects import Dialect, Translated, translate
from mcpvault.secret import Secret
from vault_schema.check import servers as judge
from vault_schema.values import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedEntry:
    """
    One server, ready for the vault.

    Args:
        name: Ours.
        place: Where it stands in the source, key by key; the last one is the client's name for it.
        tree: For ``Change.add_server``: references, and no secret.
        secrets: For ``Change.set_secret``: field and value.
        references: The variables that its references read.
        todo: What a person has to do before it works.
        losses: What could not be carried.
        kept_back: A secret of the source has no field here, so the source must keep it.
    """

    name: str
    place: tuple[str, ...]
    tree: Mapping[str, Any]
    secrets: tuple[tuple[str, Secret], ...] = ()
    references: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    kept_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A server of the source that has no place in a vault, and why; ``needless``: it asks one already."""

    place: tuple[str, ...]
    why: str
    needless: bool = False


class Unfit(Exception):
    """The server cannot be imported; the text says why. Never leaves this package."""


class Needless(Unfit):
    """The server asks a vault already. Never leaves this package."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """An entry in the making."""

    name: str
    place: tuple[str, ...]
    dialect: Dialect
    tree: dict[str, Any] = field(default_factory=dict)
    secrets: list[tuple[str, Secret]] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    todo: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    kept_back: bool = False

    def translated(self, path: str, text: str, *, secret: bool = False) -> Translated:
        """Translate *text* of the field *path* and note what must be done about it."""
        found = translate(text, self.dialect, secret=secret)
        self.note(path, found)
        return found

    def note(self, path: str, found: Translated) -> None:
        """Take over the remarks of a translation."""
        self.todo += [f"{path}: {each}" for each in found.todo]
        self.losses += [f"{path}: {each}" for each in found.losses]
        self.references += [name for name in found.references if name not in self.references]
        self.inputs = {**found.inputs, **self.inputs}
        self.kept_back |= found.kept_back

    def put(self, path: str, value: Any) -> None:
        """Set the field *path* of the tree."""
        table, _, leaf = path.partition(".")
        if leaf:
            self.tree.setdefault(table, {})[leaf] = value
        else:
            self.tree[table] = value

    def seal(self, path: str, secret: Secret) -> None:
        """Have *secret* sealed at *path*; its table is there for it."""
        self.secrets.append((path, secret))

    def finished(self) -> ImportedEntry | Skipped:
        """Return the entry, or why the format refuses it."""
        fault = self._fault()
        if fault is not None:
            return Skipped(place=self.place, why=fault)
        return ImportedEntry(
            name=self.name,
            place=self.place,
            tree=self.tree,
            secrets=tuple(self.secrets),
            references=tuple(self.references),
            todo=tuple(dict.fromkeys(self.todo)),
            losses=tuple(dict.fromkeys(self.losses)),
            kept_back=self.kept_back,
        )

    def _fault(self) -> str | None:
        """Judge the entry as the vault will, references standing in for what is yet to be sealed."""
        trial = {key: dict(value) if isinstance(value, dict) else value for key, value in self.tree.items()}
        for path, _ in self.secrets:
            table, _, leaf = path.partition(".")
            trial.setdefault(table, {})[leaf] = "${env:SEALED}"
        try:
            judge({self.name: trial}, 1)
        except Fault as fault:
            return f"{fault.path().partition('.')[2] or self.name}: {fault.what}"
        return None
