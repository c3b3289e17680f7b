"""The vault file on disk: the old one or the new one at every moment, and private."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from vault_samples import NOBODY, full_disk, not_root

from mcpvault.errors import PermissionsError, VaultFormatError, VaultNotFoundError
from mcpvault.vault import file


def mode_of(path: Path) -> int:
    """Return the permission bits of *path*."""
    return path.stat().st_mode & 0o7777


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Create files under another umask."""
    was = os.umask(mask)
    try:
        yield
    finally:
        os.umask(was)


# Reading


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """The bytes come back as they are."""
    file.replace(tmp_path / "v", b"\xff bytes\r\n")

    assert b"\xff bytes\r\n" == file.read(tmp_path / "v")


@pytest.mark.parametrize("way", ["missing", "missing/v", "file/v"])
def test_no_file_is_exit_6_and_says_init(tmp_path: Path, way: str) -> None:
    """A file, folder or parent that is not there: there is no vault."""
    (tmp_path / "file").touch()

    with pytest.raises(VaultNotFoundError, match="there is no vault") as caught:
        file.read(tmp_path / way)

    assert 6 == caught.value.exit_code
    assert "mcpvault init" in (caught.value.hint or "")


@pytest.mark.parametrize("what", ["folder", "fifo"])
def test_a_vault_is_a_regular_file(tmp_path: Path, what: str) -> None:
    """Reading something else is refused without blocking, and leaves no descriptor open."""
    path = tmp_path / what
    path.mkdir() if what == "folder" else os.mkfifo(path)
    before = os.listdir("/proc/self/fd") if sys.platform == "linux" else []

    with pytest.raises(PermissionsError, match="expected a regular file"):
        file.read(path)

    assert before == (os.listdir("/proc/self/fd") if sys.platform == "linux" else [])


def test_a_file_that_we_may_not_read_is_exit_8(ground: Path) -> None:
    """The system's reason is told."""
    path = ground / "v"
    path.touch(0o600)
    if os.geteuid() != 0:
        path.chmod(0)

    with not_root(), pytest.raises(PermissionsError, match="Permission denied") as caught:
        file.read(path)

    assert f"run: ls -l {path}" == caught.value.hint


def test_a_file_larger_than_any_vault_is_not_read(tmp_path: Path) -> None:
    """Somebody named a log or an image: it is no vault, exit 6, as everything that is none (SPEC §15)."""
    with (tmp_path / "v").open("wb") as big:
        big.truncate(file.LARGEST + 1)

    with pytest.raises(VaultFormatError, match="larger than 16 MiB") as caught:
        file.read(tmp_path / "v")
    assert 6 == caught.value.exit_code


@pytest.mark.parametrize(("mode", "expected"), [(0o600, False), (0o644, False), (0o664, True), (0o602, True)])
def test_writable_by_others_is_noticed(tmp_path: Path, mode: int, expected: bool) -> None:
    """Anyone may read a vault, nobody else may write it."""
    (tmp_path / "v").touch()
    (tmp_path / "v").chmod(mode)

    assert expected == file.writable_by_others(tmp_path / "v")


# Replacing


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o277])
def test_a_new_file_is_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    """Mode 0600 from its first byte."""
    with umask(mask):
        file.replace(tmp_path / "v", b"new")

    assert 0o600 == mode_of(tmp_path / "v")


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o600), (0o644, 0o644), (0o666, 0o644), (0o400, 0o600)])
def test_a_replaced_file_keeps_its_readers_and_loses_other_writers(tmp_path: Path, mode: int, expected: int) -> None:
    """A vault that everybody may read stays so; what others could write, they can no longer."""
    (tmp_path / "v").touch()
    (tmp_path / "v").chmod(mode)

    file.replace(tmp_path / "v", b"new")

    assert expected == mode_of(tmp_path / "v")


def test_the_file_is_replaced_not_rewritten(tmp_path: Path) -> None:
    """A reader that has the old file open goes on reading the old one, whole."""
    file.replace(tmp_path / "v", b"old")
    with (tmp_path / "v").open("rb") as reader:
        file.replace(tmp_path / "v", b"new")

        assert b"old" == reader.read()
    assert b"new" == file.read(tmp_path / "v")


def test_the_previous_generation_is_kept(tmp_path: Path) -> None:
    """Exactly one, and the one before."""
    assert file.previous_generation(tmp_path / "v") is None
    for text in (b"one", b"two", b"three"):
        file.replace(tmp_path / "v", text)

    assert b"two" == file.previous_generation(tmp_path / "v")
    assert ["v", "v.prev"] == sorted(os.listdir(tmp_path))


@pytest.mark.parametrize("what", ["folder", "fifo", "huge"])
def test_a_previous_generation_that_is_no_file_of_ours_is_none(tmp_path: Path, what: str) -> None:
    """Whoever can write the folder cannot make a reader wait, or fill its memory."""
    path = tmp_path / "v.prev"
    if what == "huge":
        with path.open("wb") as big:
            big.truncate(file.LARGEST + 1)
    else:
        path.mkdir() if what == "folder" else os.mkfifo(path)

    assert file.previous_generation(tmp_path / "v") is None


def test_the_previous_generation_is_left_alone_where_asked(tmp_path: Path) -> None:
    """A file that was never believed does not push out one that was."""
    for text in (b"one", b"two"):
        file.replace(tmp_path / "v", text)

    file.replace(tmp_path / "v", b"three", keep_previous=False)

    assert b"one" == file.previous_generation(tmp_path / "v")


def test_a_link_is_followed(tmp_path: Path) -> None:
    """A vault kept by a dotfile tool stays where it is, its lock and previous generation beside it."""
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "dotfiles" / "v").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "dotfiles" / "v")

    with file.write_lock(tmp_path / "link"):
        file.replace(tmp_path / "link", b"new")

    assert (tmp_path / "link").is_symlink()
    assert b"new" == (tmp_path / "dotfiles" / "v").read_bytes()
    assert b"old" == file.previous_generation(tmp_path / "link")
    assert ["v", "v.lock", "v.prev"] == sorted(os.listdir(tmp_path / "dotfiles"))


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """What cannot be written is told, nothing is half written, and no temporary file stays."""
    file.replace(tmp_path / "v", b"old")

    with full_disk(1024), pytest.raises(PermissionsError, match="the old file is untouched") as caught:
        file.replace(tmp_path / "v", b"x" * 4096)

    assert 8 == caught.value.exit_code
    assert b"old" == file.read(tmp_path / "v")
    assert ["v"] == os.listdir(tmp_path)


def test_a_folder_that_refuses_leaves_the_old_file(ground: Path) -> None:
    """Who may not write the folder is told which one."""
    (ground / "v").write_bytes(b"old")
    if os.geteuid() != 0:
        ground.chmod(0o555)

    with not_root(), pytest.raises(PermissionsError, match="not written: Permission denied") as caught:
        file.replace(ground / "v", b"new")

    assert str(ground) in (caught.value.hint or "")
    assert b"old" == (ground / "v").read_bytes()


def test_leftovers_of_dead_writers_are_reaped(tmp_path: Path) -> None:
    """After an hour nobody writes any more; a younger one may belong to a writer at work, and other files to others."""
    old, young, other = (tmp_path / name for name in (".v.tmp.1.aa", ".v.tmp.2.bb", ".w.tmp.1.aa"))
    for path in (old, young, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (time.time() - 7200,) * 2)
    assert [old, young] == file.leftovers(tmp_path / "v")

    file.replace(tmp_path / "v", b"new")

    assert [young] == file.leftovers(tmp_path / "v")
    assert other.exists()


def test_a_leftover_that_cannot_be_removed_does_no_harm(tmp_path: Path) -> None:
    """A folder of that name stays, and the file is replaced."""
    stubborn = tmp_path / ".v.tmp.1.aa"
    stubborn.mkdir()
    os.utime(stubborn, (0, 0))

    file.replace(tmp_path / "v", b"new")

    assert b"new" == file.read(tmp_path / "v")


def test_a_spare_of_a_dead_writer_of_the_same_number_is_replaced(tmp_path: Path) -> None:
    """Process numbers come round again, so the next writer's spare may have a dead one's name."""
    file.replace(tmp_path / "v", b"old")
    (tmp_path / f".v.tmp.{os.getpid()}.prev").write_bytes(b"of a dead writer")

    file.replace(tmp_path / "v", b"new")

    assert b"old" == file.previous_generation(tmp_path / "v")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_root_replaces_stays_its_owners(tmp_path: Path) -> None:
    """Root edits the vault of a service, which opens it afterwards."""
    (tmp_path / "v").write_bytes(b"old")
    (tmp_path / "v").chmod(0o640)
    os.chown(tmp_path / "v", NOBODY, NOBODY)

    file.replace(tmp_path / "v", b"new")

    facts = (tmp_path / "v").stat()
    assert (NOBODY, NOBODY, 0o640) == (facts.st_uid, facts.st_gid, mode_of(tmp_path / "v"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_writer_who_does_not_own_the_file_can_replace_it(ground: Path) -> None:
    """In a folder of ours the new file is ours, with the readers that the old one had."""
    (ground / "v").write_bytes(b"old")
    (ground / "v").chmod(0o644)
    os.chown(ground, NOBODY, NOBODY)

    with not_root():
        file.replace(ground / "v", b"new")

    assert (NOBODY, 0o644) == ((ground / "v").stat().st_uid, mode_of(ground / "v"))
    assert b"old" == file.previous_generation(ground / "v")
