"""
Sealing one value: a line of text that opens only in its place and for what it is bound to.

Decides the associated data and the padding. Leaves to ``vaultfile`` whether the entry
still names what the value is bound to.

Spec: SPEC §9.
"""

from __future__ import annotations

import os

from mcpvault.errors import ConfigurationError, TamperedError
from mcpvault.secret import Secret
from mcpvault.vault import primitives
from vault_schema import pae
from vault_schema.record import Record

LARGEST = 64 * 1024  # bytes of plaintext
_BUCKET = 32  # bytes; hides a little of the length
_SALT = 24  # bytes


class SealContext(Record):
    """Where a value stands and what it is for; every part of it is authenticated."""

    vault_id: bytes
    epoch: int
    server: str
    field: str
    version: int
    bound: tuple[str, ...]

    @property
    def associated_data(self) -> bytes:
        """The AAD of the seal (SPEC §9.2)."""
        return pae(
            "mcpvault/1/seal", self.vault_id, self.epoch, self.server, self.field, self.version, "str", *self.bound
        )

    @property
    def place(self) -> str:
        """The dotted path, for messages."""
        return f"servers.{self.server}.{self.field}"


def seal(vault_key: bytes, secret: Secret, context: SealContext, *, salt: bytes | None = None) -> str:
    """
    Return ``mv1.<epoch>.<salt>.<ciphertext>``.

    Args:
        vault_key: The 32-byte key of the epoch.
        secret: At most 64 KiB, not empty.
        context: Where the value will stand.
        salt: 24 bytes; random unless a test vector fixes them.

    Raises:
        ConfigurationError: The value is empty, too long, or no text.
    """
    if any("\ud800" <= char <= "\udfff" for char in secret.reveal()):
        raise ConfigurationError(f"{context.place}: a secret is UTF-8 text, and this is none")
    size = len(secret.reveal().encode())
    if not 0 < size <= LARGEST:
        raise ConfigurationError(
            f"{context.place}: a secret has 1 to {LARGEST} bytes, got {size}", hint="was the input empty?"
        )
    salt = os.urandom(_SALT) if salt is None else salt
    material = primitives.hkdf(vault_key, salt, "mcpvault/1/seal", 44)
    sealed = primitives.gcm_seal(material[:32], material[32:], _padded(secret), context.associated_data)
    return f"mv1.{context.epoch}.{primitives.encode(salt)}.{primitives.encode(sealed)}"


def unseal(vault_key: bytes, line: str, context: SealContext) -> Secret:
    """
    Open a sealed line in its place.

    Raises:
        TamperedError: It was altered, moved, or sealed for something else. Do not use the entry;
            compare the file with its history.
    """
    if opened := _open(vault_key, line, context):
        return opened
    raise TamperedError(
        f"{context.place}: the sealed value does not open here: it was altered, or moved from another place",
        hint="restore the line, or set the value again: mcpvault set",
        server=context.server,
    )


def _open(vault_key: bytes, line: str, context: SealContext) -> Secret | None:
    parts = primitives.sealed_parts(line)
    if parts is None or parts[0] != context.epoch:
        return None
    _, salt, sealed = parts
    material = primitives.hkdf(vault_key, salt, "mcpvault/1/seal", 44)
    return _unpadded(primitives.gcm_open(material[:32], material[32:], sealed, context.associated_data))


def _padded(secret: Secret) -> bytes:
    """ISO/IEC 7816-4: 0x80, then zeros up to the next multiple of the bucket."""
    data = secret.reveal().encode() + b"\x80"
    return data + bytes(-len(data) % _BUCKET)


def _unpadded(data: bytes | None) -> Secret | None:
    if data is None or len(data) % _BUCKET:
        return None
    body, mark, zeros = data.rpartition(b"\x80")
    if not mark or zeros.strip(b"\0") or not body or len(body) > LARGEST:
        return None
    try:
        return Secret(body.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def fingerprint(vault_key: bytes, secret: Secret) -> str:
    """Return eight hex digits that name a value without helping to guess it (SPEC §9.4)."""
    return primitives.mac(primitives.hkdf(vault_key, b"", "mcpvault/1/fp"), secret.reveal().encode()).hex()[:8]


def fingerprint_of(vault_key: bytes, line: str, context: SealContext) -> str | None:
    """Return the fingerprint of a sealed line, or None if it does not open in its place."""
    opened = _open(vault_key, line, context)
    return None if opened is None else fingerprint(vault_key, opened)
