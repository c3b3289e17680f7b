"""The kernel locks of the state: what outlives whom."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mcpvault.state.locking import locked

# Takes the lock, forks, says so, and waits to be killed; the child waits for the end of its input.
FORKING = """
import os, sys
from pathlib import Path
from mcpvault.state.locking import locked
with locked(Path(sys.argv[1]), 5) as had:
    if os.fork() == 0:
        print("forked", had, flush=True)
        sys.stdin.read()
        os._exit(0)
    os.wait()
"""


def test_a_child_that_was_forked_under_a_lock_does_not_keep_it(tmp_path: Path) -> None:
    """The lock of a killed process is free although a child of it lives on."""
    path = tmp_path / "name.lock"
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert b"forked True\n" == holder.stdout.readline()
        with locked(path, 0) as had:
            assert not had
        holder.kill()

        with locked(path, 30) as had:
            assert had

        assert holder.stdin is not None
        holder.stdin.close()


def test_a_forked_child_leaves_its_parents_lock_alone(tmp_path: Path) -> None:
    """The end of the block in the child frees nothing of the parent's, and the child may not enter."""
    path = tmp_path / "name.lock"
    held = locked(path, 0)
    assert held.__enter__()
    if (child := os.fork()) == 0:
        held.__exit__(None, None, None)
        with locked(path, 0) as had:
            os._exit(3 if had else 0)
    _, status = os.waitpid(child, 0)

    assert 0 == os.waitstatus_to_exitcode(status)
    with locked(path, 0) as had:
        assert not had
    held.__exit__(None, None, None)
    with locked(path, 0) as had:
        assert had


def test_a_program_that_is_started_under_a_lock_does_not_keep_it(tmp_path: Path) -> None:
    """A child process gets no descriptor of ours."""
    path = tmp_path / "name.lock"
    with locked(path, 0):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    with child, locked(path, 0) as had:
        assert had
        child.communicate(b"\n")


def test_who_waited_for_a_file_that_is_gone_locks_the_new_one(tmp_path: Path) -> None:
    """A lock file that somebody deletes by hand does not let two in."""
    path = tmp_path / "name.lock"
    inside = threading.Event()
    done = threading.Event()

    def wait() -> None:
        with locked(path, 30) as had:
            assert had
            inside.set()
            done.wait(30)

    with locked(path, 0):
        waiting = threading.Thread(target=wait)
        waiting.start()
        path.unlink()
    assert inside.wait(30)

    with locked(path, 0) as had:
        assert not had
    done.set()
    waiting.join()


def test_a_link_is_no_lock(tmp_path: Path) -> None:
    """What somebody else pointed elsewhere is not opened."""
    (tmp_path / "name.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic"), locked(tmp_path / "name.lock", 0):
        pass

    assert ["name.lock"] == os.listdir(tmp_path)


def test_a_wait_ends_when_its_time_is_over(tmp_path: Path) -> None:
    """It gives False, and not before the time that it was given."""
    with locked(tmp_path / "name.lock", 0):
        begin = time.monotonic()
        with locked(tmp_path / "name.lock", 0.2) as had:
            assert not had
        assert 0.2 <= time.monotonic() - begin


def test_locks_leave_no_descriptor_open(tmp_path: Path) -> None:
    """Had, refused, or failed: as many descriptors as before."""
    before = sorted(os.listdir("/proc/self/fd"))
    with locked(tmp_path / "name.lock", 0), locked(tmp_path / "name.lock", 0), locked(tmp_path / "other.lock", 0):
        pass
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "name.lock", 0):
        raise ZeroDivisionError

    assert before == sorted(os.listdir("/proc/self/fd"))
