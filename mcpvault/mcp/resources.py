"""
Resources and their contents, as small typed values; loaded by whoever asks for one.

Spec: MCP schema 2026-07-28 and 2025-11-25.
"""

from __future__ import annotations

from mcpvault.mcp.types import Content, Named, Value


class Resource(Named):
    """A resource that can be read by its ``uri``."""

    __slots__ = ()

    @property
    def uri(self) -> str:
        """Its URI."""
        return str(self.raw["uri"])

    @property
    def mime_type(self) -> str | None:
        """Its media type, if known."""
        return self._text("mimeType")


class ResourceTemplate(Named):
    """A family of resources, by an RFC 6570 template."""

    __slots__ = ()

    @property
    def uri_template(self) -> str:
        """The template."""
        return str(self.raw["uriTemplate"])


class ResourceContents(Value):
    """One part of a resource that was read."""

    __slots__ = ()

    @property
    def uri(self) -> str:
        """Its URI."""
        return str(self.raw.get("uri", ""))

    @property
    def mime_type(self) -> str | None:
        """Its media type, if known."""
        return self._text("mimeType")

    @property
    def text(self) -> str | None:
        """The text, or None for a binary part."""
        return self._text("text")

    def data(self) -> bytes:
        """
        Return the bytes.

        Raises:
            RemoteProtocolError: The server's base64 is none.
        """
        if self.raw.get("blob") is None:
            return (self.text or "").encode("utf-8", "replace")
        return Content({"type": "resource", "resource": self.raw}).data()
