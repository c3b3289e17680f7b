"""
Errors without the frames that they came through.

A transport's frames hold what a server said, and a server may say back what it was
sent: no traceback of ours may show that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mcpvault.errors import McpVaultError

T = TypeVar("T")


def outcome_of(work: Callable[[], T]) -> T | McpVaultError:
    """Do *work* and return its result, or its error to be raised afresh."""
    try:
        return work()
    except McpVaultError as error:
        return error.with_traceback(None)


def raised(outcome: T | McpVaultError) -> T:
    """Return an outcome's result, or raise its error."""
    if isinstance(outcome, McpVaultError):
        raise outcome
    return outcome
