"""
Three-way merging of plain trees: what one side changed is taken, what both changed differently is a conflict.

Decides tables by their keys and everything else as a whole. Leaves what a secret or a slot is to ``mcpvault.vault``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from vault_schema import check
from vault_schema.canonical import same
from vault_schema.errors import SchemaError
from vault_schema.fields import spec_for
from vault_schema.origin import binding_for
from vault_schema.values import Fault

Prefer = Literal["base", "ours", "theirs"]
_WHOLE = frozenset({"rotation"})  # a journal is one statement; half of each side's would be nobody's
_NONE = object()


def merged(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any], *, prefer: Prefer = "ours"
) -> tuple[dict[str, Any], list[str]]:
    """
    Return the merged table, in the order of *ours*, and the dotted paths that both sides changed differently.

    Args:
        base: What both sides began from.
        ours: One side.
        theirs: The other side.
        prefer: Whose value stands where they conflict.
    """
    conflicts: list[str] = []
    out = _merged(base, ours, theirs, prefer, "", conflicts)
    return out, conflicts


def _merged(
    base: Mapping[str, Any],
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    prefer: Prefer,
    path: str,
    conflicts: list[str],
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key in [*ours, *(key for key in theirs if key not in ours), *(key for key in base if key not in ours)]:
        old, mine, other = (side.get(key, _NONE) for side in (base, ours, theirs))
        place = f"{path}.{key}" if path else key
        if same(mine, other) or same(other, old):
            value = mine
        elif same(mine, old):
            value = other
        elif isinstance(mine, dict) and isinstance(other, dict) and key not in _WHOLE:
            value = _merged(old if isinstance(old, dict) else {}, mine, other, prefer, place, conflicts)
        else:
            if place not in conflicts:
                conflicts.append(place)
            value = {"base": old, "ours": mine, "theirs": other}[prefer]
        if value is not _NONE:
            out[key] = value
    return out


def fits(name: str, entry: Mapping[str, Any], epoch: int) -> bool:
    """Tell whether an entry that was put together from two is a good one, and each secret still for what it names."""
    try:
        check.servers({name: entry}, epoch)
        return all(tuple(version["bound"]) == binding for binding, version in _bound(entry))
    except (Fault, SchemaError):
        return False


def _bound(entry: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for table in ("auth", "headers", "env"):
        for leaf, value in entry.get(table, {}).items():
            spec = spec_for(f"{table}.{leaf}")
            if isinstance(value, list) and spec is not None:
                for version in value:
                    yield binding_for(entry, spec), version
