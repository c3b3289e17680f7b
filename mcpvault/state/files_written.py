"""
How the files of a state folder are written: under a kernel lock, durably, and in one step.

Decides what a writer does about a full disk, and about what dead writers have left. Leaves whether the folder may be
used to ``files``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mcpvault.errors import BusyError, PermissionsError
from mcpvault.open_files import AS_IS
from mcpvault.state import locking

_LEFTOVER_AGE = 3600  # seconds; a younger temporary file may belong to a writer at work


class Room:
    """
    A temporary file beside *target*, open and not yet written.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{target.name}.tmp.{os.getpid()}.{os.urandom(4).hex()}")
        self._claimed = 0
        self._descriptor: int | None = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | AS_IS, 0o600)

    def claim(self, size: int) -> None:
        """
        Take *size* bytes of the disk, so that nobody else can; nothing where the system has no such call.

        Raises:
            OSError: There are not so many.
        """
        assert self._descriptor is not None  # noqa: S101  # it is new
        if not hasattr(os, "posix_fallocate"):  # macOS, Windows
            return
        try:
            os.posix_fallocate(self._descriptor, 0, size)
            self._claimed = size
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot promise anything
                raise

    def fill(self, data: bytes) -> float:
        """
        Write *data* durably and close the file; return the time of it, by the file system's clock.

        Raises:
            OSError: It does not fit; the file is closed all the same.
        """
        assert self._descriptor is not None  # noqa: S101  # a room is used once
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            if self._claimed > len(data):
                os.ftruncate(self._descriptor, len(data))
            os.fsync(self._descriptor)
            return os.fstat(self._descriptor).st_mtime
        finally:
            self._close()

    def give_up(self) -> None:
        """Close and remove the file, unless it has gone where it should."""
        if self._descriptor is not None:
            self._close()
        with suppress(OSError):
            self.path.unlink()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def make(folder: Path) -> None:
    """Make the state folder, if it is not there. Raises ``PermissionsError``."""
    problem: str | None = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror or "refused"
    if problem is not None:
        raise PermissionsError(
            f"{folder}: cannot be made: {problem}", hint="set MCPVAULT_STATE_DIR to a folder of yours"
        )


def replace(target: Path, data: bytes, room: Room | None) -> None:
    """Put *data* into the file *target*; see ``StateDirectory.replace``."""
    problem: str | None = None
    try:
        room = room or Room(target)
        born = room.fill(data)
        room.path.replace(target)
        _sync(target.parent)
        _reap(target.parent, born)
    except OSError as error:
        problem = error.strerror or "refused"
        if room is not None:
            room.give_up()
    if problem is not None:
        raise _unwritten(target, problem)


@contextmanager
def held(target: Path, size: int) -> Iterator[Room]:
    """Hold *size* bytes for what will be put into the file *target*; see ``StateDirectory.room``."""
    room, problem = None, None
    try:
        try:
            room = Room(target)
            room.claim(size)
        except OSError as error:
            problem = error.strerror or "refused"
        if room is None or problem is not None:
            raise _unwritten(target, str(problem))
        yield room
    finally:
        if room is not None:
            room.give_up()


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the kernel lock ``<path>.lock``; see ``StateDirectory.lock``."""
    problem, had = None, False
    with ExitStack() as stack:
        try:
            had = stack.enter_context(locking.locked(path.with_name(f"{path.name}.lock"), timeout))
        except (OSError, NotImplementedError) as error:
            problem = str(getattr(error, "strerror", None) or error)
        if problem is not None:
            raise PermissionsError(f"{path}: cannot be locked: {problem}", hint=f"make {path.parent} writable")
        if not had:
            raise BusyError(f"{path}: locked for {timeout:g} s by another process", hint="try again")
        yield


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files that dead writers left behind, and those of writers at work."""
    return sorted(folder.glob(".*.tmp.*"))


def _unwritten(target: Path, problem: str) -> PermissionsError:
    return PermissionsError(f"{target}: not written: {problem}", hint="check space and permissions")


def _reap(folder: Path, now: float) -> None:
    for leftover in leftovers(folder):
        with suppress(OSError):
            if now - leftover.lstat().st_mtime > _LEFTOVER_AGE:
                leftover.unlink()


def _sync(folder: Path) -> None:
    """Make the new name durable, where folders can be synced at all."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # EINVAL on file systems that do not sync folders
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
