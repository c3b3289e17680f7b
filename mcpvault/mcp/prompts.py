"""
Prompts and completions, as small typed values; loaded by whoever asks for one.

Spec: MCP schema 2026-07-28 and 2025-11-25.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpvault.errors import RemoteProtocolError
from mcpvault.mcp.types import Content, Named, Value

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Json


class Prompt(Named):
    """A prompt that can be filled with arguments."""

    __slots__ = ()

    @property
    def arguments(self) -> list[Json]:
        """Its arguments: ``name``, ``description``, ``required``."""
        found = self.raw.get("arguments")
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


class PromptMessage(Value):
    """One message of a prompt."""

    __slots__ = ()

    @property
    def role(self) -> str:
        """``user`` or ``assistant``."""
        return str(self.raw.get("role", ""))

    @property
    def content(self) -> Content:
        """What it says."""
        return Content(self._object("content"))


class GetPromptResult(Value):
    """A prompt, filled in."""

    __slots__ = ()

    @property
    def description(self) -> str | None:
        """What it is for."""
        return self._text("description")

    @property
    def messages(self) -> list[PromptMessage]:
        """Its messages."""
        return [PromptMessage(message) for message in self.raw.get("messages") or []]


class Completion(Value):
    """What an argument may become."""

    __slots__ = ()

    @property
    def values(self) -> list[str]:
        """Suggestions, the likeliest first."""
        return list(self.raw.get("values") or [])

    @property
    def total(self) -> int | None:
        """How many there are, if the server says so."""
        return self.raw.get("total")

    @property
    def has_more(self) -> bool:
        """Whether there are more than these."""
        return self.raw.get("hasMore") is True


def completion(result: Json, *, server: str) -> Completion:
    """
    Return the result of ``completion/complete``.

    Raises:
        RemoteProtocolError: It is of another shape.
    """
    found = result.get("completion")
    values = found.get("values") if isinstance(found, dict) else None
    if found is None or not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RemoteProtocolError("completion/complete: expected a list of texts 'values'", server=server)
    return Completion(found)
