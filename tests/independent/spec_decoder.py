"""
Open a vault by SPEC.md alone: nothing of the program is imported, only the standard library and cryptography.

§8.4 is the order of what happens here; the rules of the text are in ``spec_rules`` and ``spec_text``,
bytes and boxes in ``spec_bytes``.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from spec_bytes import Refused, b64, canonical, derive, fingerprint, keyed, open_box, pae, private_half, public_half
from spec_rules import judge, parse
from spec_text import origin

LONGEST = 65536


class Seen(NamedTuple):
    """What a host remembers (§8.5), its tag already checked."""

    serial: int
    mac: str
    root: str | None = None


@dataclass(frozen=True)
class Opened:
    """A vault that passed every check."""

    tree: Mapping[str, Any]
    vault_id: bytes
    vault_key: bytes

    def reveal(self, server: str, field: str, stage: str = "current") -> str:
        """Open one sealed value (§9, §12)."""
        entry = self.tree["servers"][server]
        versions: Any = entry
        for step in field.split(".", 1):
            versions = versions[step]
        version = next(version for version in versions if version["stage"] == stage)
        place = f"servers.{server}.{field}"
        if version["bound"] != binding(entry):
            raise Refused("binding", place, "sealed for something else")
        epoch = self.tree["vault"]["epoch"]
        context = pae("mcpvault/1/seal", self.vault_id, epoch, server, field, version["v"], "str", *version["bound"])
        return unseal(self.vault_key, version["sealed"], context, place)

    def retired(self, epoch: int) -> list[bytes]:
        """Return the kept vault keys of an earlier epoch (§5.1)."""
        own = self.tree["vault"]["epoch"]
        rows = [row for row in self.tree["vault"].get("retired", []) if row["epoch"] == epoch]
        return [self._retired(row["key"], pae("mcpvault/1/retired", self.vault_id, own, epoch)) for row in rows]

    def _retired(self, line: str, context: bytes) -> bytes:
        salt, ciphertext = (b64(part) or b"" for part in line.split(".")[2:])
        material = derive(self.vault_key, salt, "mcpvault/1/retired", 44)
        return AESGCM(material[:32]).decrypt(material[32:], ciphertext, context)


def binding(entry: Mapping[str, Any]) -> list[str]:
    """Return what the secrets of an entry are for."""
    if "url" in entry:
        return ["url.origin", origin(entry["url"])]
    return ["command", entry["command"], *entry.get("args", [])]


def unseal(vault_key: bytes, sealed: str, context: bytes, place: str) -> str:
    """Open a sealed line (§9.1, §9.3)."""
    salt, ciphertext = (b64(part) or b"" for part in sealed.split(".")[2:])
    material = derive(vault_key, salt, "mcpvault/1/seal", 44)
    padded: bytes | None
    try:
        padded = AESGCM(material[:32]).decrypt(material[32:], ciphertext, context)
    except InvalidTag:
        padded = None
    plain, mark, zeros = (padded or b"").rpartition(b"\x80")
    if not mark or any(zeros) or len(padded or b"") % 32 or len(zeros) >= 32 or not 1 <= len(plain) <= LONGEST:
        raise Refused("tampered", place, "does not open")
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise Refused("tampered", place, "no UTF-8") from None


def value_fingerprint(vault_key: bytes, plaintext: str) -> str:
    """Return the name of a value (§9.4)."""
    return keyed(derive(vault_key, b"", "mcpvault/1/fp"), plaintext.encode())[:4].hex()


def find_slot(tree: Mapping[str, Any], given: str, text: str) -> tuple[Mapping[str, Any], bytes]:
    """Return one's slot and its private key."""
    for slot in tree["vault"]["slots"]:
        private = private_half(slot, given, text)
        if private is not None and public_half(private) == b64(slot["pub"]):
            return slot, private
    raise Refused("wrong-key", "vault.slots", "no slot of this key")


def check_trust(
    slot: Mapping[str, Any], private: bytes, vault_id: bytes, root: bytes, trusted: Collection[str]
) -> None:
    """Believe the root for the slot's pin, or for the host's word (§8.3)."""
    expected = slot_pin(private, vault_id, root)
    pinned = "pin" in slot and hmac.compare_digest(b64(slot["pin"]) or b"", expected)
    if fingerprint(root) not in trusted if trusted else not pinned:
        raise Refused("untrusted", "vault.root", "nobody vouches for it")


def slot_pin(private: bytes, vault_id: bytes, root: bytes) -> bytes:
    """Return the pin that only the slot's owner can make."""
    return keyed(derive(private, vault_id, "mcpvault/1/pin"), pae("mcpvault/1/pin", vault_id, root))


def open_slot(vault: Mapping[str, Any], slot: Mapping[str, Any], private: bytes, vault_id: bytes) -> bytes:
    """Open the slot's boxes and return the vault key (§6.1)."""

    def opened(key: str, label: str) -> bytes:
        info = pae(label, vault_id, vault["epoch"], slot["id"], slot["kind"])
        inside = open_box(b64(slot[key]) or b"", private, info)
        if inside is None:
            raise Refused("tampered", f"vault.slots.{slot['id']}.{key}", "does not open")
        return inside

    if slot["role"] == "admin":
        seed = opened("sbox", "mcpvault/1/root")
        if Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw() != b64(vault["root"]):
            raise Refused("tampered", "vault.root", "not the seed's public key")
    return opened("box", "mcpvault/1/slot")


def check_integrity(tree: Mapping[str, Any], vault_id: bytes, vault_key: bytes) -> None:
    """Check MAC and signature (§8.1, §8.2)."""
    vault = tree["vault"]
    covered = {**tree, "vault": {key: value for key, value in vault.items() if key not in ("mac", "sig")}}
    mac = b64(vault["mac"]) or b""
    if not hmac.compare_digest(mac, document_mac(vault_key, covered)):
        raise Refused("tampered", "vault.mac", "the file was changed")
    try:
        Ed25519PublicKey.from_public_bytes(b64(vault["root"]) or b"").verify(
            b64(vault["sig"]) or b"", pae("mcpvault/1/sig", vault_id, mac)
        )
    except (InvalidSignature, ValueError):
        raise Refused("tampered", "vault.sig", "not signed by the root") from None


def document_mac(vault_key: bytes, covered: Mapping[str, Any]) -> bytes:
    """Return the MAC of a document without its MAC and signature."""
    return keyed(derive(vault_key, b"", "mcpvault/1/mac"), canonical(covered))


def decode(data: bytes, given: str, text: str, *, trusted: Collection[str] = (), seen: Seen | None = None) -> Opened:
    """Open the bytes of a file with a key, keyring or passphrase *text*, in the order of §8.4."""
    tree = parse(data)
    judge(tree)
    vault = tree["vault"]
    vault_id, root = b64(vault["id"]) or b"", b64(vault["root"]) or b""
    slot, private = find_slot(tree, given, text)
    check_trust(slot, private, vault_id, root, trusted)
    vault_key = open_slot(vault, slot, private, vault_id)
    check_integrity(tree, vault_id, vault_key)
    if seen and (vault["serial"] < seen.serial or (vault["serial"] == seen.serial and vault["mac"] != seen.mac)):
        raise Refused("rollback", "vault.serial", "this host has seen another")
    if seen and seen.root not in (None, vault["root"]) and fingerprint(root) not in trusted:
        raise Refused("untrusted", "vault.root", "this host has seen another")
    return Opened(tree, vault_id, vault_key)
