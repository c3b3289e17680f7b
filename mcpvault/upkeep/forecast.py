"""
What people will have to do, and when: logins that grants will need, grants to be kept awake, secrets that will be due.

Decides nothing that ``standing`` and ``due`` have not decided; puts the two in one calendar. No key, no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mcpvault.upkeep.due import FAILING, Item
from mcpvault.upkeep.standing import Standing
from vault_schema.record import Record

if TYPE_CHECKING:
    from vault_schema import Document


Owners = Mapping[str, tuple[str | None, str | None]]


class Duty(Record):
    """
    One thing to do.

    ``what`` is ``login``, ``refresh`` or ``rotate``; ``at`` in Unix seconds, now for what is late; ``command`` does it.
    """

    server: str
    what: str
    at: int
    reason: str
    command: str
    owner: str | None = None
    runbook: str | None = None


def owners_in(document: Document) -> Owners:
    """Return whom each entry belongs to, and what they go by: owner and runbook, of the entry or of the vault."""
    common = document.header.policy
    entries = map(document.server, document.server_names)
    return {each.name: (each.owner or common.owner, each.runbook or common.runbook) for each in entries}


def forecast(
    standings: Sequence[Standing], items: Sequence[Item], owners: Owners, *, now: float, days: int
) -> list[Duty]:
    """Return what is to be done in the next *days*, the first first."""
    ends = now + days * 86_400
    found = [*_logins(standings, owners, now), *_refreshes(standings, owners, now), *_rotations(items, now)]
    return sorted((duty for duty in found if duty.at <= ends), key=lambda duty: (duty.at, duty.server, duty.what))


def _logins(standings: Sequence[Standing], owners: Owners, now: float) -> Iterator[Duty]:
    for each in standings:
        if each.login_command is None or not (each.needs_login or each.human_by is not None):
            continue
        owner, runbook = owners.get(each.server, (None, None))
        late = each.needs_login or each.human_by is None
        yield Duty(
            server=each.server,
            what="login",
            at=int(now) if late else max(int(now), each.human_by or 0),
            reason=each.notes[0] if late and each.notes else each.human_why or "its access token ends",
            command=each.login_command,
            owner=owner,
            runbook=runbook,
        )


def _refreshes(standings: Sequence[Standing], owners: Owners, now: float) -> Iterator[Duty]:
    for each in standings:
        if each.refresh_by is None:
            continue
        owner, runbook = owners.get(each.server, (None, None))
        yield Duty(
            server=each.server,
            what="refresh",
            at=max(int(now), each.refresh_by),
            reason="its grant falls asleep where nothing uses it before",
            command=f"mcpvault refresh {each.server}",
            owner=owner,
            runbook=runbook,
        )


def _rotations(items: Sequence[Item], now: float) -> Iterator[Duty]:
    for item in items:
        if item.by == "login" or (item.due_at is None and item.state not in FAILING):  # a login: the standing tells it
            continue
        yield Duty(
            server=item.server,
            what="rotate",
            at=max(int(now), item.due_at or 0),
            reason=f"{item.field}: {item.reason}",
            command=item.command,
            owner=item.owner,
            runbook=item.runbook,
        )
