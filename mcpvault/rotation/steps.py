"""
The steps of a rotation, each journalled before it acts, each safe to be taken twice.

Decides what stops a step and what undoes it. Each returns whether the next may be taken now.

Spec: SPEC §10.4.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mcpvault.durations import moment, seconds, stamp
from mcpvault.errors import DeadlineExceededError, McpVaultError, PolicyError, ServerError, TransportError
from mcpvault.rotation import settling, verification
from mcpvault.rotation.ground import COMPANIONS, PAUSES, Ground
from mcpvault.rotation.rotator import Case, Minted, rotator
from mcpvault.secret import Secret
from mcpvault.state.fallbacks import counted
from mcpvault.vault import stages
from vault_schema import Rotation

if TYPE_CHECKING:
    from mcpvault.stages import Stage
    from mcpvault.vault.change import Change

_LATEST = 253_402_300_799  # the last second of the year 9999


def mint(on: Ground, journal: Rotation) -> bool:
    """Ask for a new secret, and keep it as ``pending`` before anything else happens."""
    case, maker = on.case(journal, "current"), rotator(journal.rotator)
    journal = on.write(journal, "minted", attempt=journal.attempt + 1)
    try:
        minted = maker.mint(case.replaced(attempt=journal.attempt), on.deadline())
    except PolicyError as error:  # nothing was made, and nothing will be
        undo(on, journal, error.message)
        raise

    def replace(change: Change) -> None:
        for field, secret in minted.secrets.items():
            change.set_secret(on.name, field, secret)

    try:
        on.refuse_known(journal.field, minted.secret, minted.client_id)
    except PolicyError as error:
        undo(on, on.write(journal, "minted", replace), error.message)
        raise

    def edit(change: Change) -> None:
        until = minted.not_after or _end_of(minted.secret)
        stages.drop(change, on.name, journal.field, "pending")
        change.set_secret(on.name, journal.field, minted.secret, stage="pending", not_after=until)
        for field, secret in minted.staged.items():
            change.set_secret(on.name, field, secret, stage="pending")
        replace(change)

    on.write(journal, "stored", edit, problem=None, **_with_it(minted))
    return True


def verify(on: Ground, journal: Rotation) -> bool:
    """Try the new secret; where it is not good enough, go back while there is a way."""
    maker = rotator(journal.rotator)
    journal = on.write(journal, "stored", attempt=journal.attempt + 1)
    case = on.case(journal, "pending")
    maker.publish(case.replaced(attempt=journal.attempt), on.deadline())
    plan = maker.plan(case)
    journal, new = settling.look(on, journal, "pending") if plan.settles else (journal, on.look("pending"))
    lost = _wanting(on, new)
    if lost is None:
        on.write(journal, "verified", problem=None)
        return True
    if plan.keeps_old or not isinstance(on.look("current"), McpVaultError):
        undo(on, journal, lost)
        told, hint = "rolled back", "the old one is in use as before"
    else:
        on.write(journal, "stored", problem=lost)
        told = "not rolled back: the issuer has replaced the old one"
        hint = f"mend what is wrong, then run: mcpvault rotate {on.name} --resume"
    raise PolicyError(f"{on.name}: the new {journal.field}: {lost}; {told}", hint=hint, server=on.name)


def promote(on: Ground, journal: Rotation) -> bool:
    """Let everybody use the new secret, from the next reading of the vault on."""

    def edit(change: Change) -> None:
        for field in on.fields(journal, "pending"):
            stages.promote(change, on.name, field)
        on.keep_companions(change, journal, "pending")

    until = stamp(on.now() + (seconds(journal.grace or "") or 0))
    on.write(journal, "promoted", edit, until=until, **on.moved(journal, "pending", "previous"))
    return True


def confirm(on: Ground, journal: Rotation) -> bool:
    """Use the new secret as everybody does from now on; if that fails, go back while there is a way."""
    journal = on.write(journal, "promoted", attempt=journal.attempt + 1)
    plan = rotator(journal.rotator).plan(on.case(journal, "current"))
    journal, outcome = settling.look(on, journal, "current") if plan.settles else (journal, on.look("current"))
    if isinstance(outcome, McpVaultError):
        if not _refused(on, outcome, "current", beside="previous"):
            raise outcome
        undo(on, journal, f"refused when it was in use: {outcome.message}")
        raise PolicyError(f"{on.name}: {outcome.message}; rolled back", server=on.name)
    on.write(journal, "grace", problem=None)
    on.remark(f"when its grace is over, {journal.until}: {plan.by_hand}" if plan.by_hand else None)
    return True


def revoke(on: Ground, journal: Rotation) -> bool:
    """End the old secret, when the grace is over."""
    if stamp(on.now()) < (journal.until or ""):
        return False
    times, last, _ = counted(on.vault.state, on.name, journal.id)
    on.remark(f"this host fell back {times} time{'s' * (times != 1)}, last at {stamp(last or 0)}" if times else None)
    journal = on.write(journal, "grace", attempt=journal.attempt + 1)
    case = on.case(journal, "previous").replaced(attempt=journal.attempt)
    if _in_use(case, "previous", journal.previous_client_id):
        told = f"nothing was ended: the previous {journal.field} is the one in use"
        on.remark(told)
        _forget_old(on, journal, told)
        return False
    if journal.previous_client_id is not None:
        _take_over_tokens(on)
    try:
        order = rotator(journal.rotator).revoke(case, on.deadline())
    except McpVaultError as error:
        if not on.conditions.force:
            raise
        order = f"the old {journal.field} was not ended: {error.message}"
    on.remark(order)
    on.write(journal, "revoked", problem=order, ended=stamp(on.now()))
    return True


def _take_over_tokens(on: Ground) -> None:
    """Let the new client have the tokens that scripts of this host use: those of a client that is deleted end too."""
    grant = on.vault.authorization(on.name)
    if not grant.settings.needs_person and grant.has_grant():
        grant.renew(expiring=None, adopt=False, timeout=on.conditions.timeout)


def see_it_dead(on: Ground, journal: Rotation) -> bool:
    """
    Look whether the old secret is refused, and forget it.

    What was ended here may take a while to die. What a person ends is looked at once, as often as anybody asks.
    """
    ended = moment(journal.ended or journal.updated)
    tries = 0
    while not isinstance(outcome := on.look("previous"), McpVaultError):
        left = ended + on.conditions.dead_within - on.now()
        if left <= 0 or journal.problem or on.conditions.force:
            return _alive(on, journal)
        if not on.patient:
            return False
        time.sleep(min(left, PAUSES[min(tries, len(PAUSES) - 1)]))
        tries += 1
    if _refused(on, outcome, "previous", beside="current"):
        _forget_old(on, journal)
    elif on.conditions.force:
        on.write(journal, "done", problem=f"nobody has seen the old {journal.field} refused: {outcome.message}")
    else:
        raise outcome
    return False


def _forget_old(on: Ground, journal: Rotation, problem: str | None = None) -> None:
    def edit(change: Change) -> None:
        for field in on.fields(journal, "previous"):
            stages.drop(change, on.name, field, "previous")

    on.write(journal, "done", edit, problem=problem, **_without("previous"))


def _in_use(case: Case, stage: str, client_id: str | None) -> bool:
    """Tell whether the secret of *stage* is the one that is in use too: a journal of others may say so."""
    held, current = case.secrets.get(stage), case.secrets.get("current")
    return held is not None and held == current and client_id in (None, case.entry.auth.client_id)


def _alive(on: Ground, journal: Rotation) -> bool:
    """Report it; what somebody is to end, or is known to be alive, stays open until it is dead, or by ``force``."""
    known, since = journal.problem or "", journal.ended or journal.updated
    alive = f"the old {journal.field} is still accepted, since {since}"
    problem = known if known.startswith(alive) else "; ".join(filter(None, (alive, known)))
    if on.conditions.force or not (known or on.conditions.require_dead):
        on.remark(problem)
        on.write(journal, "done", problem=problem)
        return False
    if known != problem:  # a timer looks again and again
        on.write(journal, "revoked", problem=problem)
    if on.conditions.require_dead:
        raise PolicyError(
            f"{on.name}: {problem}",
            hint=f"end it at its issuer, then run: mcpvault rotate {on.name} --resume --require-dead",
            server=on.name,
        )
    on.remark(alive if known in on.remarks else problem)
    return False


def undo(on: Ground, journal: Rotation, why: str) -> None:
    """Bring the old secret back into use, then end the new one."""
    promoted = journal.step in ("promoted", "grace", "revoked")

    def edit(change: Change) -> None:
        for field in on.fields(journal, "previous") if promoted else ():
            stages.demote(change, on.name, field)
        if promoted:
            on.keep_companions(change, journal, "previous")

    moved = on.moved(journal, "previous", "pending") if promoted else {}
    journal = on.write(
        journal, "stored" if promoted else journal.step, edit, undo=True, problem=why, ended=None, **moved
    )
    give_up(on, journal)


def give_up(on: Ground, journal: Rotation) -> bool:
    """End the secret that did not come into use, then forget it."""
    case = on.case(journal, "pending")
    if "pending" in case.secrets and not _in_use(case, "pending", journal.pending_client_id):
        maker = rotator(journal.rotator)
        try:
            on.remark(maker.withdraw(case, on.deadline()))
            if maker.plan(case).settles:
                settling.see_old_one_known(on, journal)
        except McpVaultError as error:
            if not on.conditions.force:
                raise
            on.remark(f"the new {journal.field} was not ended: {error.message}")

    def edit(change: Change) -> None:
        for field in on.fields(journal, "pending"):
            stages.drop(change, on.name, field, "pending")

    on.write(journal, "aborted", edit, undo=None, **_without("pending"))
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


def _wanting(on: Ground, new: verification.Seen | McpVaultError) -> str | None:
    """Compare what the new secret sees with what the old one does; return what is wrong with it, or None."""
    if isinstance(new, McpVaultError):
        if verification.decided(new) or _refused(on, new, "pending", beside="current"):
            return new.message
        raise new
    old = on.look("current")
    if isinstance(old, McpVaultError):
        if not verification.decided(old):
            raise old
        on.remark(f"the old secret does not work already, so nothing was compared: {old.message}")
        return None
    lost = new.lost(old)
    if not lost:
        return None
    if on.conditions.accept_changes:
        on.remark(f"accepted: the new one lacks {', '.join(lost)}")
        return None
    return f"lacks {', '.join(lost)} (--accept-changes takes it)"


def _refused(on: Ground, outcome: McpVaultError, stage: Stage, *, beside: Stage) -> bool:
    """
    Tell whether *outcome* is about the secret of *stage*.

    A program that is given a dead secret may fail in any way, and so may one that cannot start: it is the secret
    where the one *beside* works meanwhile.
    """
    if verification.refused(outcome) or on.entry.kind == "http":
        return verification.refused(outcome)
    if isinstance(outcome, DeadlineExceededError) or not isinstance(outcome, TransportError | ServerError):
        return False
    return not isinstance(on.look(beside), McpVaultError) and isinstance(on.look(stage), McpVaultError)


def _end_of(secret: Secret) -> str | None:
    """Return when *secret* ends by its own word: it is a JWT with ``exp``, which is believed for a reminder only."""
    from mcpvault.oauth.jwt import unverified_claims

    exp = unverified_claims(secret).get("exp") if secret.reveal().startswith("eyJ") else None
    return stamp(exp) if isinstance(exp, int) and 0 < exp < _LATEST else None


def _with_it(minted: Minted) -> dict[str, str]:
    found = {f"pending_{ours}": getattr(minted, ours) for ours in COMPANIONS}
    return {name: value for name, value in found.items() if value is not None}


def _without(stage: str) -> dict[str, None]:
    return dict.fromkeys(f"{stage}_{ours}" for ours in COMPANIONS)
