"""
Slots: the ways into a vault, all of them HPKE to a public key.

Decides how each kind's private key comes about, and the boxes and pins of a slot.
Leaves to ``keysources`` where a key is looked for.

Spec: SPEC §6, §7.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any, Literal

from mcpvault.errors import ConfigurationError, TamperedError
from mcpvault.secret import Secret
from mcpvault.vault import primitives
from vault_schema import Header, Slot, pae
from vault_schema.record import Record

Role = Literal["admin", "reader"]
KDF_DEFAULT: Mapping[str, int] = {"m": 65536, "t": 3, "p": 4}  # RFC 9106 §4, second recommendation; m in KiB
KDF_CHEAPEST: Mapping[str, int] = {"m": 19456, "t": 2, "p": 1}  # the floor of SPEC §6.2; for tests


def _armour(prefix: str, key: bytes) -> str:
    """Key text: prefix, then base32 of the key and four bytes of its SHA-256 (SPEC §7)."""
    return prefix + base64.b32encode(key + primitives.sha256(key)[:4]).decode("ascii").rstrip("=").lower()


def _of_phrase(text: str) -> bytes | None:
    if text.startswith((RawKey.prefix, HostIdentity.prefix)):
        return None
    from mcpvault.vault import phrases

    data = phrases.spoken(text)
    return data[:32] if data is not None and primitives.sha256(data[:32])[:4] == data[32:] else None


def _unarmoured(prefix: str, text: str) -> bytes | None:
    body = text.removeprefix(prefix)
    if body == text or len(body) != 58 or body != body.lower():
        return None
    try:
        data = base64.b32decode(body.upper() + "======")
    except ValueError:
        return None
    return data[:32] if primitives.sha256(data[:32])[:4] == data[32:] and _armour(prefix, data[:32]) == text else None


class RawKey:
    """A random 32-byte key, as text ``mvk1-…``: the key of a cron job or of a first admin."""

    prefix = "mvk1-"

    def __init__(self, text: Secret) -> None:
        self.text = text

    @classmethod
    def generate(cls) -> RawKey:
        """Return a fresh key."""
        return cls(Secret(_armour(cls.prefix, os.urandom(32))))

    @property
    def phrase(self) -> Secret:
        """The same key in words."""
        from mcpvault.vault import phrases

        key = key_bytes(self.text)
        return Secret(phrases.words(key + primitives.sha256(key)[:4]))


class HostIdentity:
    """An X25519 key pair of a host: ``mvx1-…`` stays there, ``mvp1-…`` is given to an admin."""

    prefix, public_prefix = "mvx1-", "mvp1-"

    def __init__(self, text: Secret) -> None:
        self.text = text

    @classmethod
    def generate(cls) -> HostIdentity:
        """Return a fresh identity."""
        return cls(Secret(_armour(cls.prefix, os.urandom(32))))

    @property
    def public(self) -> str:
        """The public half, ``mvp1-…``."""
        return _armour(self.public_prefix, primitives.x25519_public(key_bytes(self.text)))


def key_bytes(text: Secret) -> bytes:
    """
    Return the 32 bytes of ``mvk1-`` or ``mvx1-`` key text, or of a recovery phrase.

    Raises:
        ConfigurationError: It is neither, or mistyped (its checksum does not hold).
    """
    if (key := _of_phrase(text.reveal())) is not None:
        return key
    for prefix in (RawKey.prefix, HostIdentity.prefix):
        if (key := _unarmoured(prefix, text.reveal())) is not None:
            return key
    raise ConfigurationError(
        "the key is not mcpvault key text: expected one line mvk1-… or mvx1-… with a valid checksum, or 18 words",
        hint="was it cut short when it was copied?",
    )


def public_bytes(text: str) -> bytes:
    """
    Return the public key in ``mvp1-…``.

    Raises:
        ConfigurationError: It is no such text, or mistyped.
    """
    if (key := _unarmoured(HostIdentity.public_prefix, text)) is None:
        raise ConfigurationError(
            "the recipient is not a public key: expected mvp1-… with a valid checksum",
            hint="make one on the host: mcpvault slots keygen PATH",
        )
    return key


def root_fingerprint(root: bytes) -> str:
    """Return what people compare: ``mvr1-`` and base32 of SHA-256 of the root's public key, 20 bytes."""
    return "mvr1-" + base64.b32encode(primitives.sha256(root)[:20]).decode("ascii").lower()


class NewSlot(Record):
    """
    A slot to be made: its public facts, and its private key where we hold it.

    ``private`` is None for a recipient whose private key only the host has; such a slot has no pin.
    """

    id: str
    kind: str
    role: Role
    public: bytes
    private: bytes | None
    facts: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"NewSlot(id={self.id!r}, kind={self.kind!r}, role={self.role!r})"

    @classmethod
    def raw(cls, id: str, key: RawKey, *, role: Role = "admin", salt: bytes | None = None) -> NewSlot:  # noqa: A002  the format's word
        """Return a slot for a raw key."""
        salt = os.urandom(16) if salt is None else salt
        return cls._derived(id, "raw", role, private_of_raw(key.text, salt), {"salt": primitives.encode(salt)})

    @classmethod
    def keyring(cls, id: str, key: RawKey, *, service: str, user: str, role: Role = "admin") -> NewSlot:  # noqa: A002
        """Return a slot whose raw key the OS keyring keeps under *service* and *user*."""
        salt = os.urandom(16)
        facts = {"salt": primitives.encode(salt), "service": service, "user": user}
        return cls._derived(id, "keyring", role, private_of_raw(key.text, salt, kind="keyring"), facts)

    @classmethod
    def recovery(cls, id: str, key: RawKey, *, role: Role = "admin") -> NewSlot:  # noqa: A002
        """Return a slot whose key is kept on paper, as ``RawKey.phrase``."""
        salt = os.urandom(16)
        private = private_of_raw(key.text, salt, kind="recovery")
        return cls._derived(id, "recovery", role, private, {"salt": primitives.encode(salt)})

    @classmethod
    def passphrase(
        cls, id: str, passphrase: Secret, *, role: Role = "admin", kdf: Mapping[str, int] = KDF_DEFAULT,  # noqa: A002
        salt: bytes | None = None,
    ) -> NewSlot:  # fmt: skip
        """Return a slot for a passphrase, stretched with Argon2id."""
        salt = os.urandom(16) if salt is None else salt
        facts = {"kdf": "argon2id", **kdf, "salt": primitives.encode(salt)}
        return cls._derived(id, "passphrase", role, private_of_passphrase(passphrase, salt, kdf), facts)

    @classmethod
    def recipient(cls, id: str, public: str, *, role: Role = "reader") -> NewSlot:  # noqa: A002
        """Return a slot for a host's public key ``mvp1-…``."""
        return cls(id=id, kind="recipient", role=role, public=public_bytes(public), private=None, facts={})

    @classmethod
    def _derived(cls, id: str, kind: str, role: Role, private: bytes, facts: Mapping[str, Any]) -> NewSlot:  # noqa: A002
        public = primitives.x25519_public(private)
        return cls(id=id, kind=kind, role=role, public=public, private=private, facts=facts)

    def table(self, header: Mapping[str, Any], vault_key: bytes, root_seed: bytes, *, created: str) -> dict[str, Any]:
        """Return the slot as a table of the file, with its boxes and, where we hold the key, its pin."""
        vault_id, epoch = id_bytes(header["id"]), header["epoch"]
        pub = primitives.encode(self.public)
        out: dict[str, Any] = {"id": self.id, "kind": self.kind, "role": self.role, **self.facts, "pub": pub}
        out["box"] = _boxed(vault_key, self.public, _info("slot", vault_id, epoch, self.id, self.kind))
        if self.role == "admin":
            out["sbox"] = _boxed(root_seed, self.public, _info("root", vault_id, epoch, self.id, self.kind))
        if self.private is not None:
            out["pin"] = primitives.encode(pin(self.private, vault_id, primitives.ed25519_public(root_seed)))
        out["created"] = created
        return out


def reboxed(
    slot: Mapping[str, Any], header: Mapping[str, Any], vault_key: bytes, root_seed: bytes, *, private: bytes | None
) -> dict[str, Any]:
    """
    Return the table of *slot* with boxes for the keys and the role that it now has.

    Its pin stays while the root is the same; for another root only the owner's *private* key can make one.

    Args:
        slot: The table as it stands, its ``role`` as it shall be.
        header: The vault's id, its epoch from now on, and its root until now.
        vault_key: The key of that epoch.
        root_seed: The root from now on.
        private: The slot's private key where it is at hand, else None.
    """
    vault_id, epoch, public = id_bytes(header["id"]), header["epoch"], id_bytes(slot["pub"])
    root = primitives.ed25519_public(root_seed)
    out = {name: value for name, value in slot.items() if name != "sbox"}
    out["box"] = _boxed(vault_key, public, _info("slot", vault_id, epoch, slot["id"], slot["kind"]))
    if slot["role"] == "admin":
        out["sbox"] = _boxed(root_seed, public, _info("root", vault_id, epoch, slot["id"], slot["kind"]))
    if private is not None:
        out["pin"] = primitives.encode(pin(private, vault_id, root))
    elif primitives.encode(root) != header["root"]:
        out.pop("pin", None)
    return out


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


def _info(what: str, vault_id: bytes, epoch: int, slot_id: str, kind: str) -> bytes:
    return pae(f"mcpvault/1/{what}", vault_id, epoch, slot_id, kind)


def _boxed(data: bytes, public: bytes, info: bytes) -> str:
    if (box := primitives.hpke_seal(data, public, info)) is None:
        raise ConfigurationError("the slot's public key is not a usable X25519 key")
    return primitives.encode(box)


def open_box(private: bytes, header: Header, slot: Slot, what: Literal["slot", "root"]) -> bytes | None:
    """Return the vault key (``slot``) or the root's seed (``root``) of *slot*, or None if it does not open."""
    box = slot.box if what == "slot" else slot.sbox
    if box is None:
        return None
    info = _info(what, id_bytes(header.id), header.epoch, slot.id, slot.kind)
    opened = primitives.hpke_open(id_bytes(box), private, info)
    return opened if opened is not None and len(opened) == 32 else None


def pin(private: bytes, vault_id: bytes, root: bytes) -> bytes:
    """Return the slot owner's own MAC over the root's public key (SPEC §8.3)."""
    return primitives.mac(primitives.hkdf(private, vault_id, "mcpvault/1/pin"), pae("mcpvault/1/pin", vault_id, root))
