"""
The stream on which a legacy server speaks by itself, read while a call waits for its own answer.

Some servers ask for input there and not on the stream of the call. A call and this stream are waited
for together, in the caller's thread, so that a question can be answered before the answer comes.

Spec: MCP 2025-11-25 "Listening for Messages from the Server", "Resumability and Redelivery".
"""

from __future__ import annotations

import math
import selectors
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, RemoteProtocolError, RequestLostError
from mcpvault.mcp import era as eras
from mcpvault.mcp import jsonrpc
from mcpvault.mcp.sse import SSEDecoder
from mcpvault.mcp.wire import HttpAnswer, Json, Meanwhile, Notify, Readable
from mcpvault.transports.outcomes import outcome_of

if TYPE_CHECKING:
    from mcpvault.transports.endpoint import Endpoint

_OPENING = 3.0  # seconds for the head of the stream
_SLICE = 0.25  # seconds between two looks at whether the stream is free, or due to be opened again
_RECONNECTION_TIME = 1.0  # seconds, where the server names none
_MOST_FAILURES = 3  # in a row: nothing came before it ended
_MOST_UNREAD = 1_000  # changes for somebody who listens and does not read


class Stopped(BaseException):
    """A callback failed in the middle of a receive; what reads from sockets must not take its error for its own."""

    def __init__(self, reason: BaseException) -> None:
        super().__init__()
        self.reason = reason


class SideStream:
    """The stream that GET opens; opened when it is first waited for, and again when it ends."""

    def __init__(self, endpoint: Endpoint, *, server: str, largest: int) -> None:
        self._endpoint = endpoint
        self._server = server
        self._largest = largest
        self._answer: HttpAnswer | None = None
        self._decoder = SSEDecoder(largest)
        self._due = 0.0  # when it may be opened
        self._failures = 0
        self._listening = 0
        self._unread: deque[Json] = deque(maxlen=_MOST_UNREAD)
        self._lock = threading.Lock()  # one thread reads at a time

    def close(self) -> None:
        """Be done with the stream."""
        self._due = math.inf
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    def during(self, on_notification: Notify | None, deadline: Deadline) -> Meanwhile:
        """Return what waits for the socket of a call and takes what comes on this stream meanwhile."""

        def wait(socket: Readable, seconds: float | None) -> bool:
            ends = math.inf if seconds is None else time.monotonic() + seconds
            while (left := ends - time.monotonic()) > 0:
                came, messages = self._wait(socket, min(left, _SLICE), deadline)
                for message in messages:
                    self._handle(message, on_notification, deadline)
                if came:
                    return True
            return False

        # It is open before the server has anything to ask.
        with self._lock:
            self._open_if_due(deadline)
        return wait

    def listen(self, deadline: Deadline) -> Iterator[Json]:
        """
        Yield the notifications that come; the first message is ours, the acknowledgement a modern server would send.

        Raises:
            RemoteProtocolError: There is no such stream.
            RequestLostError: It ended for good.
            DeadlineExceededError: The time is over.
        """
        with self._lock:
            self._open_if_due(deadline)
        if self._answer is None:
            raise RemoteProtocolError(
                f"{self._server}: the server offers no stream to listen to",
                hint="ask it again from time to time",
                server=self._server,
            )
        self._listening += 1
        try:
            yield {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged"}
            while self._answer is not None or self._due < math.inf:
                deadline.check(f"{self._server}: listening", server=self._server)
                while self._unread:
                    yield self._unread.popleft()
                _, messages = self._wait(None, min(deadline.remaining(), _SLICE), deadline)
                for message in messages:
                    if "id" in message:
                        self._endpoint.hear(message, None, deadline)
                    elif isinstance(message.get("method"), str):
                        yield message
        finally:
            self._listening -= 1
        raise RequestLostError(f"{self._server}: listening: the stream ended", server=self._server)

    def _handle(self, message: Json, on_notification: Notify | None, deadline: Deadline) -> None:
        changes = str(message.get("method")).endswith(("list_changed", "/updated"))
        if self._listening and changes and "id" not in message:
            self._unread.append(message)
            return
        try:
            self._endpoint.hear(message, on_notification, deadline)
        except BaseException as error:
            reason = error
        else:
            return
        raise Stopped(reason)

    def _wait(self, socket: Readable | None, seconds: float, deadline: Deadline) -> tuple[bool, list[Json]]:
        """Take what is here, or wait a while for that and for *socket*; tell whether anything came, and what was."""
        if not self._lock.acquire(blocking=False):
            return _ready(seconds, socket), []
        try:
            self._open_if_due(deadline)
            messages = self._take()
            return (True, messages) if messages is not None else (_ready(seconds, socket, self._answer), [])
        finally:
            self._lock.release()

    def _open_if_due(self, deadline: Deadline) -> None:
        if self._answer is not None or time.monotonic() < self._due:
            return
        outcome = outcome_of(lambda: self._endpoint.stream(self._decoder.last_event_id, deadline.within(_OPENING)))
        if isinstance(outcome, McpVaultError):
            self._broke()
        elif outcome is None:
            self._due = math.inf  # it offers none
        else:
            self._answer = outcome

    def _take(self) -> list[Json] | None:
        """
        Return the messages that are here, None where nothing is.

        It waits for nothing: a piece may end anywhere, and a call's own answer must not be late for the rest of it.
        The end of the stream is no error, it is opened again later.
        """
        answer = self._answer
        chunk = outcome_of(answer.arrived) if answer is not None else None
        if chunk is None:
            return None
        if isinstance(chunk, McpVaultError) or not chunk:
            self._broke()
            return None
        begun = self._decoder.last_event_id
        found: list[Json] = []
        for event in self._decoder.feed(chunk):
            if event.data and event.event == "message":
                found += jsonrpc.messages(event.data, batches=self._endpoint.settled.version in eras.BATCHES)
        if found or self._decoder.last_event_id != begun:
            self._failures = 0
        return found

    def _broke(self) -> None:
        self._failures += 1
        waiting = self._decoder.reconnection_time
        seconds = _RECONNECTION_TIME if waiting is None else waiting / 1000
        self._due = math.inf if self._failures >= _MOST_FAILURES else time.monotonic() + seconds
        last = self._decoder.last_event_id
        self._decoder = SSEDecoder(self._largest, last_event_id=last)
        self._decoder.reconnection_time = waiting
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()


def _ready(seconds: float, *sources: Readable | None) -> bool:
    """Wait until one of *sources* can be read; tell whether one can."""
    with selectors.DefaultSelector() as selector:
        for source in sources:
            if source is not None and source.fileno() >= 0:
                selector.register(source.fileno(), selectors.EVENT_READ)
        return bool(selector.select(seconds))
