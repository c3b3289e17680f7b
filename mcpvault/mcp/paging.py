"""
Lists that come page by page: all of their items, within limits.

Spec: MCP "Pagination"; T63.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from mcpvault.errors import MessageTooLargeError, RemoteProtocolError
from mcpvault.mcp import types
from mcpvault.mcp.wire import Json

MOST_PAGES = 1_000
MOST_BYTES = 64 * 1024 * 1024  # of JSON, of all pages together, where there is more than one


def all_items(ask: Callable[[Json | None], Json], method: str, *, key: str, required: str, server: str) -> list[Json]:
    """
    Return the items of all pages of a list.

    Args:
        ask: Returns the result for the parameters of a page; None for the first one.
        method: What is asked.
        key: Where a result has the items.
        required: The member that each item must have.
        server: The entry's name, for messages.

    Raises:
        RemoteProtocolError: The pages do not end, or their cursors go in a circle.
        MessageTooLargeError: They are too large, all together.
    """
    found: list[Json] = []
    seen: set[str] = set()
    params: Json | None = None
    size = 0
    for _ in range(MOST_PAGES):
        result = ask(params)
        items = types.items(result, key, required, method=method, server=server)
        found += items
        # "an empty string is a valid cursor": only its absence ends the list (T63).
        cursor = result.get("nextCursor")
        if cursor is None:
            return found
        if not isinstance(cursor, str) or cursor in seen:
            raise RemoteProtocolError(f"{method}: the server's cursors go in a circle", server=server)
        seen.add(cursor)
        params = {"cursor": cursor}
        size += len(cursor) + _size(items)
        if size > MOST_BYTES:
            raise MessageTooLargeError(
                f"{server}: {method}: the pages have more than {MOST_BYTES} bytes, and there are more", server=server
            )
    raise RemoteProtocolError(f"{method}: more than {MOST_PAGES} pages", server=server)


def _size(items: list[Json]) -> int:
    try:
        return len(json.dumps(items))
    except RecursionError:  # it could be read, but not be written
        return MOST_BYTES
