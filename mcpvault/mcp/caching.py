"""
Results that a server allows to keep: what is still fresh, and what news make stale.

One cache belongs to one session, and so to one authorization context at a time: a new login empties it.

Spec: MCP 2026-07-28 "Caching"; T64.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable

from mcpvault.figures import finite
from mcpvault.mcp.wire import Json

_MOST = 512  # results
_LONGEST = 24 * 3600.0  # seconds
_STALE = {
    "notifications/tools/list_changed": ("tools/list",),
    "notifications/prompts/list_changed": ("prompts/list",),
    "notifications/resources/list_changed": ("resources/list", "resources/templates/list"),
}


class ResultCache:
    """Results by method and parameters, each for as long as its server said."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[tuple[str, str], tuple[float, Json]] = {}
        self._lock = threading.Lock()

    def get(self, method: str, params: Json | None) -> Json | None:
        """Return a copy of the result that is still fresh, or None."""
        with self._lock:
            ends, result = self._held.get(_key(method, params), (0.0, {}))
        return _copy(result) if self._clock() < ends else None

    def put(self, method: str, params: Json | None, result: Json) -> None:
        """Keep *result* for its ``ttlMs``; nothing without a positive one, and none that is nested too deeply."""
        ttl = finite(result.get("ttlMs"))
        if ttl is None or ttl <= 0 or (kept := _copy(result)) is None:
            return
        ends = self._clock() + min(ttl / 1000, _LONGEST)
        with self._lock:
            if len(self._held) >= _MOST:
                self._held.pop(next(iter(self._held)))
            self._held[_key(method, params)] = (ends, kept)

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


def _copy(result: Json) -> Json | None:
    """Return a copy; None where the result is nested so deeply that it could be read but not be copied."""
    try:
        return copy.deepcopy(result)
    except RecursionError:
        return None


def _key(method: str, params: Json | None) -> tuple[str, str]:
    # The metadata of a request (progress, trace) does not affect its result.
    own = {name: value for name, value in (params or {}).items() if name != "_meta"}
    return method, json.dumps(own, sort_keys=True)
