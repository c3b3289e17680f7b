"""The algorithms, held to the vectors of their RFCs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpvault.vault import primitives

KEY, NONCE = bytes(range(32)), bytes(12)
LOW_ORDER = bytes(32)  # the neutral element: no shared secret comes of it
SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=80))
def test_base64url_round_trip(data: bytes) -> None:
    """What is encoded decodes to itself, without padding and in the URL alphabet."""
    text = primitives.encode(data)

    assert data == primitives.decode(text)
    assert not {"=", "+", "/"} & set(text)


@pytest.mark.parametrize(
    "text", ["Zg==", "Zh", "Z", "Zm+v", "Zm/v", "Zm v", "Zm\n9v", "Zmé9"],
    ids=["padded", "spare bits", "one character", "plus", "slash", "space", "line break", "not ASCII"],
)  # fmt: skip
def test_base64url_has_one_spelling(text: str) -> None:
    """Text that is not canonical base64url decodes to nothing."""
    assert primitives.decode(text) is None


def test_hkdf_vector_of_rfc_5869() -> None:
    """RFC 5869 A.3: an empty salt is 32 zero bytes."""
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"

    assert expected == primitives.hkdf(b"\x0b" * 22, b"", "", 42).hex()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=64), st.binary(max_size=64), st.text(max_size=20), st.integers(1, 100))
def test_hkdf_agrees_with_another_implementation(key: bytes, salt: bytes, label: str, length: int) -> None:
    """Ours, which spares an import, gives what the cryptography library gives."""
    theirs = HKDF(algorithm=hashes.SHA256(), length=length, salt=salt or None, info=label.encode())

    assert theirs.derive(key) == primitives.hkdf(key, salt, label, length)


def test_hmac_vector_of_rfc_4231() -> None:
    """RFC 4231 test case 2."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"

    assert expected == primitives.mac(b"Jefe", b"what do ya want for nothing?").hex()


def test_ed25519_vector_of_rfc_8032() -> None:
    """RFC 8032 §7.1 test 2: public key and signature."""
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )

    assert public == primitives.ed25519_public(seed)
    assert signature == primitives.ed25519_sign(seed, b"\x72")
    assert primitives.ed25519_verify(public, signature, b"\x72")
    assert not primitives.ed25519_verify(public, signature, b"\x73")
    assert not primitives.ed25519_verify(public[:31], signature, b"\x72")


def test_x25519_vector_of_rfc_7748() -> None:
    """RFC 7748 §6.1: Alice's public key."""
    private = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    expected = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"

    assert expected == primitives.x25519_public(private).hex()


def test_an_hpke_box_opens_for_its_key_and_info_only() -> None:
    """All context is in ``info``: another info, another key or another bit, and nothing comes out."""
    public = primitives.x25519_public(KEY)
    box = primitives.hpke_seal(b"payload", public, b"here") or b""

    assert b"payload" == primitives.hpke_open(box, KEY, b"here")
    assert primitives.hpke_open(box, KEY, b"there") is None
    assert primitives.hpke_open(box, bytes(range(1, 33)), b"here") is None
    assert primitives.hpke_open(box[:-1] + bytes([box[-1] ^ 1]), KEY, b"here") is None
    assert primitives.hpke_open(box[:40], KEY, b"here") is None


def opened_by_the_library(box: bytes, private: bytes, info: bytes) -> bytes | None:
    """Return what ``Suite.decrypt`` makes of *box*, None where it refuses it."""
    try:
        return SUITE.decrypt(box, X25519PrivateKey.from_private_bytes(private), info)
    except (InvalidTag, ValueError):
        return None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=100), st.binary(min_size=32, max_size=32), st.binary(max_size=100), st.data())
def test_hpke_agrees_with_another_implementation(data: bytes, private: bytes, info: bytes, draw: st.DataObject) -> None:
    """Ours, which spares an import, opens what the cryptography library seals, and refuses what that refuses."""
    box = SUITE.encrypt(data, X25519PrivateKey.from_private_bytes(private).public_key(), info)
    at, bit = draw.draw(st.integers(0, len(box) - 1)), draw.draw(st.sampled_from([1 << n for n in range(8)]))
    other = box[:at] + bytes([box[at] ^ bit]) + box[at + 1 :]

    assert data == primitives.hpke_open(box, private, info)
    assert opened_by_the_library(other, private, info) == primitives.hpke_open(other, private, info)
    assert opened_by_the_library(box[:at], private, info) == primitives.hpke_open(box[:at], private, info)


def test_no_box_opens_without_a_secret_of_two_sides() -> None:
    """RFC 9180 §7.1.4: a sender's key of low order, with which anybody knows the shared secret, is refused."""
    box = LOW_ORDER + bytes(48)

    assert opened_by_the_library(box, KEY, b"") is None
    assert primitives.hpke_open(box, KEY, b"") is None
    assert primitives.hpke_open(box, KEY[:5], b"") is None


def test_a_box_of_a_32_byte_key_has_the_80_bytes_of_the_spec() -> None:
    """It is enc ‖ ciphertext ‖ tag: 32 + 32 + 16."""
    assert 80 == len(primitives.hpke_seal(bytes(32), primitives.x25519_public(KEY), b"") or b"")


@pytest.mark.parametrize("public", [LOW_ORDER, b"short"], ids=["low order", "too short"])
def test_nothing_is_sealed_to_a_key_that_is_none(public: bytes) -> None:
    """A public key of low order or of another length is refused, not used."""
    assert primitives.hpke_seal(b"payload", public, b"") is None


def test_gcm_opens_only_what_it_sealed() -> None:
    """Key, nonce, data and associated data all have to fit."""
    sealed = primitives.gcm_seal(KEY, NONCE, b"data", b"place")

    assert b"data" == primitives.gcm_open(KEY, NONCE, sealed, b"place")
    assert primitives.gcm_open(KEY, NONCE, sealed, b"elsewhere") is None
    assert primitives.gcm_open(KEY, b"\1" * 12, sealed, b"place") is None
    assert primitives.gcm_open(KEY[:5], NONCE, sealed, b"place") is None


def test_same_compares_bytes() -> None:
    """Equal bytes are the same, others are not."""
    assert primitives.same(b"a", b"a")
    assert not primitives.same(b"a", b"b")


WITHOUT_THE_INNER_NAME = """
import types
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.bindings import _rust
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.ciphers import aead
_rust.openssl = types.SimpleNamespace()
from mcpvault.vault import primitives
private = bytes(range(32))
box = primitives.hpke_seal(b"data", primitives.x25519_public(private), b"info")
sealed = primitives.gcm_seal(private, bytes(12), b"data", b"aad")
signature = primitives.ed25519_sign(private, b"data")
print(
    primitives.hpke_open(box, private, b"info") == b"data",
    primitives.gcm_open(private, bytes(12), sealed, b"aad") == b"data",
    primitives.ed25519_verify(primitives.ed25519_public(private), signature, b"data"),
    primitives._x25519_private == x25519.X25519PrivateKey.from_private_bytes,
)
"""


def test_public_modules_do_where_the_inner_one_has_changed() -> None:
    """A cryptography that has rearranged its inner module opens, seals and verifies through its public ones."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_THE_INNER_NAME], capture_output=True, text=True, check=False)

    assert ("True True True True", "") == (done.stdout.strip(), done.stderr)
