"""The table of misbehaviours, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcpvault.testing.exchange import Exchange

Behaviour = Callable[..., None]
BEHAVIOURS: dict[str, Behaviour] = {}

STREAM = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}


def behaviour(function: Behaviour) -> Behaviour:
    """Register *function* under its name, with hyphens."""
    BEHAVIOURS[function.__name__.replace("_", "-")] = function
    return function


def proper_answer(x: Exchange) -> dict[str, Any]:
    """Return what a well-behaved server would say; an empty result where it would say nothing."""
    return dict(x.proper or {"jsonrpc": "2.0", "id": x.message.get("id"), "result": {}})
