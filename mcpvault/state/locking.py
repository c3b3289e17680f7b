"""
Kernel locks of the state: ``flock`` on files that are never unlinked and never replaced.

Decides when a lock is had, and what becomes of it in a forked child: the child lets go, for otherwise the lock
would outlive the process that took it. ``filelock`` does the same on systems without ``flock``; here its import
would be a tenth of a cron job that refreshes (DECISIONS).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcpvault.open_files import HAS_FLOCK, wait_for

if TYPE_CHECKING:
    from pathlib import Path

if HAS_FLOCK:
    import fcntl

_held: set[int] = set()  # descriptors of locks that this process holds or waits for
_held_guard = threading.Lock()


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[bool]:
    """
    Hold the lock *path*, for threads and processes alike; it frees itself when the process dies.

    Gives False, and holds nothing, where somebody else kept it for *timeout* seconds.

    Raises:
        OSError: The file cannot be opened or locked, or is a link.
    """
    if not HAS_FLOCK:
        from filelock import FileLock, Timeout

        lock = FileLock(path, mode=0o600, preserve_lock_file=True, fallback_to_soft=False)
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
        return
    descriptor, process = _taken(path, time.monotonic() + timeout), os.getpid()
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None and process == os.getpid():
            _close(descriptor)


def _taken(path: Path, ends: float) -> int | None:
    """Return the locked descriptor of *path*, or None where the time was over before."""
    while True:
        with _held_guard:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            _held.add(descriptor)
        taken = kept = False
        try:
            taken = wait_for(descriptor, ends)
            kept = taken and _is_still(path, descriptor)
        finally:
            if not kept:
                _close(descriptor)
        if kept or not taken:
            return descriptor if kept else None


def _is_still(path: Path, descriptor: int) -> bool:
    """Tell whether the file was not taken away by somebody while it was waited for: who comes now locks another."""
    mine = os.fstat(descriptor)
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _close(descriptor: int) -> None:
    with _held_guard:
        if descriptor in _held:  # a forked child has let go of its parent's
            _held.discard(descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # for everybody: a child on its way to exec has a copy
            finally:
                os.close(descriptor)


def _let_go_in_child() -> None:
    """Close the copies of the parent's locks: the lock is one and the same, and stays the parent's."""
    global _held_guard
    _held_guard = threading.Lock()
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if HAS_FLOCK:
    os.register_at_fork(after_in_child=_let_go_in_child)
