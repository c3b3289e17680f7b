"""The state folder: ours and private or refused; its files whole, its locks the kernel's."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from state_samples import NOBODY, full_disk, held_elsewhere, not_root

from mcpvault.errors import BusyError, PermissionsError
from mcpvault.state.files import StateDirectory

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
USES: dict[str, Callable[[StateDirectory], object]] = {
    "read": lambda directory: directory.read("file"),
    "replace": lambda directory: directory.replace("file", b"data"),
    "lock": lambda directory: directory.lock("name").__enter__(),
    "ensure": lambda directory: directory.ensure(),
}


def mode_of(path: Path) -> int:
    """Return the permission bits of *path*."""
    return path.stat().st_mode & 0o7777


def refusal(directory: StateDirectory, use: str) -> PermissionsError:
    """Return the error with which a use of the folder is refused; it is exit 8."""
    with pytest.raises(PermissionsError) as caught:
        USES[use](directory)
    assert 8 == caught.value.exit_code
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)
    return caught.value


# The folder


def test_reading_makes_nothing(directory: StateDirectory) -> None:
    """What is not there has no content, and is not made for it."""
    assert directory.read("file") is None
    assert [] == directory.leftovers()
    assert not directory.path.parent.exists()


@pytest.mark.parametrize("use", ["replace", "lock", "ensure"])
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_writing_makes_a_private_folder(directory: StateDirectory, use: str, mask: int) -> None:
    """Mode 0700 whatever the umask."""
    was = os.umask(mask)
    try:
        USES[use](directory)
    finally:
        os.umask(was)

    assert 0o700 == mode_of(directory.path)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("mode", [0o750, 0o705, 0o701, 0o770, 0o777])
def test_a_folder_open_to_others_is_refused(directory: StateDirectory, mode: int, use: str) -> None:
    """Whoever can look into it sees what was logged in; after the hint's command it is used."""
    directory.path.mkdir(parents=True)
    directory.path.chmod(mode)

    error = refusal(directory, use)
    subprocess.run(shlex.split((error.hint or "").removeprefix("run: ")), check=True)

    assert f"{directory.path}: open to others" == error.message
    USES[use](StateDirectory(directory.path))


@pytest.mark.parametrize("use", USES)
def test_a_link_is_refused(directory: StateDirectory, tmp_path: Path, use: str) -> None:
    """Somebody else may point it elsewhere; the hint names the way to say where state is."""
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    directory.path.parent.mkdir()
    directory.path.symlink_to(tmp_path / "elsewhere")

    error = refusal(directory, use)

    assert "expected a folder, not a link" in error.message
    assert "MCPVAULT_STATE_DIR" in (error.hint or "")
    assert [] == os.listdir(tmp_path / "elsewhere")


@pytest.mark.parametrize("use", USES)
def test_a_file_in_its_place_is_refused(directory: StateDirectory, use: str) -> None:
    """It is no folder."""
    directory.path.parent.mkdir()
    directory.path.touch(0o600)

    refusal(directory, use)


@root_only
@pytest.mark.parametrize("use", USES)
def test_a_folder_of_somebody_else_is_refused(directory: StateDirectory, use: str) -> None:
    """Its owner could put anything into it."""
    directory.path.mkdir(parents=True, mode=0o700)
    os.chown(directory.path, NOBODY, NOBODY)

    error = refusal(directory, use)

    assert f"belongs to user {NOBODY}, expected {os.geteuid()}" in error.message
    assert f"chown -R {os.geteuid()}" in (error.hint or "")


@pytest.mark.parametrize("use", ["replace", "lock", "ensure"])
def test_a_folder_that_cannot_be_made_is_exit_8(ground: Path, use: str) -> None:
    """The hint is a folder of one's own."""
    if os.geteuid() != 0:
        ground.chmod(0o555)

    with not_root():
        error = refusal(StateDirectory(ground / "state"), use)

    assert "cannot be made: Permission denied" in error.message
    assert "MCPVAULT_STATE_DIR" in (error.hint or "")


def test_a_folder_that_we_may_not_reach_is_exit_8(ground: Path) -> None:
    """Reading cannot tell whether something is there."""
    (ground / "a").mkdir(mode=0o700 if os.geteuid() == 0 else 0)

    with not_root():
        error = refusal(StateDirectory(ground / "a" / "state"), "read")

    assert "cannot be read: Permission denied" in error.message


def test_the_folder_is_judged_once(directory: StateDirectory) -> None:
    """A run reads several files; the judgement is for the first, and holds for the object."""
    directory.replace("file", b"data")
    directory.path.chmod(0o755)

    assert b"data" == directory.read("file")
    refusal(StateDirectory(directory.path), "read")


# Files


def test_what_was_written_is_read(directory: StateDirectory) -> None:
    """By another object, too; the file is private."""
    directory.replace("file", b"\xff\n")

    assert b"\xff\n" == StateDirectory(directory.path).read("file")
    assert 0o600 == mode_of(directory.path / "file")


def test_a_file_is_replaced_in_one_step(directory: StateDirectory) -> None:
    """Who has the old one open reads the old one, whole."""
    directory.replace("file", b"old")
    with (directory.path / "file").open("rb") as reader:
        directory.replace("file", b"new")

        assert b"old" == reader.read()
    assert b"new" == directory.read("file")
    assert ["file"] == os.listdir(directory.path)


def test_a_link_in_its_place_is_replaced_not_followed(directory: StateDirectory, tmp_path: Path) -> None:
    """Nothing outside of the folder is written."""
    (tmp_path / "outside").write_bytes(b"outside")
    directory.ensure()
    (directory.path / "file").symlink_to(tmp_path / "outside")

    directory.replace("file", b"new")

    assert b"outside" == (tmp_path / "outside").read_bytes()
    assert b"new" == directory.read("file")


def test_a_full_disk_leaves_the_old_file(directory: StateDirectory) -> None:
    """And no temporary one."""
    directory.replace("file", b"old")

    with full_disk(1024), pytest.raises(PermissionsError, match="not written: File too large"):
        directory.replace("file", b"x" * 4096)

    assert b"old" == directory.read("file")
    assert ["file"] == os.listdir(directory.path)


def test_a_folder_in_the_place_of_a_file_is_exit_8(directory: StateDirectory) -> None:
    """It can be neither read nor replaced."""
    (directory.ensure() / "file").mkdir()

    assert "cannot be read: Is a directory" in refusal(directory, "read").message
    assert "not written" in refusal(directory, "replace").message
    assert ["file"] == os.listdir(directory.path)


def test_leftovers_of_dead_writers_are_reaped(directory: StateDirectory) -> None:
    """After an hour nobody writes any more; a younger one may belong to a writer at work."""
    old, young, stubborn = (directory.ensure() / f".{name}.tmp.1.aa" for name in ("old", "young", "stubborn"))
    old.touch()
    young.touch()
    stubborn.mkdir()
    for path in (old, stubborn):
        os.utime(path, (time.time() - 7200,) * 2)
    assert [old, stubborn, young] == directory.leftovers()

    directory.replace("file", b"data")

    assert [stubborn, young] == directory.leftovers()


# Locks


def test_a_lock_held_elsewhere_is_exit_7(directory: StateDirectory) -> None:
    """The hint is to try again."""
    with (
        held_elsewhere(directory.path, "name"),
        pytest.raises(BusyError, match=r"name: locked for 0\.05 s by another process") as caught,
        directory.lock("name", timeout=0.05),
    ):
        raise AssertionError("two at once")

    assert (7, "try again") == (caught.value.exit_code, caught.value.hint)


def test_locks_of_other_names_do_not_wait(directory: StateDirectory) -> None:
    """Each name is a lock of its own."""
    with held_elsewhere(directory.path, "name"), directory.lock("other", timeout=0):
        pass


def test_a_killed_holder_leaves_no_lock(directory: StateDirectory) -> None:
    """The kernel frees the lock of a dead process."""
    with held_elsewhere(directory.path, "name") as holder:
        holder.kill()
        holder.wait(30)

        with directory.lock("name", timeout=30):
            pass


def test_a_lock_keeps_another_thread_out(directory: StateDirectory) -> None:
    """Two threads of one process are two, with objects of their own."""
    outcomes: list[str] = []

    def second() -> None:
        try:
            with StateDirectory(directory.path).lock("name", timeout=0.05):
                outcomes.append("let in")
        except BusyError:
            outcomes.append("kept out")

    with directory.lock("name"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()

    assert ["kept out"] == outcomes


def test_the_lock_file_stays_and_is_private(directory: StateDirectory) -> None:
    """It is never unlinked, and freed even when the block fails."""
    with pytest.raises(ZeroDivisionError), directory.lock("name"):
        raise ZeroDivisionError
    with directory.lock("name", timeout=0):
        pass

    assert ["name.lock"] == os.listdir(directory.path)
    assert 0o600 == mode_of(directory.path / "name.lock")


def test_what_cannot_be_locked_is_exit_8(directory: StateDirectory) -> None:
    """A folder has the lock's name."""
    (directory.ensure() / "name.lock").mkdir()

    error = refusal(directory, "lock")

    assert "cannot be locked" in error.message
    assert f"make {directory.path} writable" == error.hint


def test_room_that_is_held_is_taken(directory: StateDirectory) -> None:
    """It takes blocks of the disk at once; what is written there is as long as it is, and nothing stays beside it."""
    with directory.room("file", 65536) as room:
        assert 65536 <= 512 * room.path.stat().st_blocks
        directory.replace("file", b"new", room=room)

    assert b"new" == directory.read("file")
    assert [] == directory.leftovers()


def test_room_that_is_not_used_is_given_back(directory: StateDirectory) -> None:
    """A file that was there stays as it was."""
    directory.replace("file", b"old")
    with directory.room("file", 65536):
        pass

    assert b"old" == directory.read("file")
    assert [] == directory.leftovers()


def test_more_than_the_room_held_is_written_too(directory: StateDirectory) -> None:
    """The room is the least that there is, not the most."""
    with directory.room("file", 10) as room:
        directory.replace("file", b"n" * 65536, room=room)

    assert b"n" * 65536 == directory.read("file")


def test_where_there_is_no_room_it_is_exit_8(directory: StateDirectory) -> None:
    """What was asked for is not begun, and nothing stays behind."""
    directory.replace("file", b"old")
    with full_disk(100), pytest.raises(PermissionsError) as caught, directory.room("file", 65536):
        pytest.fail("there is room")

    assert 8 == caught.value.exit_code
    assert b"old" == directory.read("file")
    assert [] == directory.leftovers()
