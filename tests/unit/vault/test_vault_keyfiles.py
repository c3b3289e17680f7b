"""Key files: new, private, whole, and apart from the vault."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from vault_samples import full_disk, not_root

import vault_schema.forms
from mcpvault.errors import ConfigurationError, PermissionsError
from mcpvault.secret import Secret
from mcpvault.vault import keyfiles
from mcpvault.vault.permissions import read_secret_file
from mcpvault.vault.slots import RawKey


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_a_key_file_is_private_and_reads_back(tmp_path: Path, mask: int) -> None:
    """Mode 0600 whatever the umask, in folders that are made for it, one line."""
    key = RawKey.generate().text
    path = tmp_path / "a" / "b" / "key"

    was = os.umask(mask)
    try:
        keyfiles.write(path, key)
    finally:
        os.umask(was)

    assert 0o600 == path.stat().st_mode & 0o7777
    assert 0o700 == (tmp_path / "a" / "b").stat().st_mode & 0o7777
    assert key.reveal() + "\n" == path.read_text()
    if mask == 0o077:
        assert key == read_secret_file(path)


@pytest.mark.parametrize("what", ["file", "link", "dangling link", "folder"])
def test_what_is_there_is_never_overwritten(tmp_path: Path, what: str) -> None:
    """A key may be the only one of another vault."""
    path = tmp_path / "key"
    (tmp_path / "target").write_text("another key")
    if what == "folder":
        path.mkdir()
    elif what == "file":
        path.write_text("another key")
    else:
        path.symlink_to(tmp_path / ("target" if what == "link" else "nowhere"))

    with pytest.raises(ConfigurationError, match="there is a file already") as caught:
        keyfiles.write(path, Secret("mvk1-new"))

    assert 8 == caught.value.exit_code
    assert not (tmp_path / "nowhere").exists()
    assert what == "folder" or what == "dangling link" or "another key" == path.read_text()


def test_a_folder_that_refuses_is_exit_8(ground: Path) -> None:
    """The system's reason is told, and the folder to look at."""
    if os.geteuid() != 0:
        ground.chmod(0o555)

    with not_root(), pytest.raises(PermissionsError, match="cannot be written: Permission denied") as caught:
        keyfiles.write(ground / "new" / "deep" / "key", Secret("mvk1-new"))

    assert f"run: ls -ld {ground}" == caught.value.hint  # the others are not there


def test_a_key_beside_the_vault_is_refused(tmp_path: Path) -> None:
    """Whoever copies the folder would have both; a link to the folder is no way round."""
    (tmp_path / "vaults").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "vaults")
    vault = tmp_path / "vaults" / "vault.toml"

    for key in (tmp_path / "vaults" / "key", tmp_path / "link" / "key", tmp_path / "vaults" / ".." / "vaults" / "key"):
        with pytest.raises(ConfigurationError, match="the vault's own folder"):
            keyfiles.check_apart(key, vault)
    keyfiles.check_apart(tmp_path / "keys" / "key", vault)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"USER": "alice"}, "alice"),
        ({"LOGNAME": "bob"}, "bob"),
        ({"USER": "", "LOGNAME": "bob"}, "bob"),
        ({"USER": "CORP\\alice b."}, "CORP-alice-b"),
        ({"USER": "_www"}, "www"),
        ({"USER": "日本"}, "admin"),
        ({"USER": "x" * 100}, "x" * 64),
        ({}, "admin"),
    ],
)
def test_a_slot_is_named_after_its_user(env: dict[str, str], expected: str) -> None:
    """Whatever the user is called, the name is one that the format takes."""
    name = keyfiles.default_slot_name(env)

    assert expected == name
    assert vault_schema.forms.MATCH["slot id"](name)


def test_half_a_key_is_not_left_behind(tmp_path: Path) -> None:
    """On a full disk nothing stays that would look like a key, so that the next try is not refused."""
    with full_disk(16), pytest.raises(PermissionsError, match="cannot be written: File too large"):
        keyfiles.write(tmp_path / "key", RawKey.generate().text)

    assert [] == os.listdir(tmp_path)
