"""
What a child writes to stderr: a thread reads it as it comes, so that the child never waits for us.

Decides how much is kept. The thread ends with the pipe, and there is none while this process forks.

Spec: MCP "stdio" transport; S2.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
from typing import IO
from weakref import WeakSet

from mcpvault.mcp.forks import renew_in_children
from mcpvault.secret import redact

_CHUNK = 64 * 1024  # bytes
_KEPT = 32 * 1024  # bytes
_SHOWN = 8 * 1024  # characters
_MOMENT = 1.0  # seconds for a thread to end that has nothing to wait for
_BREATH = 0.0005  # seconds between two reads: whoever writes without end takes no processor of ours
_MOST_READS = 16  # for one look: whoever writes without end is not read to the end


class Stderr:
    """
    The end of a pipe, and the last that came out of it.

    Args:
        pipe: Is closed by ``close``.
        name: The thread's.
    """

    def __init__(self, pipe: IO[bytes], *, name: str) -> None:
        self._pipe = pipe
        self._name = name
        self._last = b""
        self._open = True
        self._lock = threading.RLock()
        self._thread: tuple[threading.Thread, IO[bytes]] | None = None  # and what ends it when it is closed
        os.set_blocking(pipe.fileno(), False)
        _HERE.add(self)
        renew_in_children(self)
        self.go_on()

    @property
    def tail(self) -> str:
        """The last that came, with what is in the pipe at this moment; live secrets masked."""
        self._read_all()
        # Cut after it is redacted: half a secret at the edge would not be known again.
        return redact(self._last.decode("utf-8", "replace"))[-_SHOWN:]

    def go_on(self) -> None:
        """Read from now on."""
        with self._lock:
            if self._open and self._thread is None:
                woken, ends = os.pipe()
                thread = threading.Thread(target=self._follow, args=(woken,), name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # there are too many
                    os.close(woken)
                    os.close(ends)
                    raise
                self._thread = thread, os.fdopen(ends, "wb", buffering=0)

    def rest(self) -> None:
        """Read no more until told to; the thread is gone."""
        with self._lock:
            ending, self._thread = self._thread, None
        if ending is not None:
            thread, ends = ending
            ends.close()
            thread.join(_MOMENT)

    def close(self) -> None:
        """Be done; what has come stays, to the last word."""
        self.rest()
        self._read_all()
        with self._lock:
            self._open = False
            self._pipe.close()

    def forked(self) -> None:
        """Leave the pipe to the parent: what comes out of it is for that."""
        self._lock = threading.RLock()
        self._open = False

    def _follow(self, woken: int) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(woken, selectors.EVENT_READ)
                selector.register(self._pipe, selectors.EVENT_READ)
                while self._open and all(key.fd != woken for key, _ in selector.select()):
                    self._read()
                    time.sleep(_BREATH)
        finally:
            os.close(woken)

    def _read_all(self) -> None:
        for _ in range(_MOST_READS):
            if not self._read():
                break

    def _read(self) -> bool:
        """Take a piece of what is there; tell whether anything was."""
        with self._lock:
            if not self._open:
                return False
            try:
                data = os.read(self._pipe.fileno(), _CHUNK)
            except BlockingIOError:
                return False
            except OSError:
                data = b""
            self._open = bool(data)
            self._last = (self._last + data)[-_KEPT:]
            return self._open


_HERE: WeakSet[Stderr] = WeakSet()


def _before_fork() -> None:
    for each in list(_HERE):
        each.rest()


def _after_fork() -> None:
    for each in list(_HERE):
        each.go_on()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork)
