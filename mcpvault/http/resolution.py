"""
Name resolution within a time limit.

The operating system's resolver cannot be told how long it may take: where no name
server answers, it is half a minute. It runs in a thread of its own here, and whoever asked
leaves when the time is over. Threads that ask for the same name wait for one resolver;
at most one per name is left behind.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

_lookups: dict[tuple[int, str, int], _Lookup] = {}  # by process: a thread does not survive a fork


class Unresolved(TimeoutError):
    """The resolver has not answered in time."""


class _Lookup(threading.Thread):
    """One question to the resolver; when ``ended`` is set, ``found`` or ``error`` is there."""

    def __init__(self, key: tuple[int, str, int]) -> None:
        super().__init__(daemon=True, name="mcpvault-resolution")
        self.ended = threading.Event()
        self.found: list[Any] = []
        self.error: Exception | None = None
        self._key = key

    def run(self) -> None:
        _, host, port = self._key
        try:
            self.found = _ask(host, port)
        except (OSError, UnicodeError) as e:
            self.error = e.with_traceback(None)
        finally:
            _lookups.pop(self._key, None)
            self.ended.set()


def resolve(host: str, port: int, seconds: float) -> list[Any]:
    """
    Return what ``socket.getaddrinfo`` returns for a stream.

    Args:
        host: A name.
        port: The port, given back in every address.
        seconds: How long the resolver may take.

    Raises:
        Unresolved: It took longer.
        OSError: There is no such name, or nobody to ask.
        UnicodeError: The text cannot be a name.
    """
    key = (os.getpid(), host, port)
    lookup = _lookups.get(key)
    if lookup is None:
        lookup = _lookups[key] = _Lookup(key)
        try:
            lookup.start()
        except RuntimeError:  # no more threads, or the interpreter is ending
            del _lookups[key]
            return _ask(host, port)
    if not lookup.ended.wait(seconds):
        raise Unresolved
    if (error := lookup.error) is not None:
        raise type(error)(*error.args)  # each thread its own: a traceback grows where it is raised
    return lookup.found


def _ask(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
