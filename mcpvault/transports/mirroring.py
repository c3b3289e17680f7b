"""
The tools of one server whose arguments are mirrored into headers, as its lists have told.

Decides which tools are dropped from a list. Leaves what is a valid annotation to ``mcp.param_headers``.

Spec: MCP 2026-07-28 "Custom Headers from Tool Parameters"; T7, T9, T12.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcpvault.errors import RemoteProtocolError
from mcpvault.mcp.param_headers import Mirrored, annotations_of, headers_for
from mcpvault.quoting import quote

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.mcp.wire import Json, Notify
    from mcpvault.transports.endpoint import Endpoint, Settled

_MOST_PAGES = 1_000


class Mirrors:
    """
    Which arguments of which tool are mirrored, and which tools cannot be called.

    Args:
        server: The entry's name.
        edition: Of the server's tools when they were asked for (``ClientSide.edition``).
    """

    def __init__(self, server: str, edition: object) -> None:
        self.edition = edition
        self.tools: dict[str, Mirrored] = {}
        self.wrong: dict[str, str] = {}
        self._server = server

    def headers(self, params: Json) -> Mapping[str, str]:
        """
        Return the headers of a ``tools/call``.

        Raises:
            RemoteProtocolError: The tool's annotations are wrong, so that nobody can call it.
            UsageError: An argument cannot be mirrored.
        """
        name = params.get("name")
        if name in self.wrong:
            raise RemoteProtocolError(
                f"{self._server}: tool {quote(str(name))!r}: its x-mcp-header annotations are invalid: "
                f"{self.wrong[str(name)]}",
                server=self._server,
            )
        mirrored = self.tools.get(str(name))
        return headers_for(mirrored, params.get("arguments") or {}) if mirrored else {}


def taken(result: Json, before: Mirrors | None, *, edition: object, server: str) -> Mirrors | None:
    """
    Take a page of ``tools/list``: drop the tools whose annotations are invalid, and remember the others.

    Args:
        result: The page; invalid tools are removed from it.
        before: What earlier pages have told, or None at the first page.
        edition: Of the server's tools when the page was asked for.
        server: The entry's name.
    """
    tools: Any = result.get("tools")
    if not isinstance(tools, list):
        return before
    mirrors = before or Mirrors(server, edition)
    valid = []
    for tool in tools:
        found = annotations_of(tool.get("inputSchema")) if isinstance(tool, dict) else {}
        name = str(tool.get("name")) if isinstance(tool, dict) else ""
        if isinstance(found, str):
            mirrors.wrong[name] = quote(found)
            logging.getLogger("mcpvault").warning("%s: tool %r is left out: %s", server, quote(name), quote(found))
            continue
        if found:
            mirrors.tools[name] = found
        valid.append(tool)
    if len(valid) < len(tools):
        result["tools"] = valid
    return mirrors if mirrors.tools or mirrors.wrong else None


def listed_again(
    endpoint: Endpoint, settled: Settled, deadline: Deadline, on_notification: Notify | None, *, server: str
) -> Mirrors | None:
    """
    Ask for all pages of ``tools/list`` and return what they tell.

    Raises:
        McpVaultError: As ``Endpoint.ask``.
    """
    edition = endpoint.client.edition
    mirrors: Mirrors | None = None
    page: Json | None = None
    for _ in range(_MOST_PAGES):
        result = endpoint.ask(settled, "tools/list", page, deadline, on_notification, safe=True)
        if not isinstance(result, dict):
            break
        mirrors = taken(result, mirrors, edition=edition, server=server)
        cursor = result.get("nextCursor")
        if not isinstance(cursor, str) or page == {"cursor": cursor}:
            break
        page = {"cursor": cursor}
    return mirrors
