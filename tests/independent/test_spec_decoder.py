"""The testkit and the numbers of SPEC.md §17, by a decoder that was written from that page alone."""

from __future__ import annotations

import ast
import base64
import hashlib
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from spec_bytes import Refused, canonical, derive, fingerprint, key_text, open_box, pae, private_half, public_half
from spec_decoder import Seen, decode, document_mac, slot_pin, unseal, value_fingerprint

HERE = Path(__file__).parent
KIT = HERE.parents[1] / "vault_schema" / "testkit"
REASONS = {"format", "literal", "wrong-key", "untrusted", "tampered", "rollback", "binding"}

# §17: what its numbers are made of
VAULT_ID, VAULT_KEY, SEED = bytes(range(16)), bytes(range(0x20, 0x40)), bytes(range(0x40, 0x60))
SALT_16, SALT_24, EPOCH = bytes(range(16)), bytes(range(24)), 3
RAW_KEY = "mvk1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaagm2d2vu"


class Vector(NamedTuple):
    """One file of the testkit, taken apart by §17.5."""

    name: str
    facts: dict[str, str]
    reveals: list[tuple[str, str, str, str]]
    retired: list[tuple[int, bytes]]
    body: bytes


def read(path: Path) -> Vector:
    """Take a vector apart."""
    head, _, body = path.read_bytes().partition(b"\n---\n")
    lines = [line.split(": ", 1) for line in head.decode().split("\n")]
    reveals = [tuple(value.split(" ", 3)) for name, value in lines if name == "reveal"]
    retired = [(int(value.split()[0]), bytes.fromhex(value.split()[1])) for name, value in lines if name == "retired"]
    return Vector(path.stem, dict(lines), reveals, retired, body)  # type: ignore[arg-type]


VECTORS = [read(path) for path in sorted(KIT.glob("*.vault"))]


def everything(vector: Vector) -> None:
    """Open the vector's vault and all that it reveals."""
    given = next(name for name in ("key", "keyring", "passphrase") if name in vector.facts)
    trusted = {vector.facts["trusted"]} if "trusted" in vector.facts else set()
    seen = vector.facts.get("seen", "").split()
    vault = decode(
        vector.body,
        given,
        vector.facts[given],
        trusted=trusted,
        seen=Seen(int(seen[0]), *seen[1:]) if seen else None,
    )
    for server, field, stage, plaintext in vector.reveals:
        assert plaintext == vault.reveal(server, field, stage)
    for epoch, key in vector.retired:
        assert key in vault.retired(epoch)


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_the_decoder_shares_nothing_with_the_program() -> None:
    """The modules of the decoder import the standard library, cryptography and each other only."""
    modules = sorted(HERE.glob("spec_*.py"))
    imported: set[str] = set()
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])

    assert imported <= sys.stdlib_module_names | {"cryptography"} | {path.stem for path in modules}


def test_the_testkit_has_every_outcome() -> None:
    """There are vectors that open, and some for each reason to refuse."""
    assert {"success", *REASONS} == {vector.facts["expect"] for vector in VECTORS}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_vector(vector: Vector) -> None:
    """Each vector opens and reveals what it states, or is refused for the stated reason."""
    if vector.facts["expect"] == "success":
        everything(vector)
        return
    with pytest.raises(Refused) as refusal:
        everything(vector)
    assert vector.facts["expect"] == refusal.value.reason


def test_pae() -> None:
    """§17.1: the pieces and their lengths."""
    assert "02000000000000000100000000000000610000000000000000" == pae("a", "").hex()


def test_canonical_form() -> None:
    """§17.2: tables sorted bytewise, tags before values."""
    expected = (
        "7406000000000000000000000000000000090000000000000074000000000000000001000000000000006103000000000000"
        "0073c3a90100000000000000622400000000000000610200000000000000090000000000000069010000000000000002000000"
        "000000006201"
    )
    assert expected == canonical({"b": [1, True], "a": "é", "": {}}).hex()


def test_mac_and_signature() -> None:
    """§17.2: the arithmetic of a document's MAC and signature."""
    document = {
        "vault": {"format": 1, "id": b64(VAULT_ID), "serial": 42, "epoch": EPOCH},
        "servers": {"github": {"url": "https://mcp.example.com/mcp"}},
    }
    form, mac = canonical(document), document_mac(VAULT_KEY, document)

    assert 282 == len(form)
    assert "e209b979e0ae380a372c077a5cdc8b4e1b51725ea717d8f76087d01840ec73ab" == hashlib.sha256(form).hexdigest()
    assert "-ZL4a5G6ZyYf2_zWq5PuGfPKUsiENm-_kY1DwoEL19E" == b64(mac)
    assert "En2HD9F6LvDpBLjcA-uwZla_6Zx6_236--avGTiRSop7pvDcuU5e0vYHiYUdaw8JoxYBwz57i3Ux46vlA31RCQ" == b64(
        Ed25519PrivateKey.from_private_bytes(SEED).sign(pae("mcpvault/1/sig", VAULT_ID, mac))
    )


def test_a_sealed_value() -> None:
    """§17.3: associated data, material, line and fingerprint of one value."""
    sealed = "mv1.3.AAECAwQFBgcICQoLDA0ODxAREhMUFRYX.lSeXWO3VxLHUe7rg-mdbSfb071atWyIl35THoUmjjSZhaTsQigYx4i0LVvIbZqWe"
    context = pae(
        "mcpvault/1/seal", VAULT_ID, EPOCH, "github", "auth.token", 7, "str", "url.origin",
        "https://mcp.example.com:443",
    )  # fmt: skip
    material = derive(VAULT_KEY, SALT_24, "mcpvault/1/seal", 44)

    assert 183 == len(context)
    assert "537d47d9ca08721802a5166ae69cc3afe98a328b66d55511b828e29ea8f46f86" == hashlib.sha256(context).hexdigest()
    assert "fed57771bd9b84c455d30e47f5deb094df89727206f092f8a0bd18e6f10fefa31b8491b68220e28e6db57ecf" == material.hex()
    assert "ghp_test" == unseal(VAULT_KEY, sealed, context, "")
    padded = b"ghp_test\x80" + bytes(23)
    assert sealed == f"mv1.3.{b64(SALT_24)}.{b64(AESGCM(material[:32]).encrypt(material[32:], padded, context))}"
    assert "3c972cd6" == value_fingerprint(VAULT_KEY, "ghp_test")


def test_keys() -> None:
    """§17.4: key texts, public halves, a box, a root and a pin."""
    raw = private_half({"kind": "raw", "salt": b64(SALT_16)}, "key", RAW_KEY)
    passphrase = private_half(
        {"kind": "passphrase", "salt": b64(SALT_16), "m": 65536, "t": 3, "p": 4},
        "passphrase",
        "correct horse battery staple",
    )
    identity = "mvx1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypwgdonfe"
    box = base64.urlsafe_b64decode(
        "mAS9n3D5jdJP6zxz4ojiYL3SEJP_PSMk9SzWQwmssj5RRIIg9rJWKu3rIHv9A_NoyuRLwmWpicHufMa8w2We5HT8ipdhRr1uUNLpdNhWiPw="
    )
    root = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()

    assert bytes(32) == key_text(RAW_KEY, "mvk1-")
    assert "9918fca35ed64648761b039c0996cdc07942ad416ccf28fdd2e2be8eb0a4fb64" == public_half(raw or b"").hex()
    assert VAULT_KEY == open_box(box, raw or b"", pae("mcpvault/1/slot", VAULT_ID, EPOCH, "cron", "raw"))
    assert "b1e465c55f451b9ee4e3c16f19466081cb906e2d97543dfdfa08bbac25146a3e" == public_half(passphrase or b"").hex()
    assert bytes(range(32)) == key_text(identity, "mvx1-")
    public = key_text("mvp1-r5amllnwr4swesxfwikou5t2n3eu3au5hv5v4gwrxjxt4ijyfbp65xmihu", "mvp1-")
    assert public == public_half(bytes(range(32)))
    assert "2543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d" == root.hex()
    assert "mvr1-am4wegjdp522mtysv237hfzdvp2abmla" == fingerprint(root)
    assert "2BaDH-9P_vNrl8VeIJ5OnrcDOGT1OAJrSFdMP7K9Abc" == b64(slot_pin(raw or b"", VAULT_ID, root))
