"""
Which host this is, as far as one vault is concerned.

A refresh token is for one host: two hosts that share a copy of the state would redeem it twice.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mcpvault.errors import PermissionsError
from vault_schema.canonical import pae

if TYPE_CHECKING:
    from mcpvault.state.store import StateStore

MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_FILE = "host-id"


def host_id(store: StateStore, vault_id: str, *, machine_ids: Iterable[Path] = MACHINE_IDS) -> str:
    """
    Return a name for this host that says nothing about it and differs from vault to vault.

    Where the system has no machine id, it is kept in the state folder, and a copy of that folder is not noticed.

    Raises:
        PermissionsError: There is no machine id and the state folder cannot be used.
        BusyError: Another process is making the name.
    """
    # "should be considered "confidential", and must not be exposed in untrusted environments […] If a stable
    # unique identifier that is tied to the machine is needed for some application, the machine ID should be
    # hashed with a cryptographic, keyed hash function" -- machine-id(5)
    return _hashed(_machine_id(machine_ids) or _made_here(store), vault_id)


def known_host(store: StateStore, vault_id: str, *, machine_ids: Iterable[Path] = MACHINE_IDS) -> str | None:
    """Return what ``host_id`` would, or None where that would have to be made first; nothing is written."""
    origin = _machine_id(machine_ids) or _read(store)
    return _hashed(origin, vault_id) if origin else None


def host_name() -> str:
    """Return how people call this host."""
    return socket.gethostname()


def _hashed(origin: str, vault_id: str) -> str:
    return hashlib.sha256(pae("mcpvault/1/host", origin, vault_id)).hexdigest()[:32]


def _machine_id(places: Iterable[Path]) -> str:
    for place in places:
        try:
            text = place.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if len(text) == 32 and text != "0" * 32:  # else empty, or "uninitialized" in an image
            return text
    return ""


def _made_here(store: StateStore) -> str:
    if (made := _read(store)) is None:
        with store.lock(_FILE):
            if (made := _read(store)) is None:
                made = os.urandom(16).hex()
                store.replace(_FILE, f"{made}\n".encode())
    return made


def _read(store: StateStore) -> str | None:
    data = store.read(_FILE)
    text = data.decode("ascii", "replace").strip() if data else ""
    if data and len(text) != 32:
        raise PermissionsError(f"{_FILE}: is damaged", hint="remove it, and log in again")
    return text or None
