"""
The anchor: what this host has seen of the vault, and the roots that it was told to trust.

Stores records and keeps them growing. Their authenticity is judged by ``mcpvault.vault``,
which makes each record's tag with the slot's own secret.
"""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcpvault.errors import McpVaultError, RollbackError

if TYPE_CHECKING:
    from mcpvault.state.store import StateStore

UNNOTICED = "a rollback of the vault would not be noticed on this host"
_ANCHOR, _ROOTS = "anchor.toml", "trusted-roots"
_OF_A_RECORD = ("root", "serial", "mac", "tag")


class FileAnchor:
    """The records in ``anchor.toml``, one a slot; ``serial`` never goes down except by ``accept``."""

    def __init__(self, directory: StateStore) -> None:
        self._directory = directory
        self._read: tuple[bytes | None, dict[str, Any] | None] = (None, {})  # the file as it was last, and what it says

    def _records(self) -> dict[str, Any] | None:
        """Return all records, or None if the file is damaged."""
        data = self._directory.read(_ANCHOR)
        if data != self._read[0]:
            self._read = data, _records_in(data)
        return self._read[1]

    def seen(self, slot: str) -> Mapping[str, str | int] | None:
        """
        Return the record of *slot*, or None if this host has not seen the vault through it.

        Raises:
            RollbackError: The file is damaged, so nobody can tell what was seen.
            PermissionsError: It cannot be read.
        """
        records = self._records()
        if records is None:
            raise RollbackError(
                f"{_ANCHOR}: the anchor of this host is damaged",
                hint="find out why; to accept the vault as it is, run: mcpvault trust --accept",
            )
        return records.get(slot)

    def advance(self, slot: str, record: Mapping[str, str | int]) -> None:
        """Keep *record* unless one of its serial or newer is there; where that fails, warn once and go on."""
        problem: str | None = None
        try:
            with self._directory.lock("anchor"):
                old = self.seen(slot)
                if old is None or int(old["serial"]) < int(record["serial"]):
                    self._write({**(self._records() or {}), slot: {**(old or {}), **record}})
        except McpVaultError as error:
            problem = error.message
        if problem is not None:
            warnings.warn(f"{UNNOTICED}: {problem}", stacklevel=3)

    def accept(self, slot: str, record: Mapping[str, str | int]) -> None:
        """
        Keep *record* whatever was there: somebody has looked at the difference.

        Raises:
            PermissionsError: It cannot be written.
            BusyError: Another process kept the lock.
        """
        with self._directory.lock("anchor"):
            self._write({**(self._records() or {}), slot: dict(record)})

    def note(self, slot: str, facts: Mapping[str, str | int]) -> None:
        """
        Keep *facts* beside the record of *slot*, if there is one; the next record leaves them in place.

        Raises:
            PermissionsError: It cannot be written.
            BusyError: Another process kept the lock.
        """
        with self._directory.lock("anchor"):
            records = self._records() or {}
            if slot in records:
                self._write({**records, slot: {**records[slot], **facts}})

    def forget(self) -> None:
        """
        Drop what was noted beside the record of any slot.

        Raises:
            PermissionsError: It cannot be written.
            BusyError: Another process kept the lock.
        """
        with self._directory.lock("anchor"):
            if records := self._records():
                self._write({name: {key: each[key] for key in _OF_A_RECORD} for name, each in records.items()})

    def _write(self, records: Mapping[str, Any]) -> None:
        from vault_schema import dump_plain

        self._directory.replace(_ANCHOR, dump_plain(dict(records)).encode())


def _records_in(data: bytes | None) -> dict[str, Any] | None:
    try:
        records = tomllib.loads(data.decode()) if data else {}
    except (ValueError, RecursionError):
        return None
    return records if all(_is_record(record) for record in records.values()) else None


def _is_record(record: object) -> bool:
    if not isinstance(record, dict) or type(record.get("serial")) is not int or not 0 < record["serial"] < 2**63:
        return False
    return all(isinstance(record.get(field), str) for field in ("root", "mac", "tag"))


def trusted_roots(directory: StateStore) -> frozenset[str]:
    """
    Return the root fingerprints that ``mcpvault trust`` has recorded here.

    Raises:
        PermissionsError: The state folder is not private, so that anybody may have written them.
    """
    data = directory.read(_ROOTS)
    return frozenset(data.decode("ascii", "replace").split()) if data else frozenset()


def trust_root(directory: StateStore, *fingerprints: str) -> None:
    """
    Record that this host vouches for *fingerprints* (``mvr1-…``), and no longer for others.

    A vault has one root; there are two while a new one takes the place of the old.

    Raises:
        PermissionsError: The state folder cannot be written.
    """
    with directory.lock("anchor"):
        directory.replace(_ROOTS, "".join(f"{root}\n" for root in sorted({*fingerprints})).encode())
