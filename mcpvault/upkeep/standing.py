"""
How the credential of each entry stands, from the vault file and the state alone.

No key, no network, no change: what is told was read in clear and nothing of it is verified. Decides what a person is
told and when one is needed. Leaves what the facts are to ``mcpvault.state``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mcpvault.errors import McpVaultError
from mcpvault.stages import other_clients
from mcpvault.state.brake import HURRIED, Trouble
from mcpvault.state.given_up import sealed_in
from mcpvault.state.host import host_name, known_host
from mcpvault.state.journal import stamp
from mcpvault.state.logins import in_progress
from mcpvault.state.pending import LIFETIME, awaiting
from mcpvault.state.record import NO_CLIENT, Bound, Facts
from mcpvault.state.tokens import peek
from vault_schema import origin_of
from vault_schema.fields import OAUTH_KINDS
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.state.files import StateDirectory
    from vault_schema import Document, ServerEntry

# static: no grant, so nothing expires by itself; unused: a machine's own token, not asked for yet; not_kept: the
# entry's policy; unreadable: the state file is damaged or not to be believed.
# authenticating: nobody has logged in yet, and somebody is about to.
STATES = (
    *("static", "pending_auth", "authenticating", "ready", "expired", "refreshing", "ambiguous", "dead"),
    *("unused", "not_kept", "unreadable"),
)
_NEAR = 14 * 86_400  # seconds before a login is owed at which somebody is told to do it
_UNKNOWN = frozenset({"static", "unused", "not_kept"})


class Standing(Record):
    """
    How one entry stands; times are Unix seconds, None where unknown or without meaning.

    ``needs_login``: nothing works until a person logs in. ``human_by``: when that will be so, as far as it is known
    already, and ``human_why``; ``refresh_by``: when it will be so unless the grant is used before. ``other_host``
    names the host that a grant belongs to, where it is not this one. ``trouble`` is the last one: ``reason``,
    ``failures`` in a row, ``since``, ``until`` when nobody asks, ``refused``: only a person mends it. ``redemption``
    tells who began the last refresh that did not end well, where and when. ``notes`` and ``hint`` are for people.
    """

    server: str
    auth: str
    state: str
    credential: str | None = None
    issuer: str | None = None
    resource: str | None = None
    client_id: str | None = None
    scope: str | None = None
    requested_scope: str | None = None
    expires_at: int | None = None
    refreshable: bool | None = None
    generation: int | None = None
    other_host: str | None = None
    trouble: dict[str, object] | None = None
    redemption: str | None = None
    needs_login: bool = False
    human_by: int | None = None
    human_why: str | None = None
    refresh_by: int | None = None
    login_command: str | None = None
    notes: tuple[str, ...] = ()
    hint: str | None = None

    @property
    def session(self) -> str:
        """The state of a session that is opened now, as far as it can be known before the server is asked."""
        if self.state in _UNKNOWN:
            return "discovering"
        if self.state in ("unreadable", "authenticating"):
            return "failed" if self.state == "unreadable" else self.state
        return "pending_auth" if self.needs_login else "ready"


def standing(document: Document, name: str, state: StateDirectory, now: float) -> Standing:
    """
    Return how the entry *name* stands.

    Raises:
        PermissionsError: The state folder must not be believed.
    """
    made = _standing(document, name, state, now)
    rotation = document.server(name).rotation
    if rotation is None or rotation.problem is None or rotation.step == "aborted":
        return made
    return made.replaced(notes=(*made.notes, f"its rotation, at {rotation.step!r}: {rotation.problem}"))


def _standing(document: Document, name: str, state: StateDirectory, now: float) -> Standing:
    entry = document.server(name)
    auth = entry.auth.kind if entry.kind == "http" else "stdio"
    if auth not in OAUTH_KINDS:
        return Standing(server=name, auth=auth, state="static")
    credential = entry.credential or name
    login = f"mcpvault login {name}" if auth == "oauth" else None
    base = Standing(server=name, auth=auth, state="unused", credential=credential)
    if entry.auth.persist == "none":
        told = "its tokens are kept by the process that gets them, and nowhere else"
        return base.replaced(state="not_kept", notes=(told,))
    run = f"run: {login}" if login else None
    missing = base.replaced(needs_login=login is not None, login_command=login, hint=run)
    try:
        facts = peek(state, credential)
    except McpVaultError as error:
        return missing.replaced(state="unreadable", notes=(error.message,), hint=run or error.hint)
    epoch, head = sealed_in(state, credential), document.header
    kept = {head.epoch, *(row.epoch for row in head.retired)}
    if facts is not None and facts.status != "none" and epoch is not None and epoch not in kept and epoch < head.epoch:
        facts = facts.replaced(status="dead", refreshable=False, expires_at=0, intent=None, trouble=None)
    other = _made_for(entry, facts)
    if facts is None or facts.status == "none" or other is not None:
        if login is None:
            return _unused(base, facts.trouble if facts is not None and other is None else None, now)
        begun = _begun(state, credential, now)
        told = f"its grant is for the {other}" if other else "nobody has logged in"
        return missing.replaced(
            state="authenticating" if begun else "pending_auth", notes=(told, *((begun,) if begun else ()))
        )
    over = _over(entry, facts, now) if login is not None else None
    made = _of_grant(base, facts, login, known_host(state, document.header.id), now, over)
    begun = _begun(state, credential, now)
    own = (
        "the process that gets an access token keeps it: each run refreshes"
        if entry.auth.persist == "refresh"
        else None
    )
    return made.replaced(notes=(*made.notes, *filter(None, (own, begun))))


def _unused(base: Standing, trouble: Trouble | None, now: float) -> Standing:
    """Return how a machine's own token stands that nobody has obtained."""
    if trouble is None:
        return base.replaced(notes=("the first call obtains a token",))
    notes = (_failed(trouble, "token request", now), _next_call(trouble, "obtains a token", now))
    return base.replaced(trouble=trouble.fields(), hint=_mend(base, trouble), notes=notes)


def _failed(trouble: Trouble, what: str, now: float) -> str:
    """Return what is told of the last failure of *what*."""
    if trouble.reason == HURRIED:
        return f"the last {what}, at {stamp(trouble.since)}, was ended by its caller's own deadline"
    often = "" if trouble.failures <= 1 else f", {trouble.failures} times in a row"
    until = f"; nobody asks until {stamp(trouble.until)}" if trouble.left(now) else ""
    return f"the last {what} failed at {stamp(trouble.since)} ({trouble.reason}){often}{until}"


def _next_call(trouble: Trouble | None, does: str, now: float) -> str:
    """Return what a call will do where a token is due; *does*, if nothing is in the way."""
    if trouble is None or trouble.reason == HURRIED or not (trouble.refused or trouble.left(now)):
        return f"the next call {does}"
    if trouble.refused:
        return "calls end with exit 3 until somebody has mended that"
    return f"a call after that {does}"


def _mend(base: Standing, trouble: Trouble | None) -> str | None:
    """Return what to do about a machine's refusal, or None."""
    if trouble is None or not trouble.refused:
        return None
    of_client = ": check its client_id, and its secret or key" if trouble.reason in NO_CLIENT else ""
    return f"mend what is refused{of_client}; then run: mcpvault refresh {base.server}"


def _begun(state: StateDirectory, credential: str, now: float) -> str | None:
    """Return what is told of a login that was begun and has not ended."""
    if (intent := in_progress(state, credential, host_name=host_name(), now=now)) is not None:
        return f"a login was begun by {intent.story()}"
    if (created := awaiting(state, credential, now)) is not None:
        return f"a login was begun at {stamp(created)}, and its answer may come until {stamp(created + LIFETIME)}"
    return None


def _made_for(entry: ServerEntry, facts: Facts | None) -> str | None:
    """Return what the grant was made for, where the entry says something else now."""
    if facts is None:
        return None
    now = Bound(
        origin=origin_of(entry.url or ""),
        path=urlsplit(entry.url or "").path,
        kind=entry.auth.kind,
        issuer=entry.auth.issuer,
        resource=entry.auth.resource,
        client_id=entry.auth.client_id,
        dpop=bool(entry.auth.dpop),
        other_clients=other_clients(entry) if entry.auth.kind != "oauth" else (),
    )
    return now.difference(facts)


def _over(entry: ServerEntry, facts: Facts, now: float) -> str | None:
    """Return why a grant that is not dead is of no use any more, which only a person mends; or None."""
    if facts.client_ends is not None and facts.client_ends <= now:
        return f"its client's secret ended at {stamp(facts.client_ends)}"
    if facts.client_refused and entry.auth.client_id is None and entry.auth.client_metadata_url is None:
        return "its authorization server no longer knows its client"
    if facts.trouble is not None and facts.trouble.refused and facts.status != "dead":
        of_client = "; check its client_id, and its secret or key" if facts.trouble.reason in NO_CLIENT else ""
        return f"its authorization server refuses to refresh it ({facts.trouble.reason}){of_client}"
    if facts.exhausted(host_name(), now):
        return "two answers in a row were lost, and its refresh token is not sent a third time"
    return None


def _of_grant(
    base: Standing, facts: Facts, login: str | None, here: str | None, now: float, over: str | None
) -> Standing:
    alive = facts.expires_at is None or now < facts.expires_at
    foreign = login is not None and facts.refreshable and facts.host != here
    refreshes = login is None or (facts.refreshable and not foreign and facts.status != "dead" and over is None)
    state = "dead" if over else facts.status if facts.status != "ok" else "ready" if alive else "expired"
    needs_login = not refreshes and not alive
    trouble, lifetime = facts.trouble, facts.lifetime if refreshes else None
    human_by, human_why = None if refreshes or needs_login else facts.expires_at, "its access token ends"
    if lifetime is not None and (human_by := lifetime.needs_person()) is not None:
        human_why = "its refresh token ends" if lifetime.ends else f"an earlier grant lasted {_days(lifetime.age)}"
    sure = lifetime is not None and lifetime.ends is not None
    if refreshes and facts.client_ends is not None and facts.client_ends <= (human_by or facts.client_ends):
        human_by, human_why, sure = facts.client_ends, "its client's secret ends", True
    soon = sure and human_by is not None and human_by - now < _NEAR
    made = base.replaced(
        state=state,
        issuer=facts.issuer,
        resource=facts.resource,
        client_id=facts.client_id,
        scope=facts.scope,
        requested_scope=facts.requested_scope,
        expires_at=facts.expires_at,
        refreshable=facts.refreshable,
        generation=facts.generation,
        other_host=(facts.host_name or "another host") if foreign else None,
        trouble=trouble.fields() if trouble else None,
        redemption=facts.intent.story() if facts.intent else None,
        needs_login=needs_login,
        human_by=human_by,
        human_why=human_why if human_by is not None else None,
        refresh_by=lifetime.needs_refresh(facts.issued_at or 0) if lifetime is not None else None,
        login_command=login if not refreshes or human_by is not None else None,
        hint=f"run: {login}{_adopt(base.server, facts) if foreign else ''}" if soon or not refreshes else None,
    )
    if login is None:
        made = made.replaced(hint=_mend(base, trouble))
    notes = _notes(made, facts, alive=alive, refreshes=refreshes, now=now)
    return made.replaced(notes=(*((over,) if over is not None else ()), *notes))


def _adopt(server: str, facts: Facts) -> str:
    return f"; or, if {facts.host_name or 'that host'} no longer uses it: mcpvault refresh {server} --adopt"


def _notes(made: Standing, facts: Facts, *, alive: bool, refreshes: bool, now: float) -> Iterator[str]:
    """Yield what people are told of a grant."""
    intent, trouble = facts.intent, facts.trouble
    if facts.status == "dead":
        yield f"its grant has ended{f' ({trouble.reason}) at {stamp(trouble.since)}' if trouble else ''}"
    if intent is not None and facts.status in ("refreshing", "ambiguous", "dead"):
        yield f"{_BEGUN[facts.status]} {intent.story()}"
        if intent.lost:
            yield f"the answer before was lost to {intent.lost}"
    if made.other_host is not None:
        yield f"its grant belongs to {made.other_host}, and is not refreshed here"
    if trouble is not None and facts.status != "dead":
        yield _failed(trouble, "refresh" if made.auth == "oauth" else "token request", now)
    if made.human_by is not None:
        yield f"needs a human by {stamp(made.human_by)}{f' ({made.human_why})' if refreshes else ''}"
    elif made.refresh_by is not None:
        yield f"is to be used by {stamp(made.refresh_by)}, or its grant falls asleep"
    if refreshes and not alive:
        yield _next_call(trouble, "obtains another" if made.auth != "oauth" else "refreshes it", now)


def _days(seconds: int | None) -> str:
    days = (seconds or 0) / 86_400
    return f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} h"


_BEGUN = {
    "refreshing": "a refresh was begun by",
    "ambiguous": "nobody knows how the refresh ended that was begun by",
    "dead": "the last refresh was begun by",
}
