"""
The state folder of one vault: ours, private, on a file system whose locks work; and its files.

Decides where state may live and how a state file is replaced. Leaves what is in the files
to the modules beside this one. Reading needs no lock and makes nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mcpvault.errors import BusyError, PermissionsError
from mcpvault.open_flags import AS_IS

_LEFTOVER_AGE = 3600  # seconds; a younger temporary file may belong to a writer at work


def _word(path: Path) -> str:
    """Return *path* as one word of a shell, for a hint."""
    import shlex

    return shlex.quote(str(path))


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


class StateDirectory:
    """
    ``<state home>/<vault id>/``; made on first write, mode 0700.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ready = False
        self._judged = False

    def ensure(self) -> Path:
        """
        Return the folder, made if need be and judged once.

        Raises:
            PermissionsError: It is not ours, not private, a link, or on a file system without locks.
        """
        if not self._ready:
            from mcpvault.state import filesystem

            problem: str | None = None
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                problem = error.strerror or "refused"
            if problem is not None:
                raise PermissionsError(
                    f"{self.path}: cannot be made: {problem}", hint="set MCPVAULT_STATE_DIR to a folder of yours"
                )
            self.judge()
            self._judged = True
            filesystem.check_locks(self.path)
            self._ready = True
        return self.path

    def judge(self) -> None:
        """
        Refuse a folder that others could read or replace; one that is not there yet is fine.

        Raises:
            PermissionsError: The hint has the command that mends it.
        """
        facts = None
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            facts = self.path.lstat()
        if facts is None:
            return
        if stat.S_ISLNK(facts.st_mode) or not stat.S_ISDIR(facts.st_mode):
            raise PermissionsError(
                f"{self.path}: expected a folder, not a link",
                hint=f"remove it, or set MCPVAULT_STATE_DIR to the folder that holds {self.path.name}/",
            )
        if not hasattr(os, "geteuid"):  # Windows
            return
        if facts.st_uid != os.geteuid():
            raise PermissionsError(
                f"{self.path}: belongs to user {facts.st_uid}, expected {os.geteuid()}",
                hint=f"run: chown -R {os.geteuid()} {_word(self.path)}, or set MCPVAULT_STATE_DIR",
            )
        if facts.st_mode & 0o077:
            raise PermissionsError(f"{self.path}: open to others", hint=f"run: chmod 700 {_word(self.path)}")

    def read(self, name: str) -> bytes | None:
        """
        Return the content of the file *name*, or None if there is none.

        Raises:
            PermissionsError: The folder is not ours or not private, or the file cannot be read.
        """
        if not self._judged:
            self.judge()
            self._judged = True
        problem: str | None = None
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            problem = error.strerror or "refused"
        raise PermissionsError(f"{self.path / name}: cannot be read: {problem}", hint=f"run: ls -la {_word(self.path)}")

    def replace(self, name: str, data: bytes, *, room: Room | None = None) -> None:
        """
        Put *data* into the file *name*, durably and in one step.

        Args:
            name: Of the file.
            data: Its new content.
            room: What ``room`` gave for this name; not to be used again.

        Raises:
            PermissionsError: The folder or the disk refuses; the old file is untouched.
        """
        target = self.ensure() / name
        problem: str | None = None
        try:
            room = room or Room(target)
            born = room.fill(data)
            room.path.replace(target)
            self._sync()
            self._reap(born)
        except OSError as error:
            problem = error.strerror or "refused"
            if room is not None:
                room.give_up()
        if problem is not None:
            raise self._unwritten(target, problem)

    @contextmanager
    def room(self, name: str, size: int) -> Iterator[Room]:
        """
        Hold *size* bytes of the disk for what will be put into the file *name*; what is not used goes with the block.

        Raises:
            PermissionsError: There is no room.
        """
        target = self.ensure() / name
        room, problem = None, None
        try:
            try:
                room = Room(target)
                room.claim(size)
            except OSError as error:
                problem = error.strerror or "refused"
            if room is None or problem is not None:
                raise self._unwritten(target, str(problem))
            yield room
        finally:
            if room is not None:
                room.give_up()

    @staticmethod
    def _unwritten(target: Path, problem: str) -> PermissionsError:
        return PermissionsError(f"{target}: not written: {problem}", hint="check space and permissions")

    def names(self) -> tuple[str, ...]:
        """
        Return the names of all files, sorted; without the temporary ones.

        Raises:
            PermissionsError: The folder is not ours or not private, or cannot be listed.
        """
        if not self._judged:
            self.judge()
            self._judged = True
        problem: str | None = None
        try:
            return tuple(sorted(path.name for path in self.path.iterdir() if not path.name.startswith(".")))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            problem = error.strerror or "refused"
        raise PermissionsError(f"{self.path}: cannot be listed: {problem}", hint=f"run: ls -la {_word(self.path)}")

    def leftovers(self) -> list[Path]:
        """Return the temporary files that dead writers left behind, and those of writers at work."""
        return sorted(self.path.glob(".*.tmp.*"))

    def _reap(self, now: float) -> None:
        for leftover in self.leftovers():
            with suppress(OSError):
                if now - leftover.lstat().st_mtime > _LEFTOVER_AGE:
                    leftover.unlink()

    def _sync(self) -> None:
        """Make the new name durable, where folders can be synced at all."""
        if not hasattr(os, "O_DIRECTORY"):  # Windows
            return
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # EINVAL on file systems that do not sync folders
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def lock(self, name: str, *, timeout: float = 10.0) -> Iterator[None]:
        """
        Hold the kernel lock ``<name>.lock``; it frees itself when the process dies and is never unlinked.

        Raises:
            BusyError: Another process kept it for *timeout* seconds.
            PermissionsError: The folder cannot be used.
        """
        from mcpvault.state.locking import locked

        path, problem, had = self.ensure() / name, None, False
        with ExitStack() as held:
            try:
                had = held.enter_context(locked(path.with_name(f"{name}.lock"), timeout))
            except (OSError, NotImplementedError) as error:
                problem = str(getattr(error, "strerror", None) or error)
            if problem is not None:
                raise PermissionsError(f"{path}: cannot be locked: {problem}", hint="set MCPVAULT_STATE_DIR")
            if not had:
                raise BusyError(f"{path}: locked for {timeout:g} s by another process", hint="try again")
            yield
