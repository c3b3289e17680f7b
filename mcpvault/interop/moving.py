"""
``--move``: servers of a foreign file that were taken over ask the vault from then on.

Decides what takes the place of a server. Leaves the file to ``editing``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcpvault.errors import ConfigurationError
from mcpvault.interop.clients import Place, at
from mcpvault.interop.editing import check_writable, edited, write
from mcpvault.interop.source import Source

_BY_HAND = 'by hand, replace a server by {"command": "mcpvault", "args": ["stdio", "NAME"]}'


def move(source: Source, names: Mapping[Place, str], *, typed: bool) -> None:
    """
    Rewrite *source* so that its servers at the places in *names* are ``mcpvault stdio NAME``.

    Args:
        source: The file, as it was read.
        names: Place of a server to the name of its entry.
        typed: Whether the client wants ``"type": "stdio"``.

    Raises:
        ConfigurationError: It must not be rewritten, or cannot be.
        VaultChangedError: It is no longer what was read; nothing was written to it.
    """
    check_writable(source)
    text = edited(source, [(place, asking(at(source.tree, place), name, typed)) for place, name in names.items()])
    if text is None:
        raise ConfigurationError(f"{source.path}: cannot be edited in place", hint=_BY_HAND)
    write(source, text, remedy="its servers are in the vault")


def asking(old: Mapping[str, Any], name: str, typed: bool) -> dict[str, Any]:
    """Return what asks the vault in the place of the server *old*."""
    new: dict[str, Any] = {"type": "stdio"} if typed or "type" in old else {}
    new |= {"command": "mcpvault", "args": ["stdio", name]}
    # A switch that the client itself understands goes on to mean what it meant.
    return new | {key: value for key, value in old.items() if isinstance(value, bool)}
