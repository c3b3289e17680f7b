"""
One stream of messages, many who wait for them: whoever waits reads, and hands the others theirs.

Decides which message is whose. Starts no thread: of the threads that wait, one reads at a time.

Spec: MCP 2026-07-28 "stdio", "Subscriptions"; JSON-RPC 2.0 §5; S3.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection

from mcpvault.deadline import Deadline
from mcpvault.mcp import era as eras
from mcpvault.mcp import jsonrpc
from mcpvault.mcp.wire import Json

_MOST_UNREAD = 1_000  # notifications for somebody who does not read them
_MOMENT = 1.0  # seconds between two looks at the clock

Receive = Callable[[Deadline, str], "list[Json] | None"]


class Waiter:
    """
    Somebody who waits.

    Args:
        ids: Of the requests whose answers are waited for.
        token: The progress token of the request, or None.
        listens: ``False``, ``"subscription"`` (to what carries the id) or ``"all"`` (a legacy server's changes).
    """

    __slots__ = ("ids", "listens", "mail", "token")

    def __init__(self, ids: Collection[int], token: object = None, listens: str | bool = False) -> None:
        self.ids = ids
        self.token = token
        self.listens = listens
        self.mail: deque[Json] = deque()


class Mailbox:
    """
    The messages of one stream.

    Args:
        receive: Blocks until there are messages, and returns them; None at the end of the stream.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._changed = threading.Condition()
        self._waiting: list[Waiter] = []
        self._unclaimed: deque[Json] = deque()
        self._reading = False
        self._ended = False

    def expect(self, waiter: Waiter) -> Waiter:
        """Keep what is for *waiter* from now on."""
        with self._changed:
            self._waiting.append(waiter)
        return waiter

    def forget(self, waiter: Waiter) -> None:
        """Keep nothing more for *waiter*; what it has not read and what was for anybody is for the next one."""
        with self._changed:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if not waiter.listens:
                self._unclaimed += [message for message in waiter.mail if "method" in message]

    def next(self, waiter: Waiter, deadline: Deadline, what: str, *, server: str) -> Json | None:
        """
        Return the next message for *waiter*, or None when the stream has ended.

        Raises:
            DeadlineExceededError: None came in time.
            McpVaultError: What came is no message.
        """
        while True:
            with self._changed:
                while self._unclaimed:
                    waiter.mail.append(self._unclaimed.popleft())
                while not waiter.mail:
                    if self._ended:
                        return None
                    if not self._reading:
                        self._reading = True
                        break
                    self._changed.wait(min(deadline.remaining(), _MOMENT))
                    deadline.check(what, server=server)
                else:
                    return waiter.mail.popleft()
            messages: list[Json] | None = []
            try:
                messages = self._receive(deadline, what)
            finally:
                with self._changed:
                    self._reading = False
                    self._ended = messages is None
                    for message in messages or ():
                        self._deliver(message, waiter)
                    self._changed.notify_all()

    def _deliver(self, message: Json, reader: Waiter) -> None:
        """Put *message* to whom it is for; the one who read takes what is for nobody in particular."""
        if jsonrpc.is_response(message):
            for waiter in self._waiting:
                if any(jsonrpc.answers(message, id_) for id_ in waiter.ids):
                    waiter.mail.append(message)
                    return
            # "If there was an error in detecting the id in the Request object, it MUST be Null."
            if message.get("id") is None and message.get("error") is not None:
                asking = [waiter for waiter in self._waiting if not waiter.listens] or self._waiting
                if len(asking) == 1:
                    asking[0].mail.append(message)
                else:  # it may be anybody's: another's request must not be taken for refused
                    logging.getLogger("mcpvault").warning("an error that names no request, with %d open", len(asking))
            return
        addressees = self._addressees(message) if "id" not in message else []
        if not addressees:
            reader.mail.append(message)
        for waiter in addressees:
            # Changes that nobody has read yet are told once.
            if len(waiter.mail) < _MOST_UNREAD and not (waiter.listens and message in waiter.mail):
                waiter.mail.append(message)

    def _addressees(self, message: Json) -> list[Waiter]:
        params = message.get("params")
        if not isinstance(params, dict):
            params = {}
        meta = params.get("_meta")
        method = message.get("method")
        if isinstance(meta, dict) and eras.META_SUBSCRIPTION in meta:
            return [waiter for waiter in self._waiting if waiter.listens and meta[eras.META_SUBSCRIPTION] in waiter.ids]
        if method == "notifications/cancelled":
            return [waiter for waiter in self._waiting if waiter.listens and params.get("requestId") in waiter.ids]
        if method == "notifications/progress":
            token = params.get("progressToken")
            return [waiter for waiter in self._waiting if token is not None and waiter.token == token]
        if isinstance(method, str) and method.endswith(("list_changed", "/updated")):
            return [waiter for waiter in self._waiting if waiter.listens == "all"]
        return []
