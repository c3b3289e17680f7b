"""A resolver of the entry ``web``, and what it says is missing."""

from __future__ import annotations

from typing import Any

import pytest

from mcpvault.errors import UnresolvedReferenceError
from mcpvault.vault.references import Resolver, Surroundings


def resolver(**around: Any) -> Resolver:
    """Return a resolver for the entry ``web``."""
    return Resolver(server="web", surroundings=Surroundings(**{"env": {}, **around}))


def resolved(text: str, *, secret: bool = True, **around: Any) -> str | None:
    """Return what *text* becomes; None if its field vanishes."""
    mine = resolver(**around)
    value = mine.resolve("auth.token", text, secret=secret)
    mine.finish()
    return None if value is None else value.reveal()


def missing(text: str, **around: Any) -> UnresolvedReferenceError:
    """Return the error about what *text* lacks; it is exit 8 and names server and field."""
    with pytest.raises(UnresolvedReferenceError) as caught:
        resolved(text, **around)
    assert (8, "web") == (caught.value.exit_code, caught.value.server)
    assert "servers.web.auth.token: ${" in caught.value.message
    return caught.value
