"""
From a key to an unlocked vault: slot, pin, box, MAC, signature, anchor, in that order.

Decides whether a file may be believed. Every check that fails is an error of its own, and
nothing of the file is used before all of them have passed.

Spec: SPEC §8.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from mcpvault.errors import RollbackError, TamperedError, UntrustedRootError, WrongKeyError
from mcpvault.vault import primitives, slot_keys
from mcpvault.vault.keysources import Key
from vault_schema import Document, Header, Slot, canonical, pae
from vault_schema.record import Record


class AnchorStore(Protocol):
    """What this host has seen of the vault, one record a slot; written upwards only."""

    def seen(self, slot: str) -> Mapping[str, str | int] | None:
        """Return the record of *slot* (``root``, ``serial``, ``mac``, ``tag``), or None."""

    def advance(self, slot: str, record: Mapping[str, str | int]) -> None:
        """Keep *record* unless a newer one is there; failing to write warns and goes on."""


class Unlocked(Record):
    """The keys of an open vault; ``source`` says in words where the one came from that opened the slot."""

    slot: Slot
    vault_id: bytes
    private: bytes
    vault_key: bytes
    root_seed: bytes | None
    source: str = ""

    _unprinted = frozenset({"private", "vault_key", "root_seed"})


def unlock(header: Header, key: Key | Callable[[Header], Key], *, trusted_roots: Collection[str]) -> Unlocked:
    """
    Return the keys behind the slot that *key*, or what it finds for the header, opens.

    Raises:
        WrongKeyError: The key fits no slot.
        UntrustedRootError: Nothing vouches for the root: the pin is missing, or was made for another.
        TamperedError: The slot's boxes do not open.
    """
    key = key if isinstance(key, Key) else key(header)
    slot, private = _find_slot(header, key)
    return _opened(header, slot, private, trusted_roots, key.source)


def unlock_again(header: Header, keys: Unlocked, *, trusted_roots: Collection[str]) -> Unlocked:
    """
    Return the keys of another generation of the vault that *keys* opened.

    Raises:
        WrongKeyError: The slot is no longer there.
        UntrustedRootError, TamperedError: As ``unlock``.
    """
    public = primitives.encode(primitives.x25519_public(keys.private))
    slot = next((slot for slot in header.slots if slot.pub == public), None)
    if slot is None:
        raise WrongKeyError(
            f"slot {keys.slot.id!r} was removed from the vault", hint="ask an admin; this process opened it before"
        )
    return _opened(header, slot, keys.private, trusted_roots, keys.source)


def _opened(header: Header, slot: Slot, private: bytes, trusted_roots: Collection[str], source: str) -> Unlocked:
    vault_id = slot_keys.id_bytes(header.id)
    root = slot_keys.id_bytes(header.root)
    _check_root(slot, private, vault_id, root, trusted_roots)
    vault_key = slot_keys.open_box(private, header, slot, "slot")
    seed = slot_keys.open_box(private, header, slot, "root") if slot.role == "admin" else None
    if vault_key is None or (slot.role == "admin" and (seed is None or primitives.ed25519_public(seed) != root)):
        raise TamperedError(
            f"vault.slots: the boxes of slot {slot.id!r} do not open", hint="restore the file from its history"
        )
    return Unlocked(slot=slot, vault_id=vault_id, private=private, vault_key=vault_key, root_seed=seed, source=source)


def unlock_unbelieved(header: Header, key: Key) -> Unlocked:
    """
    Return the keys behind the slot of *key* without asking who vouches for the root, to show a file and no more.

    Raises:
        WrongKeyError: The key fits no slot.
        TamperedError: The slot's boxes do not open.
    """
    slot, private = _find_slot(header, key)
    root = slot_keys.root_fingerprint(slot_keys.id_bytes(header.root))
    return _opened(header, slot, private, (root,), key.source)


def _find_slot(header: Header, key: Key) -> tuple[Slot, bytes]:
    """Find the slot by comparing public keys, never by trying boxes."""
    for slot in header.slots:
        private = _private(slot, key)
        if private is not None and primitives.encode(primitives.x25519_public(private)) == slot.pub:
            return slot, private
    raise WrongKeyError(
        f"the key from {key.source} opens none of the vault's slots ({', '.join(s.id for s in header.slots)})",
        hint="use the key of one of these slots, or have an admin add yours: mcpvault slots add",
    )


def _private(slot: Slot, key: Key) -> bytes | None:
    salt = slot_keys.id_bytes(slot.salt) if slot.salt else b""
    if key.kind == "passphrase":
        if slot.kind != "passphrase" or slot.m is None or slot.t is None or slot.p is None:
            return None
        return slot_keys.private_of_passphrase(key.secret, salt, {"m": slot.m, "t": slot.t, "p": slot.p})
    is_identity = key.secret.reveal().startswith(slot_keys.HOST)
    if slot.kind == "recipient":
        return slot_keys.key_bytes(key.secret) if is_identity else None
    if slot.kind in ("raw", "keyring", "recovery") and not is_identity:
        return slot_keys.private_of_raw(key.secret, salt, kind=slot.kind)
    return None


def _check_root(slot: Slot, private: bytes, vault_id: bytes, root: bytes, trusted_roots: Collection[str]) -> None:
    shown = slot_keys.root_fingerprint(root)
    if shown in trusted_roots:
        return
    if trusted_roots:
        # A removed admin still has the old root, and an old file with our pin for it.
        raise UntrustedRootError(
            f"vault.root: {shown} is not the root that this host vouches for ({', '.join(sorted(trusted_roots))})",
            hint=f"ask an admin for the fingerprint; only if it is the same, run: mcpvault trust {shown}",
        )
    if slot.pin is not None and primitives.same(slot_keys.id_bytes(slot.pin), slot_keys.pin(private, vault_id, root)):
        return
    if slot.pin is not None:
        raise UntrustedRootError(
            f"vault.root: {shown} is not the root that slot {slot.id!r} was made under",
            hint=f"ask an admin for the fingerprint; only if it is the same, run: mcpvault trust {shown}",
        )
    raise UntrustedRootError(
        f"vault.root: nothing on this host vouches for {shown}",
        hint=f"ask an admin for the fingerprint; only if it is the same, run: mcpvault trust {shown}",
    )


def document_mac(vault_key: bytes, tree: Mapping[str, Any]) -> bytes:
    """Return the MAC over the canonical form of *tree* without its own MAC and signature (SPEC §8.1)."""
    head = {name: value for name, value in tree["vault"].items() if name not in ("mac", "sig")}
    return primitives.mac(primitives.hkdf(vault_key, b"", "mcpvault/1/mac"), canonical({**tree, "vault": head}))


def signature(root_seed: bytes, vault_id: bytes, mac: bytes) -> bytes:
    """Return the root's signature over the MAC (SPEC §8.2)."""
    return primitives.ed25519_sign(root_seed, pae("mcpvault/1/sig", vault_id, mac))


def verify(document: Document, keys: Unlocked) -> None:
    """
    Check MAC and signature of the whole document.

    Raises:
        TamperedError: The text is not the one that was signed.
    """
    header = document.header
    mac = document_mac(keys.vault_key, document.tree)
    if not primitives.same(mac, slot_keys.id_bytes(header.mac)):
        raise TamperedError(
            "the vault was changed without its key: the MAC does not hold",
            hint="if the change was meant, an admin runs: mcpvault sign",
        )
    signed = pae("mcpvault/1/sig", keys.vault_id, mac)
    if not primitives.ed25519_verify(slot_keys.id_bytes(header.root), slot_keys.id_bytes(header.sig), signed):
        raise TamperedError(
            "the vault was changed by somebody who can read it but not publish it: the signature does not hold",
            hint="if the change was meant, an admin runs: mcpvault sign",
        )


def _tag(root: str, keys: Unlocked, serial: int, mac: str) -> str:
    key = primitives.hkdf(keys.private, keys.vault_id, "mcpvault/1/anchor")
    return primitives.encode(
        primitives.mac(key, pae("mcpvault/1/anchor", keys.vault_id, keys.slot.id, root, serial, mac))
    )


def anchor_record(header: Header, keys: Unlocked) -> dict[str, str | int]:
    """Return what this host should remember of the file."""
    return {
        "root": header.root,
        "serial": header.serial,
        "mac": header.mac,
        "tag": _tag(header.root, keys, header.serial, header.mac),
    }


def log_record(keys: Unlocked, log: str, epoch: int) -> dict[str, str | int]:
    """Return what this host should remember of its audit log, beside the record of the file (SPEC §18.1)."""
    return {"log": log, "log_epoch": epoch, "log_tag": _log_tag(keys, log, epoch)}


def log_in(keys: Unlocked, record: Mapping[str, str | int]) -> tuple[str, int] | None:
    """Return name and epoch of the audit log that a record says, None if it says none that is ours."""
    log, epoch = str(record.get("log", "")), record.get("log_epoch")
    if type(epoch) is not int or not primitives.same(
        _log_tag(keys, log, epoch).encode(), str(record.get("log_tag")).encode()
    ):
        return None
    return log, epoch


def _log_tag(keys: Unlocked, log: str, epoch: int) -> str:
    key = primitives.hkdf(keys.private, keys.vault_id, "mcpvault/1/anchor")
    return primitives.encode(primitives.mac(key, pae("mcpvault/1/anchor-log", keys.vault_id, keys.slot.id, log, epoch)))


def anchored_serial(keys: Unlocked, anchor: AnchorStore | None) -> int:
    """Return the serial that this host remembers for the slot, 0 if none or if the record is not ours."""
    record = anchor.seen(keys.slot.id) if anchor is not None else None
    return _serial_in(record, keys) if record is not None else 0


def _serial_in(record: Mapping[str, str | int], keys: Unlocked) -> int:
    serial, mac = int(record["serial"]), str(record["mac"])
    expected = _tag(str(record["root"]), keys, serial, mac)
    return serial if primitives.same(expected.encode(), str(record["tag"]).encode()) else 0


def check_anchor(
    document: Document, keys: Unlocked, anchor: AnchorStore | None, *, trusted_roots: Collection[str] = ()
) -> None:
    """
    Compare the file with what this host has seen, and remember it if it is newer.

    Raises:
        RollbackError: The file is older than one seen here, or of the same serial and different.
        UntrustedRootError: It has another root than the one seen here, and nobody has confirmed it on this host.
    """
    if anchor is None:
        return
    header = document.header
    record = anchor.seen(keys.slot.id)
    if record is not None:
        serial, mac = int(record["serial"]), str(record["mac"])
        hint = "find out why; to accept this file knowingly, run: mcpvault trust --accept"
        # Of the record that was read: another process may have written the next one meanwhile.
        if serial < 1 or _serial_in(record, keys) != serial:
            raise RollbackError("the anchor of this host was not made with this key", hint=hint)
        if header.serial < serial:
            raise RollbackError(f"the vault was rolled back: serial {header.serial}, seen here {serial}", hint=hint)
        if header.serial == serial and header.mac != mac:
            raise RollbackError(f"the vault forked: another file of serial {serial} was seen here", hint=hint)
        shown = slot_keys.root_fingerprint(slot_keys.id_bytes(header.root))
        if header.root != record["root"] and shown not in trusted_roots:
            raise UntrustedRootError(
                f"vault.root: {shown} is new; an admin was removed, or somebody has forged this file",
                hint=f"ask an admin for the fingerprint; only if it is the same, run: mcpvault trust {shown}",
            )
        if header.serial == serial:
            return
    anchor.advance(keys.slot.id, anchor_record(header, keys))
