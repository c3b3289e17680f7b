"""Whether a file may be believed: pin, boxes, MAC, signature, each with an error of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import vault_samples
from vault_samples import Made, altered, tree, unopened

from mcpvault.errors import TamperedError, UntrustedRootError, WrongKeyError
from mcpvault.vault import primitives, unlock
from mcpvault.vault.keysources import Key
from mcpvault.vault.slots import HostIdentity, NewSlot, RawKey


def with_recipient(made: Made) -> tuple[Key, str]:
    """Add a host's slot; return the host's key and the fingerprint of the root."""
    host = HostIdentity.generate()
    vault = made.open()
    with vault.change() as change:
        change.add_slot(NewSlot.recipient("host", host.public))
    return Key(kind="text", secret=host.text, source="the host"), vault.root_fingerprint


# Keys and roles


def test_an_admin_holds_the_root_and_a_reader_does_not(made: Made) -> None:
    """Both get the vault key; only an admin can sign."""
    admin, reader = made.open(), made.open(key=made.reader)

    assert ("admin", "reader") == (admin.role, reader.role)
    assert admin.keys.vault_key == reader.keys.vault_key
    assert admin.keys.root_seed is not None
    assert reader.keys.root_seed is None


def test_the_keys_are_not_shown(made: Made) -> None:
    """The repr of an open vault's keys holds none of them."""
    keys = made.open().keys
    shown = repr(keys)

    assert "alice" in shown
    assert [] == [each for each in (keys.private, keys.vault_key, keys.root_seed) if repr(each) in shown]


def test_the_key_may_be_found_once_the_header_is_known(made: Made) -> None:
    """A callable gets the header and is asked once."""
    seen = []

    def find(header: Any) -> Key:
        seen.append(header.id)
        return made.admin

    assert [made.open(key=find).document.header.id] == seen


# The root


def test_a_slot_without_a_pin_opens_nothing(made: Made) -> None:
    """There is no trust on first use: the host is told what to compare."""
    host, fingerprint = with_recipient(made)

    error = unopened(made, UntrustedRootError, key=host)

    assert f"nothing on this host vouches for {fingerprint}" in error.message
    assert f"mcpvault trust {fingerprint}" in (error.hint or "")


def test_a_confirmed_fingerprint_opens_a_slot_without_a_pin(made: Made) -> None:
    """The right one does, another does not."""
    host, fingerprint = with_recipient(made)

    assert "reader" == made.open(key=host, trusted_roots={fingerprint}).role
    unopened(made, UntrustedRootError, key=host, trusted_roots={"mvr1-" + "a" * 32})


def test_a_pin_of_another_root_opens_nothing(made: Made, tmp_path: Path) -> None:
    """A whole vault made anew by somebody else around our slot is not believed."""
    other = vault_samples.empty(tmp_path)
    altered(made.path, {"vault/root": tree(other.path)["vault"]["root"]})

    error = unopened(made, UntrustedRootError)

    assert "is not the root that slot 'alice' was made under" in error.message


def test_an_admin_who_is_pinned_elsewhere_can_be_told_to_trust(made: Made) -> None:
    """A confirmed fingerprint stands in for a pin that does not hold (SPEC §8.3)."""
    fingerprint = made.open().root_fingerprint
    altered(made.path, {"vault/slots/0/pin": primitives.encode(bytes(32))})

    unopened(made, UntrustedRootError)
    # The pin is part of the signed document, so the MAC still refuses the altered file.
    unopened(made, TamperedError, trusted_roots={fingerprint})


def test_another_vault_id_breaks_the_pin(made: Made) -> None:
    """A vault cannot pass for another one whose slots it has copied."""
    altered(made.path, {"vault/id": primitives.encode(bytes(16))})

    unopened(made, UntrustedRootError)


# Boxes


@pytest.mark.parametrize(
    "change",
    [
        lambda slot: {"box": slot["sbox"]},
        lambda slot: {"sbox": slot["box"]},
        lambda _: {"box": primitives.encode(bytes(80))},
        lambda _: {"id": "mallory"},
    ],
    ids=["root in the box", "key in the sbox", "zeros", "another name"],
)
def test_boxes_that_do_not_open_are_tampered(made: Made, change: Any) -> None:
    """The slot is named, and the history is where to look."""
    slot = tree(made.path)["vault"]["slots"][0]
    altered(made.path, {f"vault/slots/0/{name}": value for name, value in change(slot).items()})

    assert "do not open" in unopened(made, TamperedError).message


def test_a_slot_that_says_another_kind_is_not_found(made: Made) -> None:
    """A raw key gives another private key as a keyring key."""
    altered(made.path, {"vault/slots/0/kind": "keyring", "vault/slots/0/service": "s"})

    unopened(made, WrongKeyError)


def test_a_seed_of_another_root_is_tampered(made: Made) -> None:
    """An ``sbox`` whose seed does not belong to ``vault.root`` gives no admin."""
    vault = made.open()
    table = NewSlot.raw("alice", RawKey(made.admin.secret), salt=primitives.decode(vault.slot.salt or "")).table(
        tree(made.path)["vault"], vault.keys.vault_key, b"another seed of thirty-two bytes", created="x"
    )
    altered(made.path, {"vault/slots/0/sbox": table["sbox"]})

    assert "do not open" in unopened(made, TamperedError).message


def test_another_epoch_opens_no_box(tmp_path: Path) -> None:
    """An old box does not give the key of a new epoch."""
    made = vault_samples.empty(tmp_path)
    altered(made.path, {"vault/epoch": 2})

    unopened(made, TamperedError)


# MAC and signature


@pytest.mark.parametrize(
    "change",
    [
        {"servers/web/url": "https://evil.example/mcp"},
        {"servers/web/url": "https://mcp.example.com/mcp?x=1"},
        {"servers/web/note": "new"},
        {"servers/tool/approved": False},
        {"servers/new": {"url": "https://mcp.example.com/mcp"}},
        {"vault/serial": 1000},
        {"vault/allow_commands": True},
        {"vault/slots/1/role": "admin", "vault/slots/1/sbox": primitives.encode(bytes(80))},
        {"vault/slots/1/id": "mallory"},
        {"vault/mac": primitives.encode(bytes(32))},
    ],
    ids=["origin", "query", "note", "approved", "entry", "serial", "commands", "role", "slot name", "mac"],
)
def test_any_change_without_the_key_is_tampered(made: Made, change: dict[str, Any]) -> None:
    """The MAC covers every value of the document; the hint tells how a meant change is accepted."""
    altered(made.path, change)

    error = unopened(made, TamperedError)

    assert "the MAC does not hold" in error.message
    assert "mcpvault sign" in (error.hint or "")


def test_a_reader_notices_a_change_too(made: Made) -> None:
    """A host with a reader's key checks the same."""
    altered(made.path, {"servers/web/url": "https://evil.example/mcp"})

    unopened(made, TamperedError, key=made.reader)


def test_layout_is_not_signed(made: Made) -> None:
    """Comments, blank lines and CRLF may change: the MAC is over what the text says."""
    text = made.path.read_text()
    made.path.write_text("# a comment\n\n" + text.replace("\n", "\r\n") + "\r\n# the end\r\n", newline="")

    assert "web-token" == made.open().secret("web", "auth.token").reveal()


def forged(made: Made, change: dict[str, Any], seed: bytes | None = None) -> None:
    """Alter the file and make a MAC that holds, as a reader can; with *seed* a signature, too."""
    keys = made.open(key=made.reader).keys
    altered(made.path, change)
    mac = unlock.document_mac(keys.vault_key, tree(made.path))
    altered(made.path, {"vault/mac": primitives.encode(mac)})
    if seed is not None:
        altered(made.path, {"vault/sig": primitives.encode(unlock.signature(seed, keys.vault_id, mac))})


@pytest.mark.parametrize("seed", [None, b"s" * 32], ids=["old signature", "another's signature"])
def test_a_reader_cannot_publish(made: Made, seed: bytes | None) -> None:
    """Who can read can make a MAC; without the root the signature does not hold."""
    forged(made, {"servers/web/url": "https://evil.example/mcp"}, seed)

    assert "the signature does not hold" in unopened(made, TamperedError).message


def test_a_reader_with_a_root_of_his_own_is_not_believed(made: Made) -> None:
    """Replacing root and signature breaks everybody else's pin."""
    seed = b"s" * 32
    forged(made, {"vault/root": primitives.encode(primitives.ed25519_public(seed))}, seed)

    unopened(made, UntrustedRootError)


def test_a_slot_whose_public_key_is_another_is_not_found(made: Made) -> None:
    """Slots are found by comparing public keys; boxes are not tried."""
    altered(made.path, {"vault/slots/0/pub": tree(made.path)["vault"]["slots"][1]["pub"]})

    assert "opens none of the vault's slots" in unopened(made, WrongKeyError).message
