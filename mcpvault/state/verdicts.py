"""
Era verdicts: which era a server spoke last, so that a cron run need not ask again.

A cache: whatever is wrong with the file, the answer is "unknown" and nothing fails.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcpvault.errors import McpVaultError

if TYPE_CHECKING:
    from mcpvault.state.store import StateStore

_FILE = "eras.json"
_MOST = 10_000


class FileVerdicts:
    """The verdicts in ``eras.json``: key (origin and path, or command) to era."""

    def __init__(self, directory: StateStore) -> None:
        self._directory = directory

    def _all(self) -> dict[str, Any]:
        try:
            data = self._directory.read(_FILE)
            held = json.loads(data) if data else {}
        except (ValueError, RecursionError, McpVaultError):
            return {}
        return held if isinstance(held, dict) else {}

    def get(self, key: str) -> str | None:
        """Return the era remembered for *key*, or None."""
        era = self._all().get(key)
        return era if isinstance(era, str) else None

    def put(self, key: str, era: str) -> None:
        """Remember *era* for *key*; nothing is written if it is known already."""
        if self.get(key) != era:
            self._write(key, era)

    def forget(self, key: str) -> None:
        """Forget *key*: what was remembered has just failed."""
        if self.get(key) is not None:
            self._write(key, None)

    def _write(self, key: str, era: str | None) -> None:
        try:
            with self._directory.lock("eras", timeout=1.0):
                held = {name: value for name, value in self._all().items() if name != key}
                if era is not None and len(held) < _MOST:
                    held[key] = era
                self._directory.replace(_FILE, json.dumps(held, indent=0, sort_keys=True).encode())
        except McpVaultError:
            return  # a cache that cannot be written costs a round trip, no more
