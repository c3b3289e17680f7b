"""
The rotator ``tokens``: another grant for an OAuth entry, tried, and the old one revoked at the end (RFC 7009).

The same steps as for a sealed secret, but what is rotated is in the state of this host and not in the vault: the old
tokens are kept aside, sealed, until they are revoked. A machine obtains its new grant itself; a person logs in, here or
with ``mcpvault login``, and ``--resume`` goes on from there.

Spec: RFC 7009; SPEC §10.4.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mcpvault.durations import seconds, stamp
from mcpvault.errors import AuthorizationRequiredError, ConfigurationError, McpVaultError, PolicyError
from mcpvault.rotation import old_tokens, verification
from mcpvault.rotation.ground import Ground
from mcpvault.rotation.rotator import Plan
from mcpvault.rotation.whereabouts import GIVEN_UP, held
from mcpvault.state.grants import BEFORE, same_login, withdraw
from vault_schema import Rotation

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.state.record import TokenRecord
    from mcpvault.state.tokens import TokenStore

ROTATOR = "tokens"
FIELD = "auth.tokens"


def plan(on: Ground) -> Plan:
    """
    Say what would be done.

    Raises:
        ConfigurationError: The entry keeps no tokens, or an entry that shares them rotates them already.
    """
    main = on.vault.authorization(on.name)
    if main.settings.persist == "none":
        raise ConfigurationError(f"{on.name}: has no tokens that are kept", server=on.name)
    for name in on.vault.names():
        other = on.vault.entry(name)
        shared = name != on.name and (other.credential or name) == main.store.credential
        if shared and other.rotation is not None and other.rotation.open and other.rotation.rotator == ROTATOR:
            raise ConfigurationError(
                f"{on.name}: shares its tokens with {name}, whose rotation is open",
                hint=f"run: mcpvault rotate {name} --resume",
                server=on.name,
            )
    first = "a person logs in" if main.settings.needs_person else "the entry obtains another token in its own name"
    return Plan(
        keeps_old=True,
        steps=(first, "the old tokens are kept aside, sealed, in the state of this host",
               "they are revoked at the authorization server, when the grace is over"),
    )  # fmt: skip


def mint(on: Ground, journal: Rotation) -> bool:
    """Set the old tokens aside, and get others; a login sets them aside anew (``state.grants``)."""
    journal = on.write(journal, "minted", attempt=journal.attempt + 1)
    main = on.vault.authorization(on.name)
    with main.store.exclusive():
        before, kept = main.store.read(), old_tokens.kept(main)
        if before is not None and before.tokens is not None:
            if journal.attempt == 1 or kept is None or not _is_another(main, before, kept):
                _put(main.store.beside(BEFORE), before)
                kept = before
            if journal.attempt == 1:
                withdraw(main.store.beside(GIVEN_UP))
    if before is None or before.tokens is None or kept is None:
        undo(on, journal, "there are no tokens on this host")
        raise ConfigurationError(f"{on.name}: there are no tokens on this host to rotate", server=on.name)
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
    main = on.vault.authorization(on.name)
    if (same := _shared(main.store.read(), old_tokens.kept(main))) is not None:  # to revoke one is to revoke the other
        told = f"the authorization server gave the same {same} again"
        on.write(journal, "aborted", problem=told)
        withdraw(main.store.beside(BEFORE))
        raise PolicyError(f"{on.name}: {told}; nothing was rotated", server=on.name)
    new, old = old_tokens.see(on, None), old_tokens.see(on, old_tokens.kept(main))
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


def undo(on: Ground, journal: Rotation, why: str) -> None:
    """
    Bring the old tokens back into use, then revoke the new ones.

    Raises:
        PolicyError: The issuer has ended the old ones: the new ones stay in use, and the rotation open.
    """
    give_up(on, on.write(journal, journal.step, undo=True, problem=why))


def give_up(on: Ground, journal: Rotation) -> bool:
    """
    Go on with giving up. Raises as ``undo``.

    What is given up is written down before anything comes back, and what was brought back is forgotten aside before
    anything is revoked: a run that was cut off knows the tokens to revoke, whatever scripts have refreshed meanwhile.
    """
    main = on.vault.authorization(on.name)
    if (ended := _ended(on, main)) is not None:
        told = f"{journal.problem}; not rolled back: the old tokens have ended: {ended}"
        on.write(journal, journal.step, undo=None, problem=told)
        hint = f"the new ones are in use; mend what is wrong, then run: mcpvault rotate {on.name} --resume"
        raise PolicyError(f"{on.name}: {told}", hint=hint, server=on.name)
    aside, given_up = main.store.beside(BEFORE), main.store.beside(GIVEN_UP)
    with main.store.exclusive():
        old, new, candidate = old_tokens.kept(main), main.store.read(), held(given_up)
        if old is not None and new is not None and _is_candidate(main, new, old, candidate) and not _shared(new, old):
            candidate = new
            _put(given_up, new)
            main.store.write(old.replaced(generation=new.generation + 1))
        elif candidate is None and journal.step not in ("planned", "minted"):
            on.remark("nothing was found to give up")
        withdraw(aside)
    for each in main.give_back(candidate, timeout=on.conditions.timeout) if candidate is not None else ():
        on.remark(None if each.outcome == "revoked" else f"the new {each.token}: {each.outcome}")
    withdraw(given_up)
    on.write(journal, "aborted", undo=None)
    return False


STEPS = {
    "planned": mint,
    "minted": mint,
    "stored": verify,
    "verified": promote,
    "promoted": confirm,
    "grace": old_tokens.revoke,
    "revoked": old_tokens.see_it_dead,
}


def _is_another(grant: EntryAuthorization, new: TokenRecord, old: TokenRecord) -> bool:
    """Tell whether *new* holds another grant than *old*: a person's is the same one until there is another login."""
    return new.tokens != old.tokens and not (grant.settings.needs_person and same_login(new, old))


def _shared(one: TokenRecord | None, other: TokenRecord | None) -> str | None:
    """Return which token two records have in common, or None."""
    for name in ("refresh_token", "access_token"):
        held = [getattr(each.tokens, name) for each in (one, other) if each is not None and each.tokens is not None]
        if len(held) == 2 and held[0] and held[0] == held[1]:
            return name.replace("_", " ")
    return None


def _is_candidate(grant: EntryAuthorization, new: TokenRecord, old: TokenRecord, candidate: TokenRecord | None) -> bool:
    """Tell whether *new* is still what is given up; *candidate* is what a run that was cut off took for it."""
    if candidate is None or grant.settings.needs_person:
        return _is_another(grant, new, old)
    return new.tokens == candidate.tokens


def _ended(on: Ground, main: EntryAuthorization) -> str | None:
    """
    Return why the old tokens of a person cannot come back, or None: an issuer may end them at the next login.

    Only redeeming the refresh token tells; that is done aside, journalled like any, so that scripts notice nothing.
    """
    old, new = old_tokens.kept(main), main.store.read()
    if old is None or new is None or not main.settings.needs_person or not _is_another(main, new, old):
        return None
    if _shared(new, old) is not None:  # what would be redeemed is in use
        return None
    if not old.refreshable:
        seen = old_tokens.see(on, old)
        if isinstance(seen, McpVaultError) and not verification.refused(seen):
            raise seen
        return seen.message if isinstance(seen, McpVaultError) else None
    failure = None
    try:
        _aside(on, main).renew(expiring=None, adopt=True, timeout=on.conditions.timeout)
    except AuthorizationRequiredError as error:
        failure = error.message
    return failure


def _aside(on: Ground, main: EntryAuthorization) -> EntryAuthorization:
    """Return the authorization whose tokens are the old ones."""
    from mcpvault.oauth_entry import entry_of, sealing_of

    entry = on.vault.resolve(on.name)
    return entry_of(
        entry.replaced(oauth=main.settings.replaced(credential=main.store.beside(BEFORE).credential)),
        state=on.vault.state,
        sealing=sealing_of(on.vault.file),
        env=on.vault.env,
        tell=partial(on.vault.audit, server=on.name),
    ).authorization


def _put(store: TokenStore, record: TokenRecord) -> None:
    with store.exclusive():
        store.write(record)
