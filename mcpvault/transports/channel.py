"""
One running stdio server: requests out, each answer to whoever asked, and what is heard in between.

Decides what a line that is no message means, and how a request is cancelled. Leaves the era to
``stdio``, and the process to ``pipes``.

Spec: MCP 2026-07-28 and 2025-11-25 "stdio"; S3, S4, S12.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from functools import partial
from typing import Generic, Protocol, TypeVar

from mcpvault.deadline import Deadline
from mcpvault.errors import DeadlineExceededError, McpVaultError
from mcpvault.mcp import era as eras
from mcpvault.mcp import jsonrpc
from mcpvault.mcp.callbacks import ClientSide
from mcpvault.mcp.wire import Json, Notify
from mcpvault.transports.mailbox import Mailbox, Waiter
from mcpvault.transports.outcomes import outcome_of

_STRAY_LINES = 1_000  # lines on stdout that are no messages, one after the other, before we give up
_ASIDE = 0.5  # seconds for a cancellation, when the time is over already
_IDS = itertools.count(1)  # never the same again, whichever process they go to


def new_id() -> int:
    """Return the id of a new request."""
    return next(_IDS)


class Carrier(Protocol):
    """What carries messages both ways: the pipes of a child, or a stream and what is posted beside it."""

    def alive(self) -> bool:
        """Tell whether an answer could still come."""

    def send(self, line: bytes, deadline: Deadline) -> bool:
        """Send a message; False if the other side is gone."""

    def line(self, deadline: Deadline, what: str) -> bytes | None:
        """Return the next message, or None at the end."""

    def close(self, patience: float = ...) -> None:
        """End it."""


C = TypeVar("C", bound=Carrier)


class Channel(Generic[C]):
    """
    The conversation with one process, or over one long stream.

    Args:
        child: The process, or what stands for it.
        server: The entry's name, for messages.
        client: Our side, which answers what a legacy server asks.

    Attributes:
        era: ``modern`` or ``legacy`` once it is known.
        version: The revision, once it is known.
    """

    def __init__(self, child: C, *, server: str, client: ClientSide) -> None:
        self.child = child
        self.era: str | None = None
        self.version: str | None = None
        self._server = server
        self._client = client
        self._mailbox = Mailbox(self._receive)

    def ask(
        self,
        id_: int,
        method: str,
        params: Json | None,
        deadline: Deadline,
        on_notification: Notify | None = None,
        *,
        late: int | None = None,
        cancels: bool = True,
    ) -> Json | None:
        """
        Send a request and return its answer's message, or None if the process ended before it came.

        Args:
            id_: The request's.
            method: Its method.
            params: All of its parameters.
            deadline: For all of it.
            on_notification: Takes what is heard in between.
            late: Another request's id; its answer is returned too, if it comes first.
            cancels: A request that is given up is cancelled.
        """
        own = (params or {}).get("_meta")
        ids = (id_,) if late is None else (id_, late)
        waiter = self._mailbox.expect(Waiter(ids, own.get("progressToken") if own else None))
        try:
            if not self.child.send(jsonrpc.request(id_, method, params), deadline):
                return None
            return self._answer(waiter, method, deadline, on_notification)
        except McpVaultError as error:
            if cancels and isinstance(error, DeadlineExceededError):
                self._cancel(id_)
            raise
        except BaseException:  # Ctrl-C, or a callback that failed
            if cancels:
                self._cancel(id_)
            raise
        finally:
            self._mailbox.forget(waiter)

    def await_answer(self, id_: int, method: str, deadline: Deadline) -> Json | None:
        """Return the answer to a request that was sent before."""
        waiter = self._mailbox.expect(Waiter((id_,)))
        try:
            return self._answer(waiter, method, deadline, None)
        finally:
            self._mailbox.forget(waiter)

    def listen(self, params: Json, deadline: Deadline) -> Generator[Json, None, bool]:
        """
        Yield the notifications of a subscription (legacy: every change); return whether the server ended it properly.

        A legacy server acknowledges nothing: the first message is ours.
        """
        id_ = new_id()
        modern = self.era == "modern"
        waiter = self._mailbox.expect(Waiter((id_,), listens="subscription" if modern else "all"))
        ended = not modern
        try:
            if not modern:
                yield {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged"}
            elif not self.child.send(jsonrpc.request(id_, "subscriptions/listen", params), deadline):
                return False
            while (message := self._next(waiter, "listening", deadline)) is not None:
                if jsonrpc.is_response(message):
                    ended = True
                    jsonrpc.result_of(message, "subscriptions/listen", params, server=self._server)
                    return True
                if message["method"] == "notifications/cancelled":
                    ended = True
                    return True
                if "id" in message:
                    self._heard(message, None, deadline)
                else:
                    yield message
            ended = True
            return False
        finally:
            self._mailbox.forget(waiter)
            if not ended:
                self._cancel(id_)

    def notify(self, body: bytes, deadline: Deadline) -> None:
        """Send a notification."""
        self.child.send(body, deadline)

    def _answer(self, waiter: Waiter, method: str, deadline: Deadline, on_notification: Notify | None) -> Json | None:
        while (message := self._next(waiter, method, deadline)) is not None:
            if jsonrpc.is_response(message):
                return message
            self._heard(message, on_notification, deadline)
        return None

    def _next(self, waiter: Waiter, method: str, deadline: Deadline) -> Json | None:
        return self._mailbox.next(waiter, deadline, f"{self._server}: {method}", server=self._server)

    def _receive(self, deadline: Deadline, what: str) -> list[Json] | None:
        strays = 0
        while (line := self.child.line(deadline, what)) is not None:
            if not line.strip():
                continue
            messages = outcome_of(partial(jsonrpc.read, line, batches=self.version in eras.BATCHES))
            if not isinstance(messages, McpVaultError):
                return messages
            strays += 1  # a banner, or a print that was forgotten (S12)
            if strays > _STRAY_LINES or b'"jsonrpc"' in line:
                raise messages
        return None

    def _heard(self, message: Json, on_notification: Notify | None, deadline: Deadline) -> None:
        method = message.get("method")
        if not isinstance(method, str):
            return
        if "id" not in message:
            facts = message.get("params")
            if on_notification is not None:
                on_notification(method, facts if isinstance(facts, dict) else {})
        elif self.era != "modern":
            self.child.send(self._client.reply(message), deadline)

    def _cancel(self, id_: int) -> None:
        told = outcome_of(lambda: self.child.send(jsonrpc.cancelled(id_, "gave up"), Deadline(_ASIDE)))
        if told is not True:
            self.child.close(patience=_ASIDE)  # gone, or it does not read
