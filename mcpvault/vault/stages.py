"""
What a rotation changes in a vault: the stages of a secret's versions, the journal, and the policy of all entries.

Decides nothing about when; each function is one edit of a ``Change``, to be written with others in one step.

Spec: SPEC §9.5, §10.4.
"""

from __future__ import annotations

from typing import Any

from mcpvault.errors import UnknownFieldError
from mcpvault.vault.change import Change


def promote(change: Change, name: str, field: str) -> None:
    """
    Make the pending version current, and the current one previous; an older previous one is dropped.

    Raises:
        UnknownFieldError: There is no pending version.
    """
    _restage(change, name, field, {"pending": "current", "current": "previous"})


def demote(change: Change, name: str, field: str, *, to: str = "pending") -> None:
    """
    Make the previous version current again, and the one that had taken its place pending, or previous.

    Raises:
        UnknownFieldError: There is no previous version.
    """
    _restage(change, name, field, {"previous": "current", "current": to})


def drop(change: Change, name: str, field: str, stage: str) -> None:
    """Remove the version of *stage*, if there is one; ``current`` stays."""
    versions = _versions(change, name, field)
    if stage != "current":
        versions[:] = [version for version in versions if version["stage"] != stage]


def write_journal(change: Change, name: str, journal: dict[str, Any]) -> None:
    """Put *journal* in the place of the entry's; members that are None are left out."""
    change.table(name)["rotation"] = {key: value for key, value in journal.items() if value is not None}


def set_common_policy(change: Change, member: str, value: str | None) -> None:
    """Set a member of ``[vault] policy``, which holds for entries that do not say it; None removes it."""
    policy = {**change.tree["vault"].get("policy", {}), member: value}
    policy = {name: held for name, held in policy.items() if held is not None}
    change.tree["vault"].pop("policy", None)
    if policy:
        change.tree["vault"]["policy"] = policy


def _restage(change: Change, name: str, field: str, moves: dict[str, str]) -> None:
    versions = _versions(change, name, field)
    first = next(iter(moves))
    if first not in {version["stage"] for version in versions}:
        raise UnknownFieldError(
            f"servers.{name}.{field}: there is no {first} version", hint=f"run: mcpvault history {name}", server=name
        )
    versions[:] = [{**version, "stage": moves[version["stage"]]} for version in versions if version["stage"] in moves]


def _versions(change: Change, name: str, field: str) -> list[dict[str, Any]]:
    table, _, leaf = field.partition(".")
    held = change.table(name).get(table)
    versions = held.get(leaf) if isinstance(held, dict) else None
    if not isinstance(versions, list):
        raise UnknownFieldError(
            f"servers.{name}.{field}: holds no sealed value", hint=f"run: mcpvault show {name}", server=name
        )
    return versions
