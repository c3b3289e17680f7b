"""
Tools and what they return, as small typed values, and lists of whatever comes page by page.

``raw`` keeps what came, unknown fields included.

Spec: MCP schema 2026-07-28 and 2025-11-25; "Pagination"; T63.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mcpvault.errors import MessageTooLargeError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpvault.mcp.resources import ResourceContents
    from mcpvault.mcp.wire import Json

MOST_PAGES = 1_000
MOST_BYTES = 64 * 1024 * 1024  # of JSON, of all pages together, where there is more than one


class Value:
    """What came as a JSON object; ``raw`` is that."""

    __slots__ = ("raw",)

    def __init__(self, raw: Json) -> None:
        self.raw = raw

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.raw == getattr(other, "raw", None)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.raw.get('name') or self.raw.get('uri') or self.raw.get('type') or '…'!r})"

    def _text(self, key: str) -> str | None:
        found = self.raw.get(key)  # servers send anything: another type is as good as absent
        return found if isinstance(found, str) else None

    def _object(self, key: str) -> Json:
        found = self.raw.get(key)
        return found if isinstance(found, dict) else {}


class Named(Value):
    """What a list offers by name."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name that calls use."""
        return str(self.raw["name"])

    @property
    def title(self) -> str | None:
        """A name for people."""
        return self._text("title")

    @property
    def description(self) -> str | None:
        """What it does, in the server's words."""
        return self._text("description")


class Tool(Named):
    """A tool; schemas are kept untouched. ``annotations`` are the server's claims, not facts (P3)."""

    __slots__ = ()

    @property
    def input_schema(self) -> Json:
        """JSON Schema of the arguments."""
        return self._object("inputSchema")

    @property
    def output_schema(self) -> Json | None:
        """JSON Schema of the structured content, if the server gives one."""
        return self._object("outputSchema") if "outputSchema" in self.raw else None

    @property
    def annotations(self) -> Json:
        """Hints such as ``readOnlyHint``; untrusted."""
        return self._object("annotations")


class Content(Value):
    """One block of content: text, image, audio, resource or resource_link."""

    __slots__ = ()

    @property
    def type(self) -> str:
        """Which kind of block it is."""
        return str(self.raw.get("type", ""))

    @property
    def text(self) -> str | None:
        """The text of a text block, or of an embedded text resource."""
        return self._inner().text if self.type == "resource" else self._text("text")

    @property
    def mime_type(self) -> str | None:
        """The media type, if known."""
        return self._text("mimeType") or self._inner().mime_type

    def data(self) -> bytes:
        """
        Return the bytes of an image, of audio, or of an embedded resource.

        Raises:
            RemoteProtocolError: The server's base64 is none.
        """
        encoded = self.raw.get("data") or self._inner().raw.get("blob")
        if encoded is None:
            return (self.text or "").encode("utf-8", "replace")
        with suppress(ValueError):
            return base64.b64decode(str(encoded), validate=True)
        raise RemoteProtocolError(f"a content block of type {self.type!r} is not base64")

    def _inner(self) -> ResourceContents:
        from mcpvault.mcp.resources import ResourceContents

        return ResourceContents(self._object("resource"))


class CallToolResult(Value):
    """What a tool returned. ``is_error`` is the tool's own word; nothing is raised for it."""

    __slots__ = ()

    @property
    def is_error(self) -> bool:
        """Whether the tool says that it failed."""
        return self.raw.get("isError") is True

    @property
    def content(self) -> list[Content]:
        """The blocks of content."""
        return [Content(block) for block in self.raw.get("content") or []]

    @property
    def structured_content(self) -> Any:
        """The structured content, any JSON value, or None."""
        return self.raw.get("structuredContent")

    def text(self) -> str:
        """Return the text blocks, joined by line feeds."""
        return "\n".join(block.text for block in self.content if block.text is not None)


def call_tool_result(result: Json, *, server: str) -> CallToolResult:
    """
    Return the result of ``tools/call``.

    Raises:
        RemoteProtocolError: It is of another shape.
    """
    objects(result, "content", method="tools/call", server=server, optional="structuredContent" in result)
    return CallToolResult(result)


def items(result: Json, key: str, required: str, *, method: str, server: str) -> list[Json]:
    """
    Return the list *key* of a list result, each item an object with the text field *required*.

    Raises:
        RemoteProtocolError: The result is of another shape.
    """
    found = result.get(key)
    if not isinstance(found, list):
        raise RemoteProtocolError(f"{method}: expected a list {key!r} in the result", server=server)
    for item in found:
        if not isinstance(item, dict) or not isinstance(item.get(required), str):
            raise RemoteProtocolError(f"{method}: an item of {key!r} has no text {required!r}", server=server)
    return found


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
        page = items(result, key, required, method=method, server=server)
        found += page
        # "an empty string is a valid cursor": only its absence ends the list (T63).
        cursor = result.get("nextCursor")
        if cursor is None:
            return found
        if not isinstance(cursor, str) or cursor in seen:
            raise RemoteProtocolError(f"{method}: the server's cursors go in a circle", server=server)
        seen.add(cursor)
        params = {"cursor": cursor}
        size += len(cursor) + _size(page)
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


def objects(result: Json, key: str, *, method: str, server: str, optional: bool = False) -> Json:
    """
    Return *result* if its *key* is a list of objects.

    Raises:
        RemoteProtocolError: It is not.
    """
    found = result.get(key)
    if found is None and optional:
        return result
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise RemoteProtocolError(f"{method}: expected a list of objects {key!r} in the result", server=server)
    return result
