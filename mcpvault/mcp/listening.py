"""
Listening for changes as a blocking iterator, in both eras.

Decides what is asked for, what counts as a change, and when to listen again. Leaves streams to the transport.

Spec: MCP 2026-07-28 "Subscriptions"; 2025-11-25 resource subscriptions and list changes.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    ConnectFailedError,
    DeadlineExceededError,
    McpVaultError,
    RequestLostError,
    ServerUnavailableError,
    UsageError,
)
from mcpvault.mcp.wire import Json
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.mcp.session import Session

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
_LISTS = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
_UPDATED, _TASKS = "notifications/resources/updated", "notifications/tasks"
_BROKEN = (RequestLostError, ConnectFailedError, ServerUnavailableError)
_MOST_FAILURES = 5  # in a row
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0  # seconds
_GOODBYE = 2.0  # seconds for the unsubscriptions at a legacy server


class Change(Record):
    """
    Something changed.

    Args:
        method: The notification's method.
        params: Its parameters: ``uri`` of a resource, all of a task.
        missed: The stream had broken off, so that it may have changed; the server did not say so.
    """

    method: str
    params: Json
    missed: bool = False

    @property
    def uri(self) -> str | None:
        """The resource that changed, or None."""
        found = self.params.get("uri")
        return found if isinstance(found, str) else None


def wanted(uris: Sequence[str], *, tools: bool, prompts: bool, resources: bool, tasks: Sequence[str]) -> Json:
    """
    Return the filter of a subscription.

    Raises:
        UsageError: Nothing is wanted.
    """
    lists = {"toolsListChanged": tools, "promptsListChanged": prompts, "resourcesListChanged": resources}
    found: Json = {key: True for key, want in lists.items() if want}
    if uris:
        found["resourceSubscriptions"] = [*uris]
    if tasks:
        found["taskIds"] = [*tasks]
    if not found:
        raise UsageError("listen: nothing to listen for", hint="name resources, or pass tools=True and the like")
    return found


class Listening:
    """
    An iterator over changes. It has begun when it is returned: the server has agreed.

    Attributes:
        acknowledged: The part of the filter that the server agreed to.
    """

    def __init__(self, session: Session, asked: Json, deadline: Deadline, *, reconnect: bool) -> None:
        self.acknowledged: Json = {}
        self._session = session
        self._asked = asked
        self._deadline = deadline
        self._beginning = deadline  # until the server has agreed, the session's time counts as well
        self._reconnect = reconnect
        self._subscribed: list[str] = []
        self._changes = self._follow()
        next(self._changes, None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        change = next(self._changes)
        assert change is not None  # noqa: S101  # only the first is, and it is taken
        return change

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def declined(self) -> list[str]:
        """What the server did not agree to: ``tools``, ``prompts``, ``resources``, URIs of resources, ids of tasks."""
        agreed = self.acknowledged
        lists = [key for key in _LISTS if key in self._asked and agreed.get(key) is not True]
        named = [
            each
            for key in ("resourceSubscriptions", "taskIds")
            for each in self._asked.get(key, ())
            if each not in _texts(agreed.get(key))
        ]
        return [*(key.removesuffix("ListChanged") for key in lists), *named]

    def close(self) -> None:
        """Stop listening."""
        self._changes.close()

    def _follow(self) -> Generator[Change | None, None, None]:
        """Yield None when the server has agreed for the first time, then each change."""
        failures, begun = 0, False
        try:
            while True:
                broken: McpVaultError
                agreed = False
                try:
                    for message in self._stream():
                        if message["method"] == ACKNOWLEDGED:
                            self._agree(message)
                            failures, agreed = 0, True
                            yield from [None] if not begun else self._missed()
                            begun = True
                        elif (change := self._taken(message)) is not None:
                            yield change
                    return
                except DeadlineExceededError as error:
                    if self._deadline.expired() and begun:
                        return
                    broken = error.with_traceback(None)
                    failures += not agreed
                except _BROKEN as error:
                    broken = error.with_traceback(None)
                    failures += 1
                if failures > _MOST_FAILURES or not begun or not self._reconnect:
                    raise broken
                if failures and not self._paused(min(_FIRST_PAUSE * 2**failures, _LONGEST_PAUSE)):
                    return
        finally:
            self._unsubscribe()

    def _paused(self, seconds: float) -> bool:
        try:
            self._deadline.pause(seconds)
        except DeadlineExceededError:
            return False
        return True

    def _stream(self) -> Generator[Json, None, None]:
        session = self._session
        opening = session._deadline(None)
        self._beginning = Deadline(opening.remaining(), outer=self._deadline)
        session._open(opening)
        if session.era == "legacy":
            for uri in self._asked.get("resourceSubscriptions", ()):
                session._request("resources/subscribe", {"uri": uri}, opening)
                self._subscribed.append(uri)
        meta = {"_meta": session._client.with_tasks()} if "taskIds" in self._asked else {}
        yield from session._transport.listen({"notifications": self._asked, **meta}, self._beginning)

    def _agree(self, message: Json) -> None:
        self._beginning.lift()
        params = message.get("params")
        told = params.get("notifications") if isinstance(params, dict) else None
        if self._session.era == "legacy":
            self.acknowledged = {key: value for key, value in self._asked.items() if key != "taskIds"}
        else:
            self.acknowledged = told if isinstance(told, dict) else {}

    def _missed(self) -> list[Change]:
        lists = [Change(method, {}, True) for key, method in _LISTS.items() if self.acknowledged.get(key)]
        uris = _texts(self.acknowledged.get("resourceSubscriptions"))
        missed = [*lists, *(Change(_UPDATED, {"uri": uri}, True) for uri in uris)]
        for change in missed:
            self._session._hear(change.method, change.params)
        return missed

    def _taken(self, message: Json) -> Change | None:
        """Let the session hear a notification, and return it if it is one that was asked for."""
        method = message["method"]
        params = message.get("params")
        params = {name: held for name, held in params.items() if name != "_meta"} if isinstance(params, dict) else {}
        self._session._hear(method, params)
        named = {_LISTS[key] for key in self._asked if key in _LISTS}
        wants = method in named or (method == _UPDATED and "resourceSubscriptions" in self._asked)
        return Change(method, params) if wants or (method == _TASKS and "taskIds" in self._asked) else None

    def _unsubscribe(self) -> None:
        deadline = Deadline(_GOODBYE)
        while self._subscribed and self._session.era == "legacy":
            try:
                self._session._request("resources/unsubscribe", {"uri": self._subscribed.pop()}, deadline)
            except McpVaultError:
                return


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
