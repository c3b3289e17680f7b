"""
Which secrets are due, from what the vault says in clear: no key, no network, nothing verified.

Decides the state of each secret by policy, by its issuer's date, and by marks. Leaves what is done to the rotation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mcpvault.durations import moment, seconds, stamp
from mcpvault.errors import McpVaultError
from mcpvault.state.fallbacks import counted
from mcpvault.upkeep.exposition import escaped
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.state.store import StateStore
    from vault_schema import Document, ServerEntry, Version

# The worst first. expired: its issuer has ended it; overdue: older than its policy allows; due: somebody has marked it;
# near: one of these soon; unknown: a reference, whose value others keep; ok: the rest.
STATES = ("expired", "overdue", "due", "near", "unknown", "ok")
FAILING = frozenset({"expired", "overdue", "due"})
_DAY = 86_400
WARN = "14d"  # before it is due a secret is mentioned, where no policy says


class Item(Record):
    """
    How one secret stands; ``due_at`` in Unix seconds, None where no rule says.

    ``reason`` is what decided (``policy``, ``not_after``, a mark's own words), ``by`` what makes another (``rotate``,
    or ``login``, where a login registers a client and its secret is in the state), ``journal`` the step of its open
    rotation (``journal_ended``: when the old secret was ended; ``journal_host``: the one host that can go on with it,
    None: any), ``problem`` what went wrong in it or in the last one; ``fallbacks`` is how often this host needed the
    other version in it, ``last_fallback`` when last.
    """

    server: str
    field: str
    state: str
    by: str = "rotate"
    age_days: int | None = None
    max_age_days: int | None = None
    not_after: str | None = None
    due_at: int | None = None
    reason: str | None = None
    owner: str | None = None
    runbook: str | None = None
    journal: str | None = None
    journal_started: str | None = None
    journal_until: str | None = None
    journal_ended: str | None = None
    journal_host: str | None = None
    problem: str | None = None
    fallbacks: int = 0
    last_fallback: int | None = None

    @property
    def command(self) -> str:
        """What makes another."""
        return f"mcpvault login {self.server}" if self.by == "login" else f"mcpvault rotate {self.server} {self.field}"


def due(document: Document, now: float, state: StateStore | None = None) -> list[Item]:
    """Return every secret of the vault, the worst first; *state* is asked for what this host has counted."""
    found = [item for name in document.server_names for item in _of(document, document.server(name), now, state)]
    return sorted(found, key=lambda item: (STATES.index(item.state), item.due_at or 2**53, item.server, item.field))


def _of(document: Document, entry: ServerEntry, now: float, state: StateStore | None) -> Iterator[Item]:
    common = document.header.policy
    base = Item(server=entry.name, field="", state="unknown", owner=entry.owner or common.owner)
    base = base.replaced(runbook=entry.runbook or common.runbook)
    warn = seconds(entry.policy.warn or common.warn or WARN) or 0
    found = [*document.secrets(entry.name)]
    for path, _, held in found:
        item = base.replaced(field=path, **_journal(entry, path, state))
        if isinstance(held, str):
            yield item.replaced(reason="a reference")
            continue
        [current] = (version for version in held if version.stage == "current")
        limit = seconds(entry.policy.max_age or common.max_age or "")
        yield _judged(item, current, limit, warn, now)
    rotation = entry.rotation
    if rotation is not None and rotation.open and all(path != rotation.field for path, _, _ in found):
        # What is rotated is no secret of the vault: the tokens of a grant.
        yield base.replaced(field=rotation.field, state="ok", **_journal(entry, rotation.field, state))
    if state is not None and entry.auth.kind == "oauth" and (ends := _client_ends(entry, state)) is not None:
        how = "expired" if ends <= now else "near" if ends - warn <= now else "ok"
        told = base.replaced(field="auth.client_secret", state=how, by="login", reason="not_after")
        yield told.replaced(not_after=stamp(ends), due_at=ends)


def _client_ends(entry: ServerEntry, state: StateStore) -> int | None:
    """Return when the secret ends of the client that a login on this host has registered; None: never."""
    from mcpvault.state.tokens import peek

    facts = None
    with suppress(McpVaultError):  # status and doctor say what is wrong with it
        facts = peek(state, entry.credential or entry.name)
    return facts.client_ends if facts is not None and facts.status != "none" else None


def _journal(entry: ServerEntry, field: str, state: StateStore | None) -> dict[str, Any]:
    rotation = entry.rotation
    if rotation is None or rotation.field != field:
        return {}
    told: dict[str, Any] = {"problem": rotation.problem}
    if rotation.open:
        if state is not None:
            told["fallbacks"], told["last_fallback"], _ = counted(state, entry.name, rotation.id)
        told |= {
            "journal": rotation.step,
            "journal_started": rotation.started,
            "journal_until": rotation.until,
            "journal_ended": rotation.ended,
            "journal_host": rotation.host,
        }
    return told


def _judged(item: Item, version: Version, limit: int | None, warn: int, now: float) -> Item:
    created = moment(version.created)
    ends = moment(version.not_after) if version.not_after else None
    ripe = created + limit if limit is not None else None
    first = min((at for at in (ends, ripe) if at is not None), default=None)
    item = item.replaced(
        age_days=max(0, int(now - created) // _DAY),
        max_age_days=limit // _DAY if limit is not None else None,
        not_after=version.not_after,
        due_at=first,
    )
    if ends is not None and ends <= now:
        return item.replaced(state="expired", reason="not_after")
    if ripe is not None and ripe <= now:
        return item.replaced(state="overdue", reason="policy")
    if version.due is not None:
        return item.replaced(state="due", reason=version.due, due_at=int(now))
    if first is not None and first - warn <= now:
        return item.replaced(state="near", reason="not_after" if first == ends else "policy")
    return item.replaced(state="ok", reason=None if first is None else "not_after" if first == ends else "policy")


def metrics(items: list[Item], now: float) -> str:
    """Return the items in the text format of Prometheus, for its node exporter's textfile collector."""
    lines = [
        "# HELP mcpvault_secret_state How a secret stands: 1 for the state that it is in.",
        "# TYPE mcpvault_secret_state gauge",
    ]
    labels = [f'server="{item.server}",field="{escaped(item.field)}"' for item in items]
    lines += [
        f'mcpvault_secret_state{{{label},state="{state}"}} {int(item.state == state)}'
        for label, item in zip(labels, items, strict=True)
        for state in STATES
    ]
    lines += [
        "# HELP mcpvault_secret_due_timestamp_seconds When a secret is to be rotated at the latest.",
        "# TYPE mcpvault_secret_due_timestamp_seconds gauge",
        *(
            f"mcpvault_secret_due_timestamp_seconds{{{label}}} {item.due_at}"
            for label, item in zip(labels, items, strict=True)
            if item.due_at is not None
        ),
        "# HELP mcpvault_rotation_open A rotation that was begun and has not ended.",
        "# TYPE mcpvault_rotation_open gauge",
        *(
            f'mcpvault_rotation_open{{{label},step="{item.journal}"}} 1'
            for label, item in zip(labels, items, strict=True)
            if item.journal is not None
        ),
        "# HELP mcpvault_due_timestamp_seconds When this was written.",
        "# TYPE mcpvault_due_timestamp_seconds gauge",
        f"mcpvault_due_timestamp_seconds {int(now)}",
    ]
    return "\n".join(lines) + "\n"
