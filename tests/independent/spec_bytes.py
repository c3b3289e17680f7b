"""SPEC.md §1, §2, §5, §6, §7, §8.1: bytes, keys and boxes, with HPKE spelled out from RFC 9180."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DEEPEST = 32


class Refused(Exception):
    """The file is refused: *reason* is a word of §15, *place* the field at fault."""

    def __init__(self, reason: str, place: str, why: str) -> None:
        super().__init__(f"{reason}: {place}: {why}")
        self.reason, self.place = reason, place


def b64(text: str, size: int | None = None) -> bytes | None:
    """Read base64url in its only spelling (§1.2); None if it is not that, or not *size* bytes."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        return None
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        return None
    return data if size is None or len(data) == size else None


def derive(key: bytes, salt: bytes, label: str, size: int = 32) -> bytes:
    """HKDF of §1.4."""
    return HKDF(hashes.SHA256(), size, salt or bytes(32), label.encode()).derive(key)


def keyed(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key, data, "sha256")


def pae(*pieces: str | bytes | int) -> bytes:
    """PAE of §2."""
    out = len(pieces).to_bytes(8, "little")
    for piece in pieces:
        if isinstance(piece, str):
            piece = piece.encode()
        elif isinstance(piece, int):
            piece = piece.to_bytes(8, "little", signed=True)
        out += len(piece).to_bytes(8, "little") + piece
    return out


def canonical(value: Any, depth: int = 0) -> bytes:
    """Return the canonical form of §8.1."""
    if isinstance(value, str):
        return b"s" + value.encode()
    if isinstance(value, bool):
        return b"b\x01" if value else b"b\x00"
    if isinstance(value, int):
        return b"i" + value.to_bytes(8, "little", signed=True)
    if depth == DEEPEST:
        raise Refused("format", "", "nested too deep")
    if isinstance(value, list):
        return b"a" + pae(*(canonical(item, depth + 1) for item in value))
    pieces: list[bytes] = []
    for key, item in sorted((key.encode(), item) for key, item in value.items()):
        pieces += [key, canonical(item, depth + 1)]
    return b"t" + pae(*pieces)


# Keys (§7) and private halves (§6)


def key_text(text: str, prefix: str) -> bytes | None:
    """Return the 32 bytes of a key text; None if it has another prefix or does not hold."""
    body = text.removeprefix(prefix)
    if body == text or not re.fullmatch(r"[a-z2-7]{58}", body):
        return None
    data = base64.b32decode(body.upper() + "=" * (-len(body) % 8))
    if base64.b32encode(data).decode().rstrip("=").lower() != body:
        return None
    key, check = data[:32], data[32:]
    return key if hashlib.sha256(key).digest()[:4] == check else None


def phrase_key(text: str) -> bytes | None:
    """Return the 32 bytes of a phrase (§7.1); None if it is none, or does not hold."""
    said = re.sub(r"[\s,-]+", " ", text).strip().lower().split(" ")
    bits = ""
    for word in said:
        if not re.fullmatch("[bdfghjklmnprstvz][aiou][bdfghjklmnprstvz][aiou][bdfghjklmnprstvz]", word):
            return None
        for letter in word:
            place = "aiou".find(letter)
            bits += f"{place:02b}" if place >= 0 else f"{'bdfghjklmnprstvz'.index(letter):04b}"
    data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return data[:32] if len(said) == 18 and hashlib.sha256(data[:32]).digest()[:4] == data[32:] else None


def fingerprint(root: bytes) -> str:
    """Return what people compare of a root (§5)."""
    return "mvr1-" + base64.b32encode(hashlib.sha256(root).digest()[:20]).decode().lower()


def private_half(slot: Mapping[str, Any], given: str, text: str) -> bytes | None:
    """Derive the slot's private key from what is *given* (key, keyring, passphrase); None if it does not fit."""
    kind = slot["kind"]
    if given == "passphrase" and kind == "passphrase":
        salt = b64(slot["salt"]) or b""
        passphrase = unicodedata.normalize("NFC", text).encode()
        argon = Argon2id(salt=salt, length=32, memory_cost=slot["m"], iterations=slot["t"], lanes=slot["p"])
        return derive(argon.derive(passphrase), salt, "mcpvault/1/slot-x25519/passphrase")
    if given == "key" and kind == "recipient":
        return key_text(text, "mvx1-")
    if (given, kind) in (("key", "raw"), ("key", "recovery"), ("keyring", "keyring")):
        key = key_text(text, "mvk1-") or phrase_key(text)
        return None if key is None else derive(key, b64(slot["salt"]) or b"", f"mcpvault/1/slot-x25519/{kind}")
    return None


def public_half(private: bytes) -> bytes:
    """Return the X25519 public key."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


# HPKE, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (RFC 9180)

KEM_ID = (0x0020).to_bytes(2, "big")
SUITE_ID = b"HPKE" + KEM_ID + (0x0001).to_bytes(2, "big") + (0x0002).to_bytes(2, "big")


def _extract(salt: bytes, suite: bytes, label: bytes, material: bytes) -> bytes:
    """LabeledExtract of RFC 9180 §4."""
    return keyed(salt or bytes(32), b"HPKE-v1" + suite + label + material)


def _expand(key: bytes, suite: bytes, label: bytes, info: bytes, size: int) -> bytes:
    """LabeledExpand of RFC 9180 §4, for at most 32 bytes: one block of HKDF-Expand is enough."""
    return keyed(key, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01")[:size]


def open_box(box: bytes, private: bytes, info: bytes) -> bytes | None:
    """Open ``enc ‖ ciphertext ‖ tag`` with empty aad; None if it does not open."""
    sender, sealed = box[:32], box[32:]
    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(sender))
    except ValueError:
        return None
    suite = b"KEM" + KEM_ID
    prk = _extract(b"", suite, b"eae_prk", shared)
    secret = _expand(prk, suite, b"shared_secret", sender + public_half(private), 32)
    context = b"\x00" + _extract(b"", SUITE_ID, b"psk_id_hash", b"") + _extract(b"", SUITE_ID, b"info_hash", info)
    prk = _extract(secret, SUITE_ID, b"secret", b"")
    key = _expand(prk, SUITE_ID, b"key", context, 32)
    nonce = _expand(prk, SUITE_ID, b"base_nonce", context, 12)
    try:
        return AESGCM(key).decrypt(nonce, sealed, None)
    except InvalidTag:
        return None
