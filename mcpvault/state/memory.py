"""A ``StateStore`` in memory, for credentials that are to leave no trace (``persist = "none"``)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from mcpvault.errors import BusyError


class MemoryState:
    """Files that live as long as this object. A forked child has its own copy, and no lock of its parent's."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, bytes]] = {}  # with the process that wrote each
        self._locks: dict[tuple[int, str], threading.Lock] = {}

    def read(self, name: str) -> bytes | None:
        """Return the content of the file *name*, or None if there is none."""
        return self._files[name][1] if name in self._files else None

    def inherited(self, name: str) -> bool:
        """Tell whether the file *name* is the copy of one that an ancestor of this process may still change."""
        return name in self._files and self._files[name][0] != os.getpid()

    def replace(self, name: str, data: bytes, *, room: object = None) -> None:
        """Put *data* into the file *name*."""
        self._files[name] = os.getpid(), data

    def room(self, name: str, size: int) -> AbstractContextManager[None]:
        """Hold nothing: there is no disk that others could fill."""
        return nullcontext()

    def names(self) -> tuple[str, ...]:
        """Return the names of all files."""
        return tuple(sorted(self._files))

    @contextmanager
    def lock(self, name: str, *, timeout: float = 10.0) -> Iterator[None]:
        """
        Keep other threads out for the time of the block.

        Raises:
            BusyError: One of them kept it for *timeout* seconds.
        """
        lock = self._locks.setdefault((os.getpid(), name), threading.Lock())
        if not lock.acquire(timeout=timeout):
            raise BusyError(f"{name}: locked for {timeout:g} s by another thread", hint="try again")
        try:
            yield
        finally:
            lock.release()
