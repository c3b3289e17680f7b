"""
What is known of a server's era before it is asked: what the entry says, or what an earlier run has found.

Decides what is kept for the next run. Leaves finding out, and doubting, to the transport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcpvault.mcp.wire import VerdictStore


class Memory:
    """
    The era of one server.

    Args:
        wanted: ``modern`` and ``legacy`` are taken as said; ``auto`` asks *verdicts*.
        verdicts: Remembers what a probe has shown, or None.
        key: What it is remembered under.

    Attributes:
        unconfirmed: The era is what was remembered, and nothing has confirmed it yet.
    """

    def __init__(self, wanted: str, verdicts: VerdictStore | None, key: str) -> None:
        self.unconfirmed = False
        self._wanted = wanted
        self._verdicts = verdicts
        self._key = key

    def recall(self) -> str:
        """Return the era to begin with, ``auto`` if nobody knows it."""
        if self._wanted != "auto" or self._verdicts is None:
            return self._wanted
        era = self._verdicts.get(self._key) or "auto"
        self.unconfirmed = era != "auto"
        return era

    def forget(self) -> None:
        """Keep nothing of what was remembered: it has just failed."""
        self.unconfirmed = False
        if self._verdicts is not None:
            self._verdicts.forget(self._key)

    def keep(self, era: str | None) -> None:
        """Let the next run begin with what a probe has shown."""
        if self._verdicts is not None and era is not None and self._wanted == "auto":
            self._verdicts.put(self._key, era)
