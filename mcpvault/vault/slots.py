"""
Slots: the ways into a vault, all of them HPKE to a public key.

Decides how a slot of each kind is made, and made anew for another key or role.
Leaves to ``slot_keys`` what one is opened with.

Spec: SPEC §6, §7.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from mcpvault.errors import ConfigurationError
from mcpvault.secret import Secret
from mcpvault.vault import primitives
from mcpvault.vault.slot_keys import (
    HOST,
    RAW,
    armour,
    id_bytes,
    info_of,
    key_bytes,
    pin,
    private_of_passphrase,
    private_of_raw,
    unarmoured,
)
from vault_schema.record import Record

Role = Literal["admin", "reader"]
KDF_DEFAULT: Mapping[str, int] = {"m": 65536, "t": 3, "p": 4}  # RFC 9106 §4, second recommendation; m in KiB
KDF_CHEAPEST: Mapping[str, int] = {"m": 19456, "t": 2, "p": 1}  # the floor of SPEC §6.2; for tests


class RawKey:
    """A random 32-byte key, as text ``mvk1-…``: the key of a cron job or of a first admin."""

    prefix = RAW

    def __init__(self, text: Secret) -> None:
        self.text = text

    @classmethod
    def generate(cls) -> RawKey:
        """Return a fresh key."""
        return cls(Secret(armour(cls.prefix, os.urandom(32))))

    @property
    def phrase(self) -> Secret:
        """The same key in words."""
        from mcpvault.vault import phrases

        key = key_bytes(self.text)
        return Secret(phrases.words(key + primitives.sha256(key)[:4]))


class HostIdentity:
    """An X25519 key pair of a host: ``mvx1-…`` stays there, ``mvp1-…`` is given to an admin."""

    prefix, public_prefix = HOST, "mvp1-"

    def __init__(self, text: Secret) -> None:
        self.text = text

    @classmethod
    def generate(cls) -> HostIdentity:
        """Return a fresh identity."""
        return cls(Secret(armour(cls.prefix, os.urandom(32))))

    @property
    def public(self) -> str:
        """The public half, ``mvp1-…``."""
        return armour(self.public_prefix, primitives.x25519_public(key_bytes(self.text)))


def public_bytes(text: str) -> bytes:
    """
    Return the public key in ``mvp1-…``.

    Raises:
        ConfigurationError: It is no such text, or mistyped.
    """
    if (key := unarmoured(HostIdentity.public_prefix, text)) is None:
        raise ConfigurationError(
            "the recipient is not a public key: expected mvp1-… with a valid checksum",
            hint="make one on the host: mcpvault slots keygen PATH",
        )
    return key


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
        out["box"] = _boxed(vault_key, self.public, info_of("slot", vault_id, epoch, self.id, self.kind))
        if self.role == "admin":
            out["sbox"] = _boxed(root_seed, self.public, info_of("root", vault_id, epoch, self.id, self.kind))
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
    out["box"] = _boxed(vault_key, public, info_of("slot", vault_id, epoch, slot["id"], slot["kind"]))
    if slot["role"] == "admin":
        out["sbox"] = _boxed(root_seed, public, info_of("root", vault_id, epoch, slot["id"], slot["kind"]))
    if private is not None:
        out["pin"] = primitives.encode(pin(private, vault_id, root))
    elif primitives.encode(root) != header["root"]:
        out.pop("pin", None)
    return out


def _boxed(data: bytes, public: bytes, info: bytes) -> str:
    if (box := primitives.hpke_seal(data, public, info)) is None:
        raise ConfigurationError("the slot's public key is not a usable X25519 key")
    return primitives.encode(box)
