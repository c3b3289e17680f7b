"""
What a slot is opened with: key text, the private key that comes of it, the boxes and the pin.

Leaves to ``keysources`` where a key is looked for, and to ``slots`` how a slot is made.

Spec: SPEC §6, §7.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Literal

from mcpvault.errors import ConfigurationError, TamperedError
from mcpvault.secret import Secret
from mcpvault.vault import primitives
from vault_schema import Header, Slot, pae

RAW, HOST = "mvk1-", "mvx1-"  # what key text begins with: of a raw key, of a host's identity


def armour(prefix: str, key: bytes) -> str:
    """Return key text: *prefix*, then base32 of the key and four bytes of its SHA-256 (SPEC §7)."""
    return prefix + base64.b32encode(key + primitives.sha256(key)[:4]).decode("ascii").rstrip("=").lower()


def _of_phrase(text: str) -> bytes | None:
    if text.startswith((RAW, HOST)):
        return None
    from mcpvault.vault import phrases

    data = phrases.spoken(text)
    return data[:32] if data is not None and primitives.sha256(data[:32])[:4] == data[32:] else None


def unarmoured(prefix: str, text: str) -> bytes | None:
    """Return the 32 bytes in key text of that *prefix*, or None if it is none, or mistyped."""
    body = text.removeprefix(prefix)
    if body == text or len(body) != 58 or body != body.lower():
        return None
    try:
        data = base64.b32decode(body.upper() + "======")
    except ValueError:
        return None
    return data[:32] if primitives.sha256(data[:32])[:4] == data[32:] and armour(prefix, data[:32]) == text else None


def key_bytes(text: Secret) -> bytes:
    """
    Return the 32 bytes of ``mvk1-`` or ``mvx1-`` key text, or of a recovery phrase.

    Raises:
        ConfigurationError: It is neither, or mistyped (its checksum does not hold).
    """
    if (key := _of_phrase(text.reveal())) is not None:
        return key
    for prefix in (RAW, HOST):
        if (key := unarmoured(prefix, text.reveal())) is not None:
            return key
    raise ConfigurationError(
        "the key is not mcpvault key text: expected one line mvk1-… or mvx1-… with a valid checksum, or 18 words",
        hint="was it cut short when it was copied?",
    )


def root_fingerprint(root: bytes) -> str:
    """Return what people compare: ``mvr1-`` and base32 of SHA-256 of the root's public key, 20 bytes."""
    return "mvr1-" + base64.b32encode(primitives.sha256(root)[:20]).decode("ascii").lower()


def private_of_raw(text: Secret, salt: bytes, *, kind: str = "raw") -> bytes:
    """Return the X25519 private key of a raw, keyring or recovery slot (SPEC §6.3)."""
    return primitives.hkdf(key_bytes(text), salt, f"mcpvault/1/slot-x25519/{kind}")


def private_of_passphrase(passphrase: Secret, salt: bytes, kdf: Mapping[str, int]) -> bytes:
    """
    Return the X25519 private key of a passphrase slot (SPEC §6.2): Argon2id, then HKDF.

    Raises:
        ConfigurationError: The process is not given as much memory as the slot asks for.
    """
    stretched = _stretched(passphrase, salt, kdf)
    if stretched is None:
        raise ConfigurationError(
            f"the passphrase needs {-(-kdf['m'] // 1024)} MiB of memory, and the system gives less",
            hint="raise the limit (ulimit -v, MemoryMax= of a unit), or use a key of another kind: mcpvault slots add",
        )
    return primitives.hkdf(stretched, salt, "mcpvault/1/slot-x25519/passphrase")


def _stretched(passphrase: Secret, salt: bytes, kdf: Mapping[str, int]) -> bytes | None:
    """Return what Argon2id makes of the passphrase, None where its memory is not to be had."""
    import unicodedata

    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    stretch = Argon2id(salt=salt, length=32, iterations=kdf["t"], lanes=kdf["p"], memory_cost=kdf["m"])
    try:
        return stretch.derive(unicodedata.normalize("NFC", passphrase.reveal()).encode())
    except MemoryError:
        return None


def id_bytes(text: str) -> bytes:
    """Return the bytes of base64url text that the schema has already judged."""
    data = primitives.decode(text)
    if data is None:
        raise TamperedError("vault: expected canonical base64url")
    return data


def info_of(what: str, vault_id: bytes, epoch: int, slot_id: str, kind: str) -> bytes:
    """Return the HPKE info of a box: *what* is in it (``slot`` or ``root``), and where it stands (SPEC §6.1)."""
    return pae(f"mcpvault/1/{what}", vault_id, epoch, slot_id, kind)


def open_box(private: bytes, header: Header, slot: Slot, what: Literal["slot", "root"]) -> bytes | None:
    """Return the vault key (``slot``) or the root's seed (``root``) of *slot*, or None if it does not open."""
    box = slot.box if what == "slot" else slot.sbox
    if box is None:
        return None
    info = info_of(what, id_bytes(header.id), header.epoch, slot.id, slot.kind)
    opened = primitives.hpke_open(id_bytes(box), private, info)
    return opened if opened is not None and len(opened) == 32 else None


def pin(private: bytes, vault_id: bytes, root: bytes) -> bytes:
    """Return the slot owner's own MAC over the root's public key (SPEC §8.3)."""
    return primitives.mac(primitives.hkdf(private, vault_id, "mcpvault/1/pin"), pae("mcpvault/1/pin", vault_id, root))
