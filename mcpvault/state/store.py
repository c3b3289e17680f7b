"""
``StateStore``: what the state of a vault needs of the place where it is kept.

Small on purpose: a file by name, replaced in one step, and a lock that dies with its process.
``files.StateDirectory`` is the one that there is.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcpvault.state.files_written import Room


class StateStore(Protocol):
    """Named files of one vault on one host."""

    def read(self, name: str) -> bytes | None:
        """
        Return the content of the file *name*, or None if there is none; never waits for a lock.

        Raises:
            PermissionsError: It may not be believed, or cannot be read.
        """

    def replace(self, name: str, data: bytes, *, room: Room | None = None) -> None:
        """
        Put *data* into the file *name*, durably, so that a reader sees the old content or the new.

        *room* is what ``room`` gave for it.

        Raises:
            PermissionsError: It cannot be written; the old content is untouched.
        """

    def room(self, name: str, size: int) -> AbstractContextManager[Room | None]:
        """
        Hold *size* bytes for what will be put into the file *name*, for the time of the block.

        Raises:
            PermissionsError: There is no room.
        """

    def names(self) -> tuple[str, ...]:
        """
        Return the names of all files, sorted.

        Raises:
            PermissionsError: They may not be believed, or cannot be listed.
        """

    def lock(self, name: str, *, timeout: float = 10.0) -> AbstractContextManager[None]:
        """
        Keep other processes and threads out of the same lock for the time of the block.

        Raises:
            BusyError: Somebody kept it for *timeout* seconds.
            PermissionsError: Nothing can be locked here.
        """
