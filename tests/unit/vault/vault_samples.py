"""Vaults to open, change and break, each in a folder of its own, and a user who is not root."""

from __future__ import annotations

import os
import re
import resource
import signal
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keyring.backend
import keyring.errors
import pytest

import vault_schema
from mcpvault.errors import McpVaultError
from mcpvault.secret import Secret
from mcpvault.vault.change import Change
from mcpvault.vault.keysources import Key
from mcpvault.vault.slots import NewSlot, RawKey
from mcpvault.vault.vaultfile import VaultFile

Edit = Callable[[Change], None]
NOBODY = 65534
NOON = 1_785_240_000.0  # 2026-07-28T12:00:00Z
WEB = {"url": "https://mcp.example.com/mcp", "auth": {"kind": "bearer"}}
TOOL = {"command": "db-mcp", "args": ["--ro"]}


class Made(NamedTuple):
    """A vault file, an admin's key to it and a reader's."""

    path: Path
    admin: Key
    reader: Key

    def open(self, **options: Any) -> VaultFile:
        """Open it as admin at noon."""
        return VaultFile.open(self.path, **{"key": self.admin, "now": lambda: NOON, **options})


def text_key(key: RawKey) -> Key:
    """Return what ``find_key`` would make of a raw key."""
    return Key(kind="text", secret=key.text, source="the test")


def empty(folder: Path, name: str = "vault.toml") -> Made:
    """Return a new vault with an admin's and a reader's slot."""
    admin, reader = RawKey.generate(), RawKey.generate()
    slots = [NewSlot.raw("alice", admin), NewSlot.raw("cron", reader, role="reader")]
    VaultFile.create(folder / name, new_slots=slots, now=lambda: NOON)
    return Made(path=folder / name, admin=text_key(admin), reader=text_key(reader))


def filled(folder: Path) -> Made:
    """Return a vault of two entries: ``web`` with a sealed token, ``tool`` with a sealed variable."""
    made = empty(folder)
    with made.open().change() as change:
        change.add_server("web", WEB)
        change.set_secret("web", "auth.token", Secret("web-token"))
        change.add_server("tool", TOOL)
        change.set_secret("tool", "env.DB_PASSWORD", Secret("tool-password"))
    return made


def tree(path: Path) -> dict[str, Any]:
    """Return what the file at *path* says."""
    return tomllib.loads(path.read_text())


def sealed_lines(text: str) -> list[str]:
    """Return every sealed line in *text*, in its order."""
    return re.findall(r"mv1\.[0-9]+\.[\w-]+\.[\w-]+", text)


def altered(path: Path, change: Mapping[str, Any]) -> None:
    """Write values into the file without its key: dotted path (numbers index arrays) to value."""
    was = tree(path)
    wanted = tomllib.loads(path.read_text())
    for place, value in change.items():
        *way, last = place.split("/")
        held: Any = wanted
        for step in way:
            held = held[int(step)] if isinstance(held, list) else held.setdefault(step, {})
        held[int(last) if isinstance(held, list) else last] = value
    path.write_text(vault_schema.rewrite(path.read_text(), was, wanted))


@contextmanager
def not_root() -> Iterator[None]:
    """Be somebody to whom the system refuses things; root is let in everywhere."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow above *size* bytes, as on a full disk."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring that keeps what it is given, or is locked."""

    priority = 1

    def __init__(self, *, locked: bool = False) -> None:
        super().__init__()
        self.held: dict[tuple[str, str], str] = {}
        self.locked = locked

    def get_password(self, service: str, username: str) -> str | None:
        """Return what is kept."""
        if self.locked:
            raise keyring.errors.KeyringLocked("dbus says no")
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep *password*."""
        if self.locked:
            raise keyring.errors.PasswordSetError("dbus says no")
        self.held[service, username] = password


class Remembered:
    """An anchor in memory; ``records`` is all it knows."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, str | int]] = {}

    def seen(self, slot: str) -> Mapping[str, str | int] | None:
        """Return the record of *slot*, or None."""
        return self.records.get(slot)

    def advance(self, slot: str, record: Mapping[str, str | int]) -> None:
        """Keep *record* if it is newer."""
        old = self.records.get(slot)
        if old is None or int(old["serial"]) < int(record["serial"]):
            self.records[slot] = dict(record)


def versions(made: Made, server: str = "web", table: str = "auth", field: str = "token") -> list[dict[str, Any]]:
    """Return the versions of a sealed field as the file has them."""
    found: list[dict[str, Any]] = tree(made.path)["servers"][server][table][field]
    return found


def refused(made: Made, edit: Edit, expected: type[McpVaultError]) -> McpVaultError:
    """Return the error with which *edit* is refused; the file is as it was."""
    before = made.path.read_bytes()
    with pytest.raises(expected) as caught, made.open().change() as change:
        edit(change)
    assert expected is type(caught.value)
    assert before == made.path.read_bytes()
    return caught.value


def done(made: Made, edit: Edit) -> VaultFile:
    """Make a change and return the vault, opened again."""
    with made.open().change() as change:
        edit(change)
    return made.open()


def nobody_asked(_: object) -> bool:
    """Stand for a person who must not be asked."""
    raise AssertionError("somebody was asked")


def unopened(made: Made, expected: type[McpVaultError], **options: Any) -> McpVaultError:
    """Return the error with which the vault is refused; it is exit 6."""
    with pytest.raises(expected) as caught:
        made.open(**options)
    assert (expected, 6) == (type(caught.value), caught.value.exit_code)
    return caught.value
