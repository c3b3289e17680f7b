"""
One wall-clock limit for a whole call, across its retries, refreshes and streams.

Decides how much time is left. Leaves enforcing it to whoever blocks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from mcpvault.errors import DeadlineExceededError


class Deadline:
    """A moment after which a call must be over; ``Deadline(None)`` never comes."""

    __slots__ = ("_clock", "_ends", "seconds")

    def __init__(self, seconds: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._ends = math.inf if seconds is None else clock() + seconds

    def remaining(self) -> float:
        """Return the seconds left: never negative, ``math.inf`` without a limit."""
        return max(0.0, self._ends - self._clock())

    def expired(self) -> bool:
        """Tell whether no time is left."""
        return self._clock() >= self._ends

    def within(self, seconds: float | None) -> Deadline:
        """Return the earlier of this deadline and one *seconds* from now."""
        if seconds is None or seconds >= self.remaining():
            return self
        return Deadline(seconds, clock=self._clock)

    def pause(self, seconds: float) -> None:
        """
        Let *seconds* pass.

        Raises:
            DeadlineExceededError: The deadline comes first.
        """
        time.sleep(min(seconds, self.remaining()))
        self.check("waiting")

    def check(self, what: str, *, server: str | None = None) -> None:
        """
        Raise when the time is over.

        Raises:
            DeadlineExceededError: *what* took longer than allowed; allow more time or try again.
        """
        if self.expired():
            raise DeadlineExceededError(f"{what}: no answer within {self.seconds:g} s", server=server)
