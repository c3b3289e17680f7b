"""
Results that a server allows to keep: what is still fresh, and what news make stale.

One cache belongs to one session, and so to one authorization context at a time: a new login empties it.

Spec: MCP 2026-07-28 "Caching"; T64.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mcpvault.figures import finite

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Json

_MOST = 512  # results
_MOST_BYTES = 16 * 1024 * 1024  # of JSON, of all of them; one alone may have a quarter
_LONGEST = 24 * 3600.0  # seconds
_STALE = {
    "notifications/tools/list_changed": ("tools/list",),
    "notifications/prompts/list_changed": ("prompts/list",),
    "notifications/resources/list_changed": ("resources/list", "resources/templates/list"),
}


class ResultCache:
    """Results by method and parameters, each as JSON text, for as long as its server said."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[tuple[str, str], tuple[float, str]] = {}
        self._lock = threading.Lock()

    def get(self, method: str, params: Json | None) -> Json | None:
        """Return a copy of the result that is still fresh, or None."""
        with self._lock:
            ends, text = self._held.get(_key(method, params), (0.0, ""))
        if self._clock() >= ends:
            return None
        result: Json = json.loads(text)
        return result

    def put(self, method: str, params: Json | None, result: Json) -> None:
        """Keep *result* for its ``ttlMs``; nothing without a positive one, and none that is too deep or too large."""
        ttl = finite(result.get("ttlMs"))
        if ttl is None or ttl <= 0 or (text := _text(result)) is None or len(text) > _MOST_BYTES // 4:
            return
        ends = self._clock() + min(ttl / 1000, _LONGEST)
        with self._lock:
            self._held.pop(_key(method, params), None)
            left = _MOST_BYTES - len(text) - sum(len(kept) for _, kept in self._held.values())
            while self._held and (left < 0 or len(self._held) >= _MOST):
                left += len(self._held.pop(next(iter(self._held)))[1])
            self._held[_key(method, params)] = (ends, text)

    def heard(self, method: str, params: Json) -> None:
        """Forget what a notification makes stale."""
        stale = _STALE.get(method, ())
        if method == "notifications/resources/updated":
            with self._lock:
                self._held.pop(_key("resources/read", {"uri": params.get("uri")}), None)
        elif stale:
            self.forget(*stale)

    def forget(self, *methods: str) -> None:
        """Forget the results of *methods*, all pages of them; without any, everything."""
        with self._lock:
            self._held = {key: kept for key, kept in self._held.items() if methods and key[0] not in methods}


def _text(result: Json) -> str | None:
    """Return *result* as JSON; None where it is nested so deeply that it could be read but not be written."""
    try:
        return json.dumps(result)
    except (RecursionError, ValueError):
        return None


def _key(method: str, params: Json | None) -> tuple[str, str]:
    # The metadata of a request (progress, trace) does not affect its result.
    own = {name: value for name, value in (params or {}).items() if name != "_meta"}
    return method, json.dumps(own, sort_keys=True)
