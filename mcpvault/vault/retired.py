"""
The vault keys of earlier epochs, sealed under the present one, for the state that runs have sealed with them.

Spec: SPEC §5.1.
"""

from __future__ import annotations

import os

from mcpvault.vault import primitives
from vault_schema import Header, pae

_SALT = 24  # bytes
LIFETIME = 180 * 86_400  # seconds; a host that is away for longer logs in again


def seal_key(
    vault_key: bytes, vault_id: bytes, epoch: int, retired: int, key: bytes, *, salt: bytes | None = None
) -> str:
    """
    Return the line that holds the vault key of an earlier epoch.

    Args:
        vault_key: The key of *epoch*, the vault's.
        vault_id: The vault's.
        epoch: The vault's.
        retired: The epoch that *key* is of.
        key: The earlier vault key.
        salt: 24 bytes; random unless a test vector fixes them.
    """
    salt = os.urandom(_SALT) if salt is None else salt
    material = primitives.hkdf(vault_key, salt, "mcpvault/1/retired", 44)
    aad = pae("mcpvault/1/retired", vault_id, epoch, retired)
    sealed = primitives.gcm_seal(material[:32], material[32:], key, aad)
    return f"mv1.{epoch}.{primitives.encode(salt)}.{primitives.encode(sealed)}"


def keys_of(header: Header, vault_key: bytes, vault_id: bytes, epoch: int) -> list[bytes]:
    """Return the vault keys that *header* keeps of an earlier *epoch*: none, one, or after a merge several."""
    rows = [row.key for row in header.retired if row.epoch == epoch]
    opened = (open_key(row, vault_key, vault_id, header.epoch, epoch) for row in rows)
    return [key for key in opened if key is not None]


def open_key(line: str, vault_key: bytes, vault_id: bytes, epoch: int, retired: int) -> bytes | None:
    """Return the vault key of the epoch *retired* in a line of ``seal_key``, or None if it does not open."""
    _, _, salt, sealed = line.split(".")
    drawn, ciphertext = primitives.decode(salt), primitives.decode(sealed)
    if drawn is None or ciphertext is None:
        return None
    material = primitives.hkdf(vault_key, drawn, "mcpvault/1/retired", 44)
    aad = pae("mcpvault/1/retired", vault_id, epoch, retired)
    return primitives.gcm_open(material[:32], material[32:], ciphertext, aad)
