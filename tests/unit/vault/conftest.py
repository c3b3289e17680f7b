"""Fixtures of the vault's tests: vaults in folders of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import key_samples
import keyring
import pytest
import vault_samples

from mcpvault.secret import Secret
from mcpvault.vault.documents import read_document
from mcpvault.vault.slots import NewSlot, RawKey
from mcpvault.vault.vaultfile import VaultFile


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> vault_samples.Made:
    """One vault for the whole session, to be copied: making one waits for the disk."""
    return vault_samples.filled(tmp_path_factory.mktemp("filled"))


@pytest.fixture
def made(_filled: vault_samples.Made, tmp_path: Path) -> vault_samples.Made:
    """A vault of two entries with a sealed value each, and its previous generation."""
    folder = tmp_path / "v"
    folder.mkdir()
    for name in ("vault.toml", "vault.toml.prev"):
        shutil.copy(_filled.path.with_name(name), folder / name)
    return _filled._replace(path=folder / "vault.toml")


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that everybody can enter: pytest's own are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="mcpvault-ground-"))
    folder.chmod(0o755)
    yield folder
    for each in (folder, *(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())):
        each.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def ring() -> Iterator[vault_samples.MemoryKeyring]:
    """A keyring of this test's own, instead of the user's."""
    before = keyring.get_keyring()
    mine = vault_samples.MemoryKeyring()
    keyring.set_keyring(mine)
    yield mine
    keyring.set_keyring(before)


@pytest.fixture
def place(tmp_path: Path, cheap_kdf: dict[str, int]) -> key_samples.Place:
    """A vault that a raw key, a keyring and a passphrase open."""
    path = tmp_path / "vault.toml"
    new_slots = [
        NewSlot.raw("raw", RawKey.generate()),
        NewSlot.keyring("ring", RawKey.generate(), service="mcpvault", user="me"),
        NewSlot.passphrase("words", Secret("words"), kdf=cheap_kdf),
    ]
    VaultFile.create(path, new_slots=new_slots)
    (tmp_path / "data").mkdir()
    return key_samples.Place(read_document(path).header, tmp_path / "data", path)
