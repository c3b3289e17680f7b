"""
One thread at a time opens a conversation, and none any more once it is closed.

Decides how long anybody waits for another thread's opening. Leaves opening to the transport.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from mcpvault.deadline import Deadline
from mcpvault.errors import ConnectFailedError, McpVaultError
from mcpvault.transports.outcomes import outcome_of, raised

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
