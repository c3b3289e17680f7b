"""
A new, empty vault: its keys drawn, its first slots made, its text signed and written once.

Spec: SPEC §5, §14.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mcpvault.errors import ConfigurationError
from mcpvault.vault import file, primitives, unlock
from mcpvault.vault.documents import judged, timestamp
from mcpvault.vault.slots import NewSlot
from vault_schema import new_text

SUITE = "hpke-x25519-sha256-a256gcm+a256gcm+hs256"


def new_vault(
    path: Path, new_slots: Sequence[NewSlot], *, vault_id: bytes | None, now: Callable[[], float], dry_run: bool
) -> str:
    """
    Write a new, empty vault and return its text.

    Raises:
        ConfigurationError: There is a file already, or no slot is an admin's whose key we hold.
    """
    if os.path.lexists(path):
        raise ConfigurationError(f"{path}: there is a file already", hint="name another with --vault")
    if not any(slot.role == "admin" and slot.private is not None for slot in new_slots):
        raise ConfigurationError("a new vault needs an admin slot whose key is at hand")
    vault_key, root_seed = os.urandom(32), os.urandom(32)
    vault_id = vault_id or os.urandom(16)
    head: dict[str, Any] = {
        "format": 1,
        "id": primitives.encode(vault_id),
        "serial": 1,
        "epoch": 1,
        "suite": SUITE,
        "mac": "",
        "root": primitives.encode(primitives.ed25519_public(root_seed)),
        "sig": "",
    }
    head["slots"] = [slot.table(head, vault_key, root_seed, created=timestamp(now)) for slot in new_slots]
    tree = {"vault": head}
    mac = unlock.document_mac(vault_key, tree)
    head["mac"] = primitives.encode(mac)
    head["sig"] = primitives.encode(unlock.signature(root_seed, vault_id, mac))
    text = judged(new_text(tree)).text
    if not dry_run:
        file.make_folder(path)
        with file.write_lock(path):
            if os.path.lexists(path):
                raise ConfigurationError(f"{path}: there is a file already", hint="name another with --vault")
            file.replace(path, text.encode())
    return text
