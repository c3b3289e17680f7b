"""
The algorithms of suite 1, each behind one function: HKDF, HPKE, Ed25519, HMAC, base64url.

Decides nothing: which key, label and associated data go together is the business of the
modules that call. Exceptions of ``cryptography`` end here.

Spec: SPEC §6–§9.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, InvalidTag

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# The objects of cryptography's public modules, taken from where those have them: the modules load thirty others
# for algorithms that are not ours, a fifteenth of a cron job. Where the inner name is gone, they are asked.
_AESGCM: type[AESGCM]
_x25519_private: Callable[[bytes], X25519PrivateKey]
_x25519_public: Callable[[bytes], X25519PublicKey]
_ed25519_private: Callable[[bytes], Ed25519PrivateKey]
_ed25519_public: Callable[[bytes], Ed25519PublicKey]
try:
    from cryptography.hazmat.bindings._rust import openssl

    _AESGCM = openssl.aead.AESGCM
    _x25519_private, _x25519_public = openssl.x25519.from_private_bytes, openssl.x25519.from_public_bytes
    _ed25519_private, _ed25519_public = openssl.ed25519.from_private_bytes, openssl.ed25519.from_public_bytes
except (ImportError, AttributeError):
    from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM as _AESGCM

    _x25519_private = x25519.X25519PrivateKey.from_private_bytes
    _x25519_public = x25519.X25519PublicKey.from_public_bytes
    _ed25519_private = ed25519.Ed25519PrivateKey.from_private_bytes
    _ed25519_public = ed25519.Ed25519PublicKey.from_public_bytes

_HASH_BYTES = 32
_KEM = b"KEM\x00\x20"  # RFC 9180 §4.1, §7.1: DHKEM(X25519, HKDF-SHA256)
_HPKE = b"HPKE\x00\x20\x00\x01\x00\x02"  # §5.1, §7: the same, HKDF-SHA256, AES-256-GCM


def openssl_version() -> str:
    """Return the version of the OpenSSL that ``cryptography`` brings along, which is not Python's."""
    from cryptography.hazmat.backends.openssl import backend

    return backend.openssl_version_text()


def encode(data: bytes) -> str:
    """Return *data* in base64url without padding (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes | None:
    """Return the bytes of canonical unpadded base64url, or None if *text* is anything else."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if encode(data) == text else None


def sealed_parts(line: str) -> tuple[int, bytes, bytes] | None:
    """Return epoch, salt and ciphertext of a line ``mv1.<epoch>.<salt>.<ciphertext>``, or None if it is none."""
    mark, *parts = line.split(".")
    if mark != "mv1" or len(parts) != 3:
        return None
    number, salt, sealed = parts[0], decode(parts[1]), decode(parts[2])
    if not (number.isascii() and number.isdigit()) or number[0] == "0" or len(number) > 10:
        return None
    return (int(number), salt, sealed) if salt is not None and len(salt) == 24 and sealed else None


def hkdf(key: bytes, salt: bytes, label: str, length: int = 32) -> bytes:
    """Return *length* bytes of HKDF-SHA256 (RFC 5869); an empty salt is 32 zero bytes."""
    prk = hmac.digest(salt or bytes(_HASH_BYTES), key, "sha256")
    block, out, info = b"", b"", label.encode()
    for counter in range(1, -(-length // _HASH_BYTES) + 1):
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


def mac(key: bytes, data: bytes) -> bytes:
    """Return HMAC-SHA256."""
    return hmac.digest(key, data, "sha256")


def same(left: bytes, right: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(left, right)


def sha256(data: bytes) -> bytes:
    """Return SHA-256."""
    return hashlib.sha256(data).digest()


def x25519_public(private: bytes) -> bytes:
    """Return the public key of a 32-byte X25519 private key."""
    return _x25519_private(private).public_key().public_bytes_raw()


def hpke_seal(data: bytes, public: bytes, info: bytes) -> bytes | None:
    """Return enc ‖ ciphertext (RFC 9180 §6.1, base mode), or None if *public* is no usable key."""
    from cryptography.hazmat.primitives import hpke

    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    try:
        return suite.encrypt(data, _x25519_public(public), info)
    except ValueError:
        return None


def hpke_open(box: bytes, private: bytes, info: bytes) -> bytes | None:
    """
    Return the plaintext, or None if the box was not made for this key and *info*.

    The steps of RFC 9180 over the library's X25519 and AES-GCM: its ``Suite.decrypt`` loads the classes of
    a dozen hashes first, 1 % of a cron job. What it seals, this opens; a test holds the two together.
    """
    enc, sealed = box[:32], box[32:]
    try:
        mine = _x25519_private(private)
        shared = mine.exchange(_x25519_public(enc))  # refuses the all-zero value, as §7.1.4 demands
    except ValueError:
        return None
    # §4.1, ExtractAndExpand
    secret = _labeled_extract(_KEM, b"", "eae_prk", shared)
    secret = _labeled_expand(_KEM, secret, "shared_secret", enc + mine.public_key().public_bytes_raw(), 32)
    # §5.1, KeySchedule in mode_base: no psk, no psk_id
    context = b"\0" + _labeled_extract(_HPKE, b"", "psk_id_hash", b"") + _labeled_extract(_HPKE, b"", "info_hash", info)
    secret = _labeled_extract(_HPKE, secret, "secret", b"")
    key = _labeled_expand(_HPKE, secret, "key", context, 32)
    nonce = _labeled_expand(_HPKE, secret, "base_nonce", context, 12)
    return gcm_open(key, nonce, sealed, b"")


def _labeled_extract(suite: bytes, salt: bytes, label: str, material: bytes) -> bytes:
    """RFC 9180 §4."""
    return hmac.digest(salt or bytes(_HASH_BYTES), b"HPKE-v1" + suite + label.encode() + material, "sha256")


def _labeled_expand(suite: bytes, key: bytes, label: str, info: bytes, length: int) -> bytes:
    """RFC 9180 §4; one block of HKDF-Expand has all that is asked for here."""
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label.encode() + info
    return hmac.digest(key, labeled + b"\x01", "sha256")[:length]


def gcm_seal(key: bytes, nonce: bytes, data: bytes, aad: bytes) -> bytes:
    """Return ciphertext ‖ tag of AES-256-GCM."""
    return _AESGCM(key).encrypt(nonce, data, aad)


def gcm_open(key: bytes, nonce: bytes, data: bytes, aad: bytes) -> bytes | None:
    """Return the plaintext, or None if key, nonce, data or associated data do not fit."""
    try:
        return _AESGCM(key).decrypt(nonce, data, aad)
    except (InvalidTag, ValueError):
        return None


def ed25519_public(seed: bytes) -> bytes:
    """Return the public key of a 32-byte Ed25519 seed."""
    return _ed25519_private(seed).public_key().public_bytes_raw()


def ed25519_sign(seed: bytes, data: bytes) -> bytes:
    """Return the 64-byte signature (RFC 8032)."""
    return _ed25519_private(seed).sign(data)


def ed25519_verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Tell whether *signature* is *public*'s over *data*."""
    try:
        _ed25519_public(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
