"""
A long event stream in, requests beside it out: what ``legacy_sse`` has in the place of a child's pipes.

Decides how the stream is waited for. Leaves what the events mean to ``channel``.
"""

from __future__ import annotations

import selectors
import threading
from collections import deque

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, RemoteProtocolError, RequestLostError
from mcpvault.mcp.sse import SSEDecoder
from mcpvault.mcp.wire import HttpAnswer, HttpExchange
from mcpvault.transports.bodies import problem_of
from mcpvault.transports.outcomes import outcome_of

_SLICE = 0.25  # seconds between two looks at whether the pipe was closed
_HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


class EventPipe:
    """
    Messages both ways.

    Args:
        answer: The stream.
        server: The entry's name, for messages.
        largest: The most bytes of one event.

    Attributes:
        posts: Takes our messages; set once the stream has said where.
    """

    posts: HttpExchange

    def __init__(self, answer: HttpAnswer, *, server: str, largest: int) -> None:
        self._answer = answer
        self._server = server
        self._decoder = SSEDecoder(largest)
        self._events: deque[tuple[str, bytes]] = deque()
        self._ended = False
        self._reading = threading.Lock()

    def alive(self) -> bool:
        """Tell whether the stream goes on; an end that has come meanwhile is seen, nothing is waited for."""
        if self._reading.acquire(blocking=False):
            try:
                if not self._ended:
                    outcome_of(self._read)
            finally:
                self._reading.release()
        return not self._ended

    def first(self, kind: str, deadline: Deadline) -> bytes:
        """
        Return the data of the first event, which is to be of this *kind*.

        Raises:
            RemoteProtocolError: It is another one, or there is none.
            DeadlineExceededError: Nothing came in time.
        """
        found = self._next(deadline, f"{self._server}: opening the stream")
        if found is None or found[0] != kind:
            raise RemoteProtocolError(f"{self._server}: the stream does not begin with {kind!r}", server=self._server)
        return found[1]

    def line(self, deadline: Deadline, what: str) -> bytes | None:
        """
        Return the next message, or None at the end of the stream.

        Raises:
            DeadlineExceededError: Nothing came in time; the stream is as good as before.
        """
        while (found := self._next(deadline, what)) is not None:
            if found[0] == "message" and found[1]:
                return found[1]
        return None

    def send(self, line: bytes, deadline: Deadline) -> bool:
        """
        Post a message; False if the stream has ended, so that no answer could come.

        Raises:
            McpVaultError: The server was not reached, or does not take it.
        """
        if self._ended:
            return False
        answer = self.posts.send("POST", _HEADERS, line, deadline)
        problem = problem_of(answer, server=self._server, method="POST", accepted=True)
        answer.close()
        if problem is not None:
            raise problem
        return True

    def close(self, patience: float = 0.0) -> None:
        """End the stream; there is nothing to be patient with."""
        del patience
        if not self._ended:
            self._ended = True
            self._answer.close()

    def _next(self, deadline: Deadline, what: str) -> tuple[str, bytes] | None:
        while not self._events:
            deadline.check(what, server=self._server)
            if self._ended:
                return None
            with self._reading:
                if not self._read():
                    _wait_for(self._answer, min(deadline.remaining(), _SLICE))
        return self._events.popleft()

    def _read(self) -> bool:
        """Take what is here; tell whether anything was. The end is something."""
        chunk = outcome_of(self._answer.arrived)
        if chunk is None:
            return False
        if isinstance(chunk, McpVaultError) or not chunk:
            self.close()
            if isinstance(chunk, McpVaultError) and not isinstance(chunk, RequestLostError):
                raise chunk
            return True
        self._events += [(event.event, bytes(event.data)) for event in self._decoder.feed(chunk)]
        return True


def _wait_for(answer: HttpAnswer, seconds: float) -> None:
    descriptor = answer.fileno()
    if descriptor < 0:
        return  # closed: reading says so
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        selector.select(seconds)
