"""
How a conversation is opened: by one thread at a time, and with what is known of the server's era before it is asked.

Decides how long anybody waits for another thread's opening, and what is kept for the next run. Leaves opening,
finding out and doubting to the transport.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from mcpvault.deadline import Deadline
from mcpvault.errors import ConnectFailedError, McpVaultError
from mcpvault.transports.outcomes import outcome_of, raised

if TYPE_CHECKING:
    from mcpvault.mcp.wire import VerdictStore

T = TypeVar("T")
_PATIENCE = 3.0  # seconds for an opening to end whose time is over


class Opening:
    """
    The openings of one conversation.

    Args:
        what: Is done alone, for messages.
        end: Ends what was opened; it may be called twice.
        interrupt: Wakes whoever waits for an answer, so that it looks at its deadline.
        server: The entry's name, for messages.
    """

    def __init__(self, what: str, *, end: Callable[[], None], interrupt: Callable[[], None], server: str) -> None:
        self._end = end
        self._interrupt = interrupt
        self._what = f"{server}: {what}"
        self._server = server
        self._lock = threading.RLock()
        self._under_way: Deadline | None = None
        self._closed = False

    def alone(self, deadline: Deadline, work: Callable[[Deadline], T]) -> T:
        """
        Return what *work* returns, which no other thread does meanwhile; it keeps to the deadline that it is given.

        Raises:
            DeadlineExceededError: Another thread was at it for all of the time; this one has sent nothing.
            ConnectFailedError: The conversation was closed.
        """
        with deadline.holding(self._lock, self._what, server=self._server):
            outermost = self._under_way is None
            within = Deadline(None, outer=deadline)
            within.seconds = deadline.seconds
            if outermost:
                self._under_way = within
            try:
                outcome = self._error() if self._closed else outcome_of(lambda: work(within))
            finally:
                if outermost:
                    self._under_way = None
        if self._closed:
            self._end()
            raise self._error()
        return raised(outcome)

    def close(self) -> None:
        """End what was opened, and the time of whoever is at it; nobody opens any more."""
        self._closed = True
        under_way = self._under_way
        if under_way is not None:
            under_way.end()
            self._interrupt()
        if self._lock.acquire(timeout=_PATIENCE):  # a callback in the middle of it may take longer
            self._lock.release()
        self._end()

    def forked(self) -> None:
        """Begin anew in a forked child."""
        self._lock = threading.RLock()
        self._under_way = None

    def _error(self) -> McpVaultError:
        return ConnectFailedError(f"{self._what}: the session was closed meanwhile", server=self._server)


class Memory:
    """
    The era of one server.

    Args:
        wanted: ``modern`` and ``legacy`` are taken as said; ``auto`` asks *verdicts*.
        verdicts: Remembers what a probe has shown, or None.
        key: What it is remembered under.

    Attributes:
        unconfirmed: The era is what was remembered, and nothing has confirmed it yet.
    """

    def __init__(self, wanted: str, verdicts: VerdictStore | None, key: str) -> None:
        self.unconfirmed = False
        self._wanted = wanted
        self._verdicts = verdicts
        self._key = key

    def recall(self) -> str:
        """Return the era to begin with, ``auto`` if nobody knows it."""
        if self._wanted != "auto" or self._verdicts is None:
            return self._wanted
        era = self._verdicts.get(self._key) or "auto"
        self.unconfirmed = era != "auto"
        return era

    def forget(self) -> None:
        """Keep nothing of what was remembered: it has just failed."""
        self.unconfirmed = False
        if self._verdicts is not None:
            self._verdicts.forget(self._key)

    def keep(self, era: str | None) -> None:
        """Let the next run begin with what a probe has shown."""
        if self._verdicts is not None and era is not None and self._wanted == "auto":
            self._verdicts.put(self._key, era)
