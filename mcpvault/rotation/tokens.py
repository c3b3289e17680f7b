"""
The rotator ``tokens``: another grant for an OAuth entry, tried, and the old one revoked at the end (RFC 7009).

The same steps as for a sealed secret, but what is rotated is in the state of this host and not in the vault: the old
tokens are kept aside, sealed, until they are revoked. A machine obtains its new grant itself; a person logs in, here or
with ``mcpvault login``, and ``--resume`` goes on from there.

Spec: RFC 7009; SPEC §10.4.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from mcpvault import carriers
from mcpvault.deadline import Deadline
from mcpvault.durations import moment, seconds, stamp
from mcpvault.errors import AuthorizationRequiredError, ConfigurationError, McpVaultError, PolicyError
from mcpvault.mcp.session import Session
from mcpvault.rotation import verification
from mcpvault.rotation.ground import Ground
from mcpvault.rotation.rotator import Plan
from mcpvault.secret import Secret
from vault_schema import Rotation

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.state.record import TokenRecord

ROTATOR = "tokens"
FIELD = "auth.tokens"
_PAUSE = 0.5  # seconds between two looks at a token that is to be dead


def plan(kind: str) -> Plan:
    """Say what would be done for an entry of that kind."""
    first = "a person logs in" if kind == "oauth" else "the entry obtains another token in its own name"
    return Plan(
        keeps_old=True,
        steps=(first, "the old tokens are kept aside, sealed, in the state of this host",
               "they are revoked at the authorization server, when the grace is over"),
    )  # fmt: skip


def mint(on: Ground, journal: Rotation) -> bool:
    """Set the old tokens aside, and get others."""
    journal = on.write(journal, "minted", attempt=journal.attempt + 1)
    main, aside = on.vault.authorization(on.name), _aside(on)
    before, kept = main.store.read(), aside.store.read()
    if before is None or before.tokens is None:
        undo(on, journal, "there are no tokens on this host")
        raise ConfigurationError(f"{on.name}: there are no tokens on this host to rotate", server=on.name)
    if journal.attempt == 1 or kept is None or not _is_another(main, before, kept):
        _put(aside, before)
        kept = before
    if kept.generation == before.generation:
        if main.settings.needs_person:
            main.authenticate(method=None, scope=None, deadline=on.deadline())
        else:
            main.renew(expiring=None, adopt=False, timeout=on.conditions.timeout)
    on.write(journal, "stored", problem=None)
    return True


def verify(on: Ground, journal: Rotation) -> bool:
    """Try the new tokens, and compare what they see with what the old ones do."""
    journal = on.write(journal, "stored", attempt=journal.attempt + 1)
    new, old = _see(on, None), _see(on, _old(on))
    if isinstance(new, McpVaultError) and not verification.decided(new):
        raise new
    lost = new.message if isinstance(new, McpVaultError) else None
    if lost is None and isinstance(old, verification.Seen) and isinstance(new, verification.Seen):
        gone = new.lost(old)
        lost = f"lack {', '.join(gone)}" if gone and not on.conditions.accept_changes else None
    if lost is None:
        on.write(journal, "verified", problem=None)
        return True
    undo(on, journal, lost)
    raise PolicyError(f"{on.name}: the new tokens: {lost}; rolled back", server=on.name)


def promote(on: Ground, journal: Rotation) -> bool:
    """Begin the grace: the new tokens are in use since they are there."""
    on.write(journal, "promoted", until=stamp(on.now() + (seconds(journal.grace or "") or 0)))
    return True


def confirm(on: Ground, journal: Rotation) -> bool:
    """Go on: what was verified is what is in use."""
    on.write(journal, "grace", problem=None)
    return True


def revoke(on: Ground, journal: Rotation) -> bool:
    """Revoke the old tokens, when the grace is over."""
    if stamp(on.now()) < (journal.until or ""):
        return False
    journal = on.write(journal, "grace", attempt=journal.attempt + 1)
    record = _old(on)
    for each in _aside(on).give_back(record, timeout=on.conditions.timeout) if record is not None else ():
        on.remark(None if each.outcome == "revoked" else f"the old {each.token}: {each.outcome}")
    on.write(journal, "revoked", problem=None)
    return True


def see_it_dead(on: Ground, journal: Rotation) -> bool:
    """Look whether the old access token is refused, and forget it."""
    record, ended = _old(on), moment(journal.updated)
    problem = None
    while record is not None:
        outcome = _see(on, record)
        if isinstance(outcome, McpVaultError):
            if not verification.refused(outcome):
                raise outcome
            break
        left = ended + on.conditions.dead_within - on.now()
        if left <= 0:
            problem = f"the old access token is still accepted, since {journal.updated}"
            break
        time.sleep(min(left, _PAUSE))
    if problem is not None and on.conditions.require_dead:
        raise PolicyError(f"{on.name}: {problem}", server=on.name)
    new = _see(on, None)
    if isinstance(new, McpVaultError) and verification.refused(new):
        problem = f"the new tokens are refused since the old ones were revoked: {new.message}"
    on.remark(problem)
    _forget(on)
    on.write(journal, "done", problem=problem)
    return False


def undo(on: Ground, journal: Rotation, why: str) -> None:
    """Bring the old tokens back into use, then revoke the new ones."""
    give_up(on, on.write(journal, journal.step, undo=True, problem=why))


def give_up(on: Ground, journal: Rotation) -> bool:
    """
    Go on with giving up.

    The old tokens are forgotten aside before the new ones are revoked: a run that is cut off meanwhile must not find
    them there, take what is in use by then for the new ones, and revoke it.
    """
    main, old = on.vault.authorization(on.name), _old(on)
    new = main.store.read()
    given_up = None
    if old is not None and new is not None and _is_another(main, new, old):
        _put(main, old.replaced(generation=new.generation + 1))
        given_up = new
    elif journal.step not in ("planned", "minted"):
        on.remark("the new tokens may not have been revoked: a run that gave them up was cut off")
    _forget(on)
    for each in main.give_back(given_up, timeout=on.conditions.timeout) if given_up is not None else ():
        on.remark(None if each.outcome == "revoked" else f"the new {each.token}: {each.outcome}")
    on.write(journal, "aborted", undo=None)
    return False


STEPS = {
    "planned": mint,
    "minted": mint,
    "stored": verify,
    "verified": promote,
    "promoted": confirm,
    "grace": revoke,
    "revoked": see_it_dead,
}


def _aside(on: Ground) -> EntryAuthorization:
    """Return the authorization whose state holds the old tokens."""
    from mcpvault.oauth_entry import authorization_of, sealing_of

    entry = on.vault.resolve(on.name)
    if entry.oauth is None or entry.oauth.persist == "none":
        raise ConfigurationError(f"{on.name}: has no tokens that are kept", server=on.name)
    settings = entry.oauth.replaced(credential=f"{entry.oauth.credential[:56]}-before")
    sealing = sealing_of(on.vault.file)
    return authorization_of(entry.replaced(oauth=settings), state=on.vault.state, sealing=sealing, env=on.vault.env)


def _old(on: Ground) -> TokenRecord | None:
    record = _aside(on).store.read()
    return record if record is not None and record.tokens is not None else None


def _is_another(grant: EntryAuthorization, new: TokenRecord, old: TokenRecord) -> bool:
    """Tell whether *new* holds another grant than *old*: a person's is the same one until there is another login."""
    if new.tokens == old.tokens:
        return False
    logins = [each.lifetime.begun if each.lifetime is not None else None for each in (new, old)]
    return not grant.settings.needs_person or None in logins or logins[0] != logins[1]


def _put(where: EntryAuthorization, record: TokenRecord) -> None:
    with where.store.exclusive():
        where.store.write(record)


def _forget(on: Ground) -> None:
    from mcpvault.state.grants import withdraw

    withdraw(_aside(on).store)


def _see(on: Ground, old: TokenRecord | None) -> verification.Seen | McpVaultError:
    """Use the tokens that are in use, or those of *old*; return what they see, or why they do not."""
    grant = on.vault.authorization(on.name)
    entry = on.vault.resolve(on.name)
    try:
        tokens = (old.tokens if old is not None else None) or grant.tokens()
        if tokens.token_type == "DPoP" and old is not None:  # noqa: S105  a type
            # Each request would need a proof of its own; the server that revoked it has been believed.
            return AuthorizationRequiredError(f"{on.name}: the old token is bound to a key", server=on.name)
        source = grant.source if old is None else Held(tokens.access_token)
        transport = carriers.transport(entry, env=on.vault.env, state=on.vault.state, tokens=source)
        with closing(Session(transport, name=on.name, timeout=on.conditions.timeout)) as session:
            found = tuple(sorted(tool.name for tool in session.list_tools()))
        return verification.Seen(tools=found, scope=tokens.scope)
    except McpVaultError as error:
        return error.with_traceback(None)


class Held:
    """A ``TokenSource`` of one access token that nothing replaces."""

    def __init__(self, token: Secret) -> None:
        self._sent = {"Authorization": Secret(f"Bearer {token.reveal()}")}

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Return the token."""
        return self._sent

    def rejected(self, sent: Mapping[str, Secret], status: int, headers: Mapping[str, str], deadline: Deadline) -> bool:
        """Let the refusal stand."""
        return False

    def answered(self, headers: Mapping[str, str]) -> None:
        """Do nothing."""
