"""
How often this host had to use another version of a secret than the current one, during a rotation.

For people who end the old one: whether somebody still needs it. A count that cannot be written fails nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcpvault.errors import McpVaultError

if TYPE_CHECKING:
    from mcpvault.state.store import StateStore

_FILE = "fallbacks.json"
_MOST = 1000  # entries that are counted


def count(store: StateStore, server: str, rotation: str, stage: str, *, now: float) -> None:
    """Count one use of the secret at *stage* in the rotation of that id."""
    try:
        with store.lock("fallbacks", timeout=1.0):
            held = _all(store)
            mine = held.get(server)
            if not isinstance(mine, dict) or (mine.get("rotation"), mine.get("stage")) != (rotation, stage):
                mine = {"rotation": rotation, "stage": stage, "count": 0}
            held[server] = mine | {"count": _number(mine.get("count")) + 1, "last": int(now)}
            if len(held) <= _MOST:
                store.replace(_FILE, json.dumps(held, indent=0, sort_keys=True).encode())
    except McpVaultError:
        return


def counted(store: StateStore, server: str, rotation: str) -> tuple[int, int | None, str | None]:
    """Return how often in the rotation of that id, when last (Unix seconds), and the stage that was used."""
    mine = _all(store).get(server)
    if not isinstance(mine, dict) or mine.get("rotation") != rotation:
        return 0, None, None
    return _number(mine.get("count")), _number(mine.get("last")), str(mine.get("stage"))


def _all(store: StateStore) -> dict[str, Any]:
    try:
        data = store.read(_FILE)
        held = json.loads(data) if data else {}
    except (ValueError, RecursionError, McpVaultError):
        return {}
    return held if isinstance(held, dict) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
