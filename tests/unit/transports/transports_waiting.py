"""Waiting for what a server or another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(condition: Callable[[], object]) -> Any:
    """Wait for *condition*, which is the server's doing, and return it."""
    ends = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < ends
        time.sleep(0.005)
    return found
