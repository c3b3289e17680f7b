"""
Sealing what runs produce, with a key that is derived from the vault's and can open nothing of the vault.

Spec: SPEC §9.6.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from mcpvault.errors import TamperedError
from mcpvault.vault import primitives

_SALT = 24  # bytes


def seal_state(vault_key: bytes, epoch: int, data: bytes, associated_data: bytes) -> str:
    """Return ``mv1.<epoch>.<salt>.<ciphertext>`` over *data*, bound to *associated_data*."""
    salt = os.urandom(_SALT)
    material = primitives.hkdf(vault_key, salt, "mcpvault/1/state", 44)
    sealed = primitives.gcm_seal(material[:32], material[32:], data, associated_data)
    return f"mv1.{epoch}.{primitives.encode(salt)}.{primitives.encode(sealed)}"


def epoch_of(line: str) -> int | None:
    """Return the epoch that a line of ``seal_state`` says it was sealed in, or None if it is no such line."""
    parts = primitives.sealed_parts(line)
    return parts[0] if parts else None


def unseal_state(vault_key: bytes, line: str, associated_data: bytes) -> bytes:
    """
    Open a line of ``seal_state`` in its place.

    Raises:
        TamperedError: It was altered or moved, or the vault has another key by now: log in again.
    """
    parts = primitives.sealed_parts(line)
    if parts is not None:
        _, salt, sealed = parts
        material = primitives.hkdf(vault_key, salt, "mcpvault/1/state", 44)
        opened = primitives.gcm_open(material[:32], material[32:], sealed, associated_data)
        if opened is not None:
            return opened
    raise TamperedError("the sealed state does not open: it was altered, moved, or sealed under another key")


def audit_macs(vault_key: bytes) -> tuple[Callable[[bytes], str], Callable[[bytes], str]]:
    """Return what signs a line of the audit log, and what signs its end (SPEC §18.1)."""

    def of(purpose: str) -> Callable[[bytes], str]:
        key = primitives.hkdf(vault_key, b"", purpose)
        return lambda data: primitives.encode(primitives.mac(key, data))

    return of("mcpvault/1/audit"), of("mcpvault/1/audit-end")
