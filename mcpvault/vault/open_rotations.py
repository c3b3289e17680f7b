"""
What nobody changes while a rotation of it is open: the versions of its secret.

The rotation's own steps write the journal with the versions, which tells them from an edit. A version that an edit
pushes out would be known nowhere, though its issuer takes it; and the rotation would end another in its place.

Spec: SPEC §10.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mcpvault.errors import ConfigurationError

_CLOSED = frozenset({"done", "aborted"})
# Of a registration that is replaced by another: its token is staged with the secret.
_BESIDE = "auth.registration_access_token"
_OTHER_CLIENT = ("pending_client_id", "previous_client_id")


def check_untouched(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """
    Compare the trees *before* and *after* an edit.

    Raises:
        ConfigurationError: The edit changes the versions of a secret whose rotation is open, or where its tokens are
            kept, or takes its journal away.
    """
    if before is after:
        return
    kept = after.get("servers", {})
    for name, entry in before.get("servers", {}).items():
        journal = entry.get("rotation")
        changed = kept.get(name)
        if journal is None or journal["step"] in _CLOSED or changed is None or changed is entry:
            continue
        now = changed.get("rotation")
        if now is not None and now != journal:
            continue  # a step of the rotation
        for field in _fields(journal):
            if now is None or _versions(entry, field) != _versions(changed, field):
                raise _refusal(name, field, journal)
        if journal["rotator"] == "tokens" and _keeps(entry) != _keeps(changed):
            raise _refusal(name, "credential", journal)


def _refusal(name: str, field: str, journal: Mapping[str, Any]) -> ConfigurationError:
    go_on = f"end it first: mcpvault rotate {name} --resume"
    return ConfigurationError(
        f"servers.{name}.{field}: its rotation is open since {journal['started']}, at {journal['step']!r}",
        hint=f"{go_on}; with --force it ends as it is"
        if journal["step"] == "revoked"
        else f"{go_on}, or at once: --abort",
        server=name,
    )


def _keeps(entry: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what decides under which name the state of a host keeps tokens, and whether it does."""
    auth = entry.get("auth", {})
    return entry.get("credential"), auth.get("kind"), auth.get("persist") == "none"


def _fields(journal: Mapping[str, Any]) -> Iterator[str]:
    yield journal["field"]
    if any(member in journal for member in _OTHER_CLIENT):
        yield _BESIDE


def _versions(entry: Mapping[str, Any], field: str) -> object:
    """Return what a new key or binding leaves as it is."""
    table, _, leaf = field.partition(".")
    told = entry.get(table)
    held = told.get(leaf) if isinstance(told, Mapping) else None
    return [(each["v"], each["stage"], each["created"]) for each in held] if isinstance(held, list) else held
