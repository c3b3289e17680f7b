"""Waiting for what a server or another process does, and a memory of what servers were."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Verdicts(dict[str, str]):
    """A memory of eras."""

    def put(self, key: str, era: str) -> None:
        """Remember."""
        self[key] = era

    def forget(self, key: str) -> None:
        """Forget."""
        self.pop(key, None)


def eventually(condition: Callable[[], object]) -> Any:
    """Wait for *condition*, which is the server's doing, and return it."""
    ends = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < ends
        time.sleep(0.005)
    return found
