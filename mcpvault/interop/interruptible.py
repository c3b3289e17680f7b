"""
HTTP requests that another thread can call off.

A request waits in small steps, and is cut off where somebody said so: what the transport does about Ctrl-C, closing
the stream or telling the server, it does then as well.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Callable, Mapping

from mcpvault.deadline import Deadline
from mcpvault.mcp.wire import HttpAnswer, HttpExchange, Meanwhile, Readable

_SLICE = 0.1  # seconds


class CalledOff(BaseException):
    """The request was called off. No ``Exception``: nobody on the way is to take it for a failure of the network."""


class Interruptible:
    """
    An ``HttpExchange`` whose requests end when the event of their thread is set.

    Args:
        exchange: Sends.
        mine: Where each thread finds its event; shared with the exchanges for other URLs of the same origin.
    """

    def __init__(self, exchange: HttpExchange, mine: threading.local | None = None) -> None:
        self.url = exchange.url
        self._exchange = exchange
        self._mine = mine or threading.local()

    def obey(self, called_off: threading.Event | None) -> None:
        """Let the requests of this thread end when *called_off* is set."""
        self._mine.event = called_off

    def send(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes | Callable[[], bytes] | None,
        deadline: Deadline,
        *,
        safe: bool = False,
        meanwhile: Meanwhile | None = None,
    ) -> HttpAnswer:
        """Send one request and return its answer; raises ``CalledOff`` beside what the exchange raises."""
        event: threading.Event | None = getattr(self._mine, "event", None)
        if event is None or event.is_set():  # what follows a call-off is the word to the server about it
            return self._exchange.send(method, headers, body, deadline, safe=safe, meanwhile=meanwhile)
        return self._exchange.send(
            method, headers, body, deadline, safe=safe, meanwhile=_watching(event, meanwhile or _wait)
        )

    def interrupt(self) -> None:
        """Wake whoever waits for an answer, in any thread, so that it looks at its deadline."""
        self._exchange.interrupt()

    def at(self, url: str) -> Interruptible:
        """Return the exchange with another URL of the same origin, on the same connections."""
        return Interruptible(self._exchange.at(url), self._mine)

    def close(self) -> None:
        """Close every connection."""
        self._exchange.close()


def _watching(event: threading.Event, wait: Meanwhile) -> Meanwhile:
    def waited(source: Readable, seconds: float | None) -> bool:
        ends = None if seconds is None else time.monotonic() + seconds
        while True:
            if event.is_set():
                raise CalledOff
            left = _SLICE if ends is None else min(_SLICE, ends - time.monotonic())
            if left <= 0:
                return False
            if wait(source, left):
                return True

    return waited


def _wait(source: Readable, seconds: float | None) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(source.fileno(), selectors.EVENT_READ)
        return bool(selector.select(seconds))
