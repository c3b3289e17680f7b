"""The write lock of a vault: one writer at a time, freed by the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from vault_samples import not_root

from mcpvault.errors import PermissionsError, VaultBusyError
from mcpvault.vault import file

HOLDER = """
import sys
from pathlib import Path
from mcpvault.vault import file
with file.write_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def mode_of(path: Path) -> int:
    """Return the permission bits of *path*."""
    return path.stat().st_mode & 0o7777


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have another process hold the write lock of *path* for the time of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()
        yield holder
        assert holder.stdin is not None
        holder.stdin.close()


def test_a_lock_held_elsewhere_is_exit_7(tmp_path: Path) -> None:
    """The error tells to try again, and after how long."""
    with (
        held_by_another_process(tmp_path / "v"),
        pytest.raises(VaultBusyError, match="another process") as caught,
        file.write_lock(tmp_path / "v", timeout=0.05),
    ):
        raise AssertionError("two writers at once")

    assert (7, 0.05) == (caught.value.exit_code, caught.value.retry_after)
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_a_lock_keeps_another_thread_out(tmp_path: Path) -> None:
    """Two threads of one process are two writers."""
    outcomes: list[str] = []

    def second() -> None:
        try:
            with file.write_lock(tmp_path / "v", timeout=0.05):
                outcomes.append("let in")
        except VaultBusyError:
            outcomes.append("kept out")

    with file.write_lock(tmp_path / "v"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()

    assert ["kept out"] == outcomes


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    """The kernel frees the lock of a dead process."""
    with held_by_another_process(tmp_path / "v") as holder:
        holder.kill()
        holder.wait(30)

        with file.write_lock(tmp_path / "v", timeout=30):
            pass


def test_the_lock_file_stays(tmp_path: Path) -> None:
    """It is never unlinked, for somebody may just be waiting for it; it is private."""
    with file.write_lock(tmp_path / "v"):
        pass

    assert ["v.lock"] == os.listdir(tmp_path)
    assert 0o600 == mode_of(tmp_path / "v.lock")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_lock_that_root_makes_is_the_vault_owners(tmp_path: Path) -> None:
    """A service can still lock its vault after root wrote it; a lock that is there already is left as it is."""
    owner, other = 65534, 65533
    (tmp_path / "v").touch()
    os.chown(tmp_path / "v", owner, owner)

    with file.write_lock(tmp_path / "v"):
        pass

    facts = (tmp_path / "v.lock").stat()
    assert (owner, owner, 0o600) == (facts.st_uid, facts.st_gid, mode_of(tmp_path / "v.lock"))
    os.chown(tmp_path / "v", other, other)
    with file.write_lock(tmp_path / "v"):
        pass
    assert owner == (tmp_path / "v.lock").stat().st_uid


def test_the_lock_is_freed_when_the_block_fails(tmp_path: Path) -> None:
    """The next writer does not wait for an exception."""
    with pytest.raises(ZeroDivisionError), file.write_lock(tmp_path / "v"):
        raise ZeroDivisionError

    with file.write_lock(tmp_path / "v", timeout=0):
        pass


def test_a_folder_that_cannot_be_locked_is_exit_8(ground: Path) -> None:
    """No writing, and the folder is named."""
    if os.geteuid() != 0:
        ground.chmod(0o555)

    with (
        not_root(),
        pytest.raises(PermissionsError, match="cannot be locked for writing") as caught,
        file.write_lock(ground / "v", timeout=0),
    ):
        raise AssertionError("locked in a folder that refuses")

    assert f"run: ls -ld {ground}" == caught.value.hint
