"""The name that somebody may have meant: words for a hint, or none."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return ``did you mean 'github'?`` where one of the names is close to *name*."""
    from difflib import get_close_matches

    near = get_close_matches(name, [*known], n=1)
    return f"did you mean {near[0]!r}?" if near else None
