"""
The streams of a legacy server: its own requests to the client, events that can be had again, changes.

Decides where an event goes and what ``Last-Event-ID`` brings back. Leaves HTTP to ``exchange``.
"""

from __future__ import annotations

import itertools
import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

from mcpvault.testing.interactive import STEPS
from mcpvault.testing.offer import Json, text

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class Stream:
    """One event stream, and all events that were ever put into it."""

    def __init__(self, number: int) -> None:
        self.events: list[tuple[str, Json | None]] = []
        self.subscription: Any = None
        self._number = number
        self._ids = itertools.count(1)
        self._changed = threading.Condition()
        self._ended = False

    def put(self, message: Json | None) -> None:
        """Add an event; None is an empty one, which only has an id."""
        with self._changed:
            self.events.append((f"{self._number}-{next(self._ids)}", message))
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def after(self, event_id: str, closing: threading.Event) -> Iterator[tuple[str, Json | None]]:
        """Yield the events after *event_id*, and those to come until the end."""
        place = 1 + next((i for i, (each, _) in enumerate(self.events) if each == event_id), -1)
        while not closing.is_set():
            with self._changed:
                if place == len(self.events):
                    if self._ended:
                        return
                    self._changed.wait(0.05)
                fresh = self.events[place:]
            place += len(fresh)
            yield from fresh


class Streams:
    """
    All streams of a server.

    Attributes:
        agrees: Subscriptions are acknowledged.
        declines: What of a subscription's filter is not: ``"toolsListChanged"`` and the like.
        aside: Requests to the client go to the stream that GET opens, as some servers send them.
        interrupt: Every stream of a POST ends after its first event; the rest is had by ``Last-Event-ID``.
        batches: Each message comes in an array, as 2025-03-26 allowed.
        chunked: Streams are sent in HTTP chunks, instead of ending with their connection.
        ahead: The bytes of a comment that are sent right behind an event; its rest is sent before the next one.
        retry: The milliseconds that an interrupted stream asks to wait.
        subscribed: The resources that a legacy client has subscribed to.
        level: The level that ``logging/setLevel`` has set.
    """

    def __init__(self) -> None:
        self.agrees = True
        self.declines: set[str] = set()
        self.aside = False
        self.interrupt = False
        self.batches = False
        self.chunked = False
        self.ahead = 0
        self.retry = 20
        self.subscribed: set[str] = set()
        self.level = "info"
        self.standing: list[Stream] = []
        self.listening: list[tuple[Stream, Json]] = []
        self._streams: list[Stream] = []
        self._waiting: dict[str, queue.Queue[Json]] = {}
        self._ids = itertools.count(1)

    def new(self) -> Stream:
        """Begin a stream."""
        self._streams.append(Stream(len(self._streams) + 1))
        return self._streams[-1]

    def of(self, event_id: str) -> Stream | None:
        """Return the stream that an event was in."""
        return next((each for each in self._streams if any(event_id == held for held, _ in each.events)), None)

    def take(self, message: Json) -> None:
        """Take a response of the client."""
        waiting = self._waiting.get(str(message.get("id")))
        if waiting is not None:
            waiting.put(message)

    def run(self, name: str, arguments: Json, stream: Stream) -> Json:
        """Run a tool that asks, sending its requests to the client; return its result."""
        steps = STEPS[name](arguments)
        target = self.standing[-1] if self.aside and self.standing else stream
        try:
            wanted = next(steps)
            while True:
                answers = {key: self._answer(request, target) for key, request in wanted.items()}
                if any("error" in answer for answer in answers.values()):
                    return {**text(json.dumps(answers, sort_keys=True)), "isError": True}
                wanted = steps.send({key: answer["result"] for key, answer in answers.items()})
        except StopIteration as end:
            return dict(end.value)

    def _answer(self, request: Json, stream: Stream) -> Json:
        id_ = f"server-{next(self._ids)}"
        waiting = self._waiting[id_] = queue.Queue()
        stream.put({"jsonrpc": "2.0", "id": id_, **request})
        try:
            answer = waiting.get(timeout=20)
        except queue.Empty:
            return {"error": {"code": 0, "message": "no answer"}}
        return {key: each for key, each in answer.items() if key in ("result", "error")}

    def change(self, method: str, params: Json) -> None:
        """Tell everybody who listens for it that something changed."""
        plain = {"jsonrpc": "2.0", "method": method, "params": params}
        if method != "notifications/resources/updated" or params.get("uri") in self.subscribed:
            for stream in self.standing:
                stream.put(plain)
        for stream, wanted in self.listening:
            if concerns(method, params, wanted):
                meta = {"io.modelcontextprotocol/subscriptionId": stream.subscription}
                stream.put({**plain, "params": {**params, "_meta": meta}})

    def logs(self, level: str | None) -> Iterator[Json]:
        """Yield a message of every level from *level* on; none without one."""
        for each in LEVELS[LEVELS.index(level) :] if level else ():
            yield {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": each, "data": each}}


def concerns(method: str, params: Json, wanted: Json) -> bool:
    """Tell whether a subscription wants to hear of a change."""
    kind = method.split("/")[1]
    if method.endswith("list_changed"):
        return wanted.get(f"{kind}ListChanged") is True
    if method == "notifications/tasks":
        return params.get("taskId") in wanted.get("taskIds", ())
    return params.get("uri") in wanted.get("resourceSubscriptions", ())
