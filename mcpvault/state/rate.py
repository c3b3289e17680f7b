"""
At most so many requests to one server in any stretch of time, of all threads and processes of this host.

Decides when the turn of a request is. Leaves sending to ``http``. The moments of the last requests lie in
a ring, as many as the rate allows: a request's turn comes a whole unit after the oldest of them.

Spec: SPEC §1.3 (rates).
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
import warnings
from collections.abc import Callable

from mcpvault.deadline import Deadline
from mcpvault.errors import BusyError, DeadlineExceededError, McpVaultError, PermissionsError
from mcpvault.open_files import AS_IS
from mcpvault.state.files import StateDirectory

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# How many turns were given, when that was last looked at, how many the ring holds.
_HEAD = struct.Struct("<QdQ")
_MOMENT = struct.Struct("<d")


class RateLimit:
    """
    The turns of one server's requests.

    The clock is the machine's monotonic one: it is the same in all processes, and setting the time does not
    move it. After a restart of the machine it is smaller than what the file says, and the ring begins anew.

    Args:
        rate: Such as ``10/s``.
        server: The entry's name.
        directory: Where processes share the ring, or None; where it cannot be written, threads alone share it.
        clock: For tests.
    """

    def __init__(
        self,
        rate: str,
        *,
        server: str,
        directory: StateDirectory | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        count, _, unit = rate.partition("/")
        self._rate = rate
        self._most = int(count)
        self._unit = _UNITS[unit]
        self._server = server
        self._directory = directory
        self._clock = clock
        self._own = bytearray(_HEAD.size + self._most * _MOMENT.size)
        self._locks: dict[int, threading.Lock] = {}  # by process: a forked child has its own

    def wait(self, deadline: Deadline) -> McpVaultError | None:
        """Wait for the turn of one more request; return the error where it comes after *deadline*."""
        pause = self._pause(deadline)
        if pause is None:
            return DeadlineExceededError(
                f"{self._server}: rate_limit {self._rate} leaves no room within {deadline.seconds or 0:g} s; "
                "nothing was sent",
                hint="try again later, or allow more time",
                sent=False,
                server=self._server,
            )
        if pause <= 0:
            return None
        late: McpVaultError | None = None
        try:
            deadline.pause(pause)
        except DeadlineExceededError as error:
            late = error.with_traceback(None)
            late.sent = False
        return late

    def _pause(self, deadline: Deadline) -> float | None:
        """Take a turn and return the seconds until then; None where that is too late, and no turn is taken."""
        with self._locks.setdefault(os.getpid(), threading.Lock()):
            if self._directory is not None:
                try:
                    return self._shared(self._directory, deadline)
                except BusyError:
                    return None
                except PermissionsError as error:
                    problem = str(error)
                self._directory = None
                warnings.warn(f"{problem}; rate_limit holds for this process only", stacklevel=2)
            return self._taken(self._own, deadline.remaining())

    def _shared(self, directory: StateDirectory, deadline: Deadline) -> float | None:
        name = f"rate-{self._server}"
        problem = ""
        with directory.lock(name, timeout=min(deadline.remaining(), 10.0)):
            try:
                descriptor = os.open(directory.path / name, os.O_RDWR | os.O_CREAT | AS_IS, 0o600)
                try:
                    if os.fstat(descriptor).st_size != len(self._own):
                        os.ftruncate(descriptor, 0)
                        os.ftruncate(descriptor, len(self._own))
                    with mmap.mmap(descriptor, len(self._own)) as ring:
                        return self._taken(ring, deadline.remaining())
                finally:
                    os.close(descriptor)
            except OSError as error:
                problem = error.strerror or "refused"
        raise PermissionsError(f"{directory.path / name}: {problem}")

    def _taken(self, ring: bytearray | mmap.mmap, patience: float) -> float | None:
        now = self._clock()
        given, looked, size = _HEAD.unpack_from(ring)
        if size != self._most or not looked <= now:
            given = 0
        place = _HEAD.size + given % self._most * _MOMENT.size
        turn = now
        if given >= self._most:
            turn = max(now, _MOMENT.unpack_from(ring, place)[0] + self._unit)
        if turn - now > patience:
            return None
        # The moment first: a crash in between makes the next one wait longer, never less.
        _MOMENT.pack_into(ring, place, turn)
        _HEAD.pack_into(ring, 0, given + 1, now, self._most)
        return turn - now
