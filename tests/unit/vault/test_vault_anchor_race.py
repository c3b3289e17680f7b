"""The anchor that another process moves while we look at it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mcpvault.vault.keysources import Key
from mcpvault.vault.slots import NewSlot, RawKey
from mcpvault.vault.vaultfile import VaultFile


class MovingAnchor:
    """An anchor that the next write moves on as soon as it has been read once."""

    def __init__(self, old: Mapping[str, str | int], new: Mapping[str, str | int]) -> None:
        self.records = [old, new]

    def seen(self, slot: str) -> Mapping[str, str | int] | None:
        """Return what is there now."""
        return self.records.pop(0) if len(self.records) > 1 else self.records[0]

    def advance(self, slot: str, record: Mapping[str, str | int]) -> None:
        """Keep what is there: it is newer."""


class Kept(dict[str, Mapping[str, str | int]]):
    """An anchor in memory."""

    def seen(self, slot: str) -> Mapping[str, str | int] | None:
        """Return the record."""
        return self.get(slot)

    def advance(self, slot: str, record: Mapping[str, str | int]) -> None:
        """Keep the record."""
        self[slot] = record


def test_an_anchor_that_moves_between_two_looks_is_no_rollback(tmp_path: Path) -> None:
    """One reading of the anchor decides: an honest vault opens while another process writes the next serial."""
    path, raw, anchor = tmp_path / "vault.toml", RawKey.generate(), Kept()
    VaultFile.create(path, new_slots=[NewSlot.raw("me", raw)])
    key = Key(kind="raw", secret=raw.text, source="the test")
    vault = VaultFile.open(path, key=key, anchor=anchor)
    first = anchor["me"]
    document = vault.document
    with vault.change() as change:
        change.add_server("s", {"url": "https://h.example/mcp"})

    opened = VaultFile.open(path, key=key, anchor=MovingAnchor(first, anchor["me"]), document=document)

    assert 1 == opened.document.header.serial
