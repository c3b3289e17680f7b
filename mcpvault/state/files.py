"""
The state folder of one vault: ours, private, on a file system whose locks work; and its files.

Decides where state may live. Leaves how a state file is written to ``files_written``, and what is in the files to the
modules beside this one. Reading needs no lock and makes nothing.
"""

from __future__ import annotations

import os
import stat
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mcpvault.errors import PermissionsError

if TYPE_CHECKING:
    from mcpvault.state.files_written import Room


def _word(path: Path) -> str:
    """Return *path* as one word of a shell, for a hint."""
    import shlex

    return shlex.quote(str(path))


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
            from mcpvault.state import files_written, filesystem

            files_written.make(self.path)
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
        from mcpvault.state import files_written

        files_written.replace(self.ensure() / name, data, room)

    def room(self, name: str, size: int) -> AbstractContextManager[Room]:
        """
        Hold *size* bytes of the disk for what will be put into the file *name*; what is not used goes with the block.

        Raises:
            PermissionsError: There is no room.
        """
        from mcpvault.state import files_written

        return files_written.held(self.ensure() / name, size)

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
        from mcpvault.state import files_written

        return files_written.leftovers(self.path)

    def lock(self, name: str, *, timeout: float = 10.0) -> AbstractContextManager[None]:
        """
        Hold the kernel lock ``<name>.lock``; it frees itself when the process dies and is never unlinked.

        Raises:
            BusyError: Another process kept it for *timeout* seconds.
            PermissionsError: The folder cannot be used.
        """
        # What writes under the lock is loaded before it is taken.
        from mcpvault.state import files_written

        return files_written.locked(self.ensure() / name, timeout)
