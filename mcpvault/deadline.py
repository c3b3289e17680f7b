"""
One wall-clock limit for a whole call, across its retries, refreshes and streams.

Decides how much time is left. Leaves enforcing it to whoever blocks.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mcpvault.errors import DeadlineExceededError

_GLANCE = 0.25  # seconds between two looks at whether the time has been ended


class Deadline:
    """
    A moment after which a call must be over; ``Deadline(None)`` never comes.

    Args:
        seconds: From now, or None.
        clock: Tells the time.
        outer: A deadline that this one lies within; when that is ended, so is this.
    """

    __slots__ = ("_clock", "_ends", "_outer", "seconds")

    def __init__(
        self, seconds: float | None, *, clock: Callable[[], float] = time.monotonic, outer: Deadline | None = None
    ) -> None:
        self.seconds = seconds
        self._clock = clock
        self._ends = math.inf if seconds is None else clock() + seconds
        self._outer = outer

    def remaining(self) -> float:
        """Return the seconds left: never negative, ``math.inf`` without a limit."""
        left = max(0.0, self._ends - self._clock())
        return left if self._outer is None else min(left, self._outer.remaining())

    def expired(self) -> bool:
        """Tell whether no time is left."""
        return self._clock() >= self._ends or (self._outer is not None and self._outer.expired())

    def end(self) -> None:
        """Let the time be over now, for all deadlines within this one too."""
        self._ends = -math.inf

    def lift(self) -> None:
        """Let only the deadline that this one lies within count from now on."""
        self._ends = math.inf
        self.seconds = None if self._outer is None else self._outer.seconds

    def within(self, seconds: float | None) -> Deadline:
        """Return the earlier of this deadline and one *seconds* from now."""
        if seconds is None or seconds >= self.remaining():
            return self
        return Deadline(seconds, clock=self._clock, outer=self)

    @contextmanager
    def governing(self) -> Iterator[None]:
        """Let every call that this thread begins in the block be over by then."""
        token = _GOVERNING.set(self)
        try:
            yield
        finally:
            _GOVERNING.reset(token)

    def pause(self, seconds: float, what: str = "waiting", *, server: str | None = None) -> None:
        """
        Let *seconds* pass.

        Raises:
            DeadlineExceededError: The deadline comes first; *what* was waited for in vain.
        """
        left = min(seconds, self.remaining())
        while left > 0:
            time.sleep(min(left, _GLANCE))
            left = min(left - _GLANCE, self.remaining())
        self.check(what, server=server)

    @contextmanager
    def holding(self, lock: threading.RLock, what: str, *, server: str | None = None) -> Iterator[None]:
        """
        Hold *lock* in the block.

        Raises:
            DeadlineExceededError: Another thread held it until the time was over; this one has sent nothing.
        """
        while not lock.acquire(timeout=min(self.remaining(), _GLANCE)):
            if self.expired():
                raise DeadlineExceededError(
                    f"{what}: another thread was at it for all of {self.seconds or 0:g} s", sent=False, server=server
                )
        try:
            yield
        finally:
            lock.release()

    def check(self, what: str, *, server: str | None = None, sent: bool = True) -> None:
        """
        Raise when the time is over.

        Raises:
            DeadlineExceededError: *what* took longer than allowed; allow more time or try again.
        """
        if self.expired():
            raise DeadlineExceededError(f"{what}: no answer within {self.seconds or 0:g} s", sent=sent, server=server)


_GOVERNING: ContextVar[Deadline | None] = ContextVar("governing", default=None)


def deadline_in(seconds: float | None) -> Deadline:
    """Return the deadline *seconds* from now, or that which governs what this thread does, if it is earlier."""
    governing = _GOVERNING.get()
    return Deadline(seconds) if governing is None else governing.within(seconds)
