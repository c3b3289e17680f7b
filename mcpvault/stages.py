"""
Which version of a rotated secret an entry uses: the current one, or during a rotation another.

Decides what goes together at a stage (the secret, its client_id, its key_id), and what is tried when the current one
is refused. Leaves the steps of a rotation to ``mcpvault.rotation``.

Spec: SPEC §10.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vault_schema import ServerEntry

Stage = Literal["current", "pending", "previous"]
# Until it has proved itself, the new secret is the one to fall back to: some issuers end the old one at once.
_OTHER: dict[str, Stage] = {
    **dict.fromkeys(("minted", "stored", "verified"), "pending"),
    **dict.fromkeys(("promoted", "grace", "revoked"), "previous"),
}


def other_stage(entry: ServerEntry) -> Stage | None:
    """Return the stage to try when the issuer refuses the current secret, or None: no rotation is open."""
    journal = entry.rotation
    stage = _OTHER.get(journal.step) if journal is not None else None
    return stage if journal is not None and stage is not None and version_of(entry, journal.field, stage) else None


def version_of(entry: ServerEntry, field: str, stage: str) -> Any:
    """Return the version of *field* at *stage*, or None."""
    table, _, leaf = field.partition(".")
    held: Any = getattr(entry, table, None)
    versions = held.get(leaf) if isinstance(held, Mapping) else getattr(held, leaf, None)
    for version in versions if isinstance(versions, tuple) else ():
        if version.stage == stage:
            return version
    return None


def other_clients(entry: ServerEntry) -> tuple[str, ...]:
    """Return the clients whose tokens are good for *entry* besides its own: those of a rotation that is open."""
    journal = entry.rotation
    found = (journal.pending_client_id, journal.previous_client_id) if journal is not None else ()
    return tuple(each for each in found if each)


def at_stage(entry: ServerEntry, stage: Stage) -> ServerEntry:
    """Return *entry* with the client_id and key_id that belong to the secret of *stage*."""
    journal = entry.rotation
    if journal is None or stage == "current":
        return entry
    pending = stage == "pending"
    with_it = {
        "client_id": journal.pending_client_id if pending else journal.previous_client_id,
        "key_id": journal.pending_key_id if pending else journal.previous_key_id,
        "registration_client_uri": journal.pending_client_uri if pending else journal.previous_client_uri,
    }
    changed = {name: value or None for name, value in with_it.items() if value is not None}
    return entry.replaced(auth=entry.auth.replaced(**changed)) if changed else entry
