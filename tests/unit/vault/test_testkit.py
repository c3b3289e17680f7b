"""The testkit, opened by the vault itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from mcpvault import errors
from mcpvault.secret import Secret
from mcpvault.vault import unlock
from mcpvault.vault.keysources import Key
from mcpvault.vault.vaultfile import VaultFile

KIT = Path(__file__).parents[3] / "vault_schema" / "testkit"
REFUSED: dict[str, type[errors.McpVaultError]] = {
    "format": errors.VaultFormatError,
    "literal": errors.LiteralSecretError,
    "wrong-key": errors.WrongKeyError,
    "untrusted": errors.UntrustedRootError,
    "tampered": errors.TamperedError,
    "rollback": errors.RollbackError,
    "binding": errors.BindingMismatchError,
}


class Vector(NamedTuple):
    """One file of the testkit."""

    name: str
    facts: dict[str, str]
    reveals: list[list[str]]
    retired: list[list[str]]
    body: bytes


def read(path: Path) -> Vector:
    """Take a vector apart."""
    head, _, body = path.read_bytes().partition(b"\n---\n")
    lines = [line.partition(": ") for line in head.decode().split("\n")]
    reveals = [value.split(" ", 3) for name, _, value in lines if name == "reveal"]
    retired = [value.split() for name, _, value in lines if name == "retired"]
    return Vector(path.stem, {name: value for name, _, value in lines}, reveals, retired, body)


VECTORS = [read(path) for path in sorted(KIT.glob("*.vault"))]


class Seen:
    """An anchor that remembers one serial and MAC, tagged by whoever holds the slot's key."""

    def __init__(self, seen: str) -> None:
        self.serial, self.mac = int(seen.split()[0]), seen.split()[1]
        self.root = seen.split()[2] if len(seen.split()) > 2 else ""
        self.keys: unlock.Unlocked | None = None

    def seen(self, slot: str) -> Mapping[str, str | int]:
        """Return the record, as the vault itself would have written it."""
        assert self.keys is not None
        root = self.root
        tag = unlock._tag(root, self.keys, self.serial, self.mac)
        return {"root": root, "serial": self.serial, "mac": self.mac, "tag": tag}

    def advance(self, slot: str, record: Mapping[str, str | int]) -> None:
        """Take note of a newer file."""
        assert int(record["serial"]) > self.serial


def opened(vector: Vector, path: Path) -> None:
    """Open the vector's vault and everything that it reveals."""
    path.write_bytes(vector.body)
    facts = vector.facts
    if "passphrase" in facts:
        key = Key("passphrase", Secret(facts["passphrase"]), "the vector")
    else:
        key = Key("text", Secret(facts.get("key") or facts["keyring"]), "the vector")
    trusted = {facts["trusted"]} if "trusted" in facts else set()
    vault = VaultFile.open(path, key=key, trusted_roots=trusted)
    if "seen" in facts:
        anchor = Seen(facts["seen"])
        anchor.keys, anchor.root = vault.keys, anchor.root or vault.document.header.root
        unlock.check_anchor(vault.document, vault.keys, anchor, trusted_roots=trusted)
    for server, field, stage, text in vector.reveals:
        assert text == vault.secret(server, field, stage=stage).reveal()
    for epoch, key in vector.retired:
        assert bytes.fromhex(key) in vault.keys_of(int(epoch))


def test_there_are_enough_vectors() -> None:
    """At least sixty files, of every outcome."""
    assert len(VECTORS) >= 60
    assert {"success", *REFUSED} == {vector.facts["expect"] for vector in VECTORS}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_vector(vector: Vector, tmp_path: Path) -> None:
    """Every file of the testkit opens, or is refused for the stated reason."""
    path = tmp_path / "vault.toml"
    expected = REFUSED.get(vector.facts["expect"])
    if expected is None:
        opened(vector, path)
        return
    with pytest.raises(expected) as caught:
        opened(vector, path)
    assert type(caught.value) is expected
