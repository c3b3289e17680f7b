"""Slots: how each kind's key comes about, and what its boxes are tied to."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import vault_samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vault_schema
from mcpvault.errors import ConfigurationError, TamperedError, VaultFormatError, WrongKeyError
from mcpvault.secret import Secret
from mcpvault.vault import primitives, slot_keys, slots
from mcpvault.vault.documents import read_document
from mcpvault.vault.keysources import Key
from mcpvault.vault.slots import HostIdentity, NewSlot, RawKey
from mcpvault.vault.vaultfile import VaultFile

HEAD: Mapping[str, Any] = {"id": primitives.encode(bytes(range(16))), "epoch": 7}
VAULT_KEY, ROOT_SEED = b"k" * 32, b"r" * 32


def table_of(new: NewSlot) -> dict[str, Any]:
    """Return the slot's table in a vault of the sample header."""
    return new.table(HEAD, VAULT_KEY, ROOT_SEED, created="2026-07-28T12:00:00Z")


def passphrase_key(text: str) -> Key:
    """Return the key that a prompt would give."""
    return Key(kind="passphrase", secret=Secret(text), source="the prompt")


# Key text


@pytest.mark.parametrize("kind", [RawKey, HostIdentity])
def test_key_text_is_one_line_of_prefix_and_58_characters(kind: type[RawKey | HostIdentity]) -> None:
    """A generated key re-encodes to itself; two are never the same."""
    one, other = kind.generate().text, kind.generate().text

    assert 58 == len(one.reveal().removeprefix(kind.prefix))
    assert one.reveal() == one.reveal().lower()
    assert 32 == len(slot_keys.key_bytes(one))
    assert one != other


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 57), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_one_mistyped_character_is_noticed(place: int, letter: str) -> None:
    """The checksum refuses a key with another character anywhere."""
    body = slot_keys.armour("mvk1-", bytes(range(32))).removeprefix("mvk1-")
    mistyped = Secret(f"mvk1-{body[:place]}{letter}{body[place + 1 :]}")

    if letter == body[place]:
        assert bytes(range(32)) == slot_keys.key_bytes(mistyped)
    else:
        with pytest.raises(ConfigurationError, match="not mcpvault key text"):
            slot_keys.key_bytes(mistyped)


@pytest.mark.parametrize(
    "spoil",
    [str.upper, lambda text: text[:-1], lambda text: text + "a", lambda text: "mvp1-" + text[5:],
     lambda text: text[5:], lambda _: "mvk1-" + "ä" * 58, lambda _: "mvk1-" + "1" * 58, lambda _: ""],
    ids=["upper case", "cut short", "too long", "a public key", "no prefix", "not ASCII", "not base32", "empty"],
)  # fmt: skip
def test_other_text_is_no_key(spoil: Any) -> None:
    """Text of any other form is refused as configuration, and not quoted."""
    text = RawKey.generate().text.reveal()

    with pytest.raises(ConfigurationError) as caught:
        slot_keys.key_bytes(Secret(spoil(text)))

    assert 8 == caught.value.exit_code
    assert text[5:20] not in caught.value.message


def test_spare_bits_of_key_text_are_zero() -> None:
    """A text that decodes to the same bytes but is spelt otherwise is refused (SPEC §7)."""
    text = slot_keys.armour("mvk1-", bytes(range(32)))
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    # 36 bytes are 288 bits, 58 characters are 290: the last two bits are spare.
    spelt = text[:-1] + alphabet[alphabet.index(text[-1]) | 1]

    assert base64.b32decode(text[5:].upper() + "======") == base64.b32decode(spelt[5:].upper() + "======")
    with pytest.raises(ConfigurationError):
        slot_keys.key_bytes(Secret(spelt))


def test_the_public_half_of_an_identity_reads_back() -> None:
    """``mvp1-`` text gives the X25519 public key of its ``mvx1-`` text."""
    identity = HostIdentity.generate()

    assert primitives.x25519_public(slot_keys.key_bytes(identity.text)) == slots.public_bytes(identity.public)


@pytest.mark.parametrize("text", ["", "mvp1-abc", "mvx1-" + "a" * 58], ids=["empty", "short", "a private key"])
def test_other_text_is_no_recipient(text: str) -> None:
    """A recipient that is no public key is refused with the command that makes one."""
    with pytest.raises(ConfigurationError) as caught:
        slots.public_bytes(text)

    assert "keygen" in (caught.value.hint or "")


def test_the_fingerprint_of_a_root_is_what_people_compare() -> None:
    """``mvr1-`` and 32 characters of base32, as ``mcpvault trust`` wants it."""
    fingerprint = slot_keys.root_fingerprint(primitives.ed25519_public(ROOT_SEED))

    assert fingerprint.startswith("mvr1-")
    assert 32 == len(fingerprint.removeprefix("mvr1-"))


# The tables


def test_only_an_admin_slot_holds_the_root() -> None:
    """A reader's table has no ``sbox``."""
    key = RawKey.generate()

    assert "sbox" in table_of(NewSlot.raw("a", key))
    assert "sbox" not in table_of(NewSlot.raw("a", key, role="reader"))


def test_a_recipient_slot_has_no_pin() -> None:
    """Only the owner of the private key can make a pin, and we do not have it."""
    assert "pin" not in table_of(NewSlot.recipient("web01", HostIdentity.generate().public))
    assert "pin" in table_of(NewSlot.raw("a", RawKey.generate()))


def test_a_slot_does_not_show_its_private_key() -> None:
    """The repr names the slot and nothing that opens it."""
    new = NewSlot.raw("alice", RawKey.generate())
    shown = repr(new)

    assert "alice" in shown
    assert repr(new.private) not in shown


@pytest.mark.parametrize(
    "elsewhere",
    [{"id": primitives.encode(bytes(16))}, {"epoch": 8}, {"slot": "bob"}, {"kind": "keyring"}],
    ids=["vault", "epoch", "slot name", "kind"],
)
@pytest.mark.parametrize("box", ["slot", "root"])
def test_a_box_opens_only_where_it_was_made(box: Any, elsewhere: dict[str, Any]) -> None:
    """HPKE's info ties a box to vault, epoch, slot name and kind, and to which of the two it is."""
    new = NewSlot.raw("alice", RawKey.generate())
    table = table_of(new)
    here, other = header_with(table), header_with(table, **elsewhere)
    private = new.private or b""

    expected = VAULT_KEY if box == "slot" else ROOT_SEED
    assert expected == slot_keys.open_box(private, here, here.slots[0], box)
    assert slot_keys.open_box(private, other, other.slots[0], box) is None


def test_the_two_boxes_cannot_be_exchanged() -> None:
    """The box of the root's seed does not open as the box of the vault key."""
    new = NewSlot.raw("alice", RawKey.generate())
    table = table_of(new)
    header = header_with({**table, "box": table["sbox"], "sbox": table["box"]})

    assert slot_keys.open_box(new.private or b"", header, header.slots[0], "slot") is None
    assert slot_keys.open_box(new.private or b"", header, header.slots[0], "root") is None


def test_a_reader_has_no_root_to_open() -> None:
    """There is nothing to open where there is no ``sbox``."""
    new = NewSlot.raw("cron", RawKey.generate(), role="reader")
    header = header_with(table_of(new))

    assert slot_keys.open_box(new.private or b"", header, header.slots[0], "root") is None


def header_with(table: dict[str, Any], **changes: Any) -> vault_schema.Header:
    """Return a header around one slot; *changes* are of the header, ``slot`` and ``kind`` of the slot."""
    named = {"id": changes.pop("slot", table["id"]), "kind": changes.pop("kind", table["kind"])}
    head = {**HEAD, "format": 1, "serial": 1, "suite": "", "mac": "", "root": "", "sig": "", **changes}
    return vault_schema.Header(**head, slots=(vault_schema.Slot(**{**table, **named}),))


def test_a_pin_vouches_for_one_root_of_one_vault() -> None:
    """Another root, another vault or another owner makes another pin (SPEC §8.3)."""
    private, vault, root = b"p" * 32, b"v" * 16, b"r" * 32
    pins = [
        slot_keys.pin(private, vault, root),
        slot_keys.pin(b"P" * 32, vault, root),
        slot_keys.pin(private, b"V" * 16, root),
        slot_keys.pin(private, vault, b"R" * 32),
    ]

    assert 4 == len(set(pins))


def test_text_that_is_no_base64url_is_no_identity() -> None:
    """What the schema should have refused does not become bytes."""
    with pytest.raises(TamperedError):
        slot_keys.id_bytes("not base64url!")


def test_a_slot_cannot_be_made_for_a_useless_public_key() -> None:
    """A public key of low order seals to nobody."""
    new = NewSlot.recipient("web01", slot_keys.armour("mvp1-", bytes(32)))

    with pytest.raises(ConfigurationError, match="not a usable X25519 key"):
        table_of(new)


# Opening


def test_every_kind_of_slot_opens_the_same_vault(tmp_path: Path, cheap_kdf: Mapping[str, int]) -> None:
    """Raw key, keyring key, passphrase and host identity reach the same vault key."""
    raw, ring, host = RawKey.generate(), RawKey.generate(), HostIdentity.generate()
    new_slots = [
        NewSlot.raw("raw", raw),
        NewSlot.keyring("ring", ring, service="mcpvault", user="u"),
        NewSlot.passphrase("words", Secret("correct horse"), kdf=cheap_kdf),
        NewSlot.recipient("host", host.public),
    ]
    path = tmp_path / "vault.toml"
    VaultFile.create(path, new_slots=new_slots)
    keys = {
        "raw": vault_samples.text_key(raw),
        "ring": Key(kind="keyring", secret=ring.text, source="the keyring"),
        "words": passphrase_key("correct horse"),
        "host": Key(kind="text", secret=host.text, source="a file"),
    }

    trusted = slot_keys.root_fingerprint(slot_keys.id_bytes(read_document(path).header.root))
    opened = {name: VaultFile.open(path, key=key, trusted_roots={trusted}) for name, key in keys.items()}

    assert list(keys) == [vault.slot.id for vault in opened.values()]
    assert 1 == len({vault.keys.vault_key for vault in opened.values()})
    assert ["admin", "admin", "admin", "reader"] == [vault.role for vault in opened.values()]


def test_a_passphrase_is_the_same_however_its_accents_are_typed(tmp_path: Path, cheap_kdf: Mapping[str, int]) -> None:
    """NFD and NFC spell one passphrase (SPEC §6.2)."""
    path = tmp_path / "vault.toml"
    VaultFile.create(path, new_slots=[NewSlot.passphrase("a", Secret("caf\u00e9"), kdf=cheap_kdf)])

    assert "a" == VaultFile.open(path, key=passphrase_key("cafe\u0301")).slot.id


LITTLE = """
import resource
from mcpvault import Secret
from mcpvault.errors import ConfigurationError
from mcpvault.vault.slot_keys import private_of_passphrase

private_of_passphrase(Secret("x"), bytes(16), {"m": 19456, "t": 2, "p": 1})  # what it loads has its memory
resource.setrlimit(resource.RLIMIT_AS, (600 * 1024 * 1024,) * 2)
try:
    private_of_passphrase(Secret("x"), bytes(16), {"m": 1048576, "t": 2, "p": 1})
except ConfigurationError as error:
    print(error.message, error.hint, error.__context__, sep="\\n")
"""


def test_a_passphrase_that_needs_more_memory_than_there_is_says_so() -> None:
    """A unit with a limit is told how much the slot asks for, exit 8, and what to do about it."""
    done = subprocess.run([sys.executable, "-c", LITTLE], capture_output=True, encoding="utf-8", check=True)

    message, hint, context = done.stdout.splitlines()
    assert "the passphrase needs 1024 MiB of memory, and the system gives less" == message
    assert "ulimit -v" in hint
    assert "None" == context


def test_a_passphrase_finds_its_slot_among_several(tmp_path: Path, cheap_kdf: Mapping[str, int]) -> None:
    """The slot is found by its public key, whichever place it has."""
    path = tmp_path / "vault.toml"
    new_slots = [NewSlot.passphrase(name, Secret(f"words of {name}"), kdf=cheap_kdf) for name in ("a", "b")]
    VaultFile.create(path, new_slots=new_slots)

    assert "b" == VaultFile.open(path, key=passphrase_key("words of b")).slot.id


@pytest.mark.parametrize("kind", ["another raw key", "a host identity", "a passphrase"])
def test_a_key_that_fits_no_slot_is_exit_6(tmp_path: Path, cheap_kdf: Mapping[str, int], kind: str) -> None:
    """The message names the slots and the source, never the key."""
    path = tmp_path / "vault.toml"
    new_slots = [
        NewSlot.raw("raw", RawKey.generate()),
        NewSlot.passphrase("words", Secret("right"), kdf=cheap_kdf),
        NewSlot.recipient("host", HostIdentity.generate().public),
    ]
    VaultFile.create(path, new_slots=new_slots)
    secret = {"another raw key": RawKey.generate().text, "a host identity": HostIdentity.generate().text}
    key = (
        Key(kind="text", secret=secret[kind], source="KEYFILE")
        if kind in secret
        else Key(kind="passphrase", secret=Secret("wrong"), source="KEYFILE")
    )

    with pytest.raises(WrongKeyError) as caught:
        VaultFile.open(path, key=key)

    assert 6 == caught.value.exit_code
    assert "raw, words, host" in caught.value.message
    assert "KEYFILE" in caught.value.message


@pytest.mark.parametrize(
    ("fact", "value"), [("m", 19455), ("m", 1_048_577), ("t", 1), ("t", 17), ("p", 0), ("p", 17), ("kdf", "scrypt")]
)
def test_key_derivation_out_of_bounds_is_refused_unread(
    tmp_path: Path, cheap_kdf: Mapping[str, int], fact: str, value: object
) -> None:
    """A vault that asks for too little or too much work is refused before any of it is done (SPEC §6.2)."""
    path = tmp_path / "vault.toml"
    VaultFile.create(path, new_slots=[NewSlot.passphrase("words", Secret("right"), kdf=cheap_kdf)])
    vault_samples.altered(path, {f"vault/slots/0/{fact}": value})

    with pytest.raises(VaultFormatError, match=rf"slots\[0\]\.{fact}"):
        VaultFile.open(path, key=passphrase_key("right"))
