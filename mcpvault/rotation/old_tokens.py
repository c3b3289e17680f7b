"""
What becomes of the old tokens of a grant: revoked when the grace is over, and seen dead.

Decides what may be called dead. Leaves how they are given up, or brought back, to ``tokens``.

Spec: RFC 7009; SPEC §10.4.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mcpvault.durations import moment, stamp
from mcpvault.errors import McpVaultError, PolicyError
from mcpvault.rotation import verification
from mcpvault.rotation.ground import Ground
from mcpvault.rotation.whereabouts import held
from mcpvault.state.grants import BEFORE, withdraw
from vault_schema import Rotation

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.state.record import TokenRecord

_PAUSE = 0.5  # seconds between two looks at a token that is to be dead


def revoke(on: Ground, journal: Rotation) -> bool:
    """Revoke the old tokens, when the grace is over; what fails is tried again before anything else."""
    if stamp(on.now()) < (journal.until or ""):
        return False
    journal = on.write(journal, "grace", attempt=journal.attempt + 1)
    problem, again = _given_back(on, kept(on.vault.authorization(on.name)))
    on.write(journal, "revoked", problem=problem, ended=stamp(on.now()))
    on.remark(problem if again else None)
    return not again


def see_it_dead(on: Ground, journal: Rotation) -> bool:
    """Look whether the old access token is refused, and forget it; whatever is found, with ``force`` it ends."""
    main, force = on.vault.authorization(on.name), on.conditions.force
    record, ended, problem = kept(main), moment(journal.ended or journal.updated), journal.problem
    if record is None:
        problem = problem or "the old tokens were not found, and nobody has seen them refused"
    elif problem is not None:
        problem, _ = _given_back(on, record)
    if record is not None and record.tokens is not None and not record.tokens.access_token:  # persist = "refresh"
        problem, record = problem or "the old access token is kept nowhere, and nobody has seen it refused", None
    hope = problem is None and not force and record is not None and _can_revoke(record)
    while record is not None:
        outcome = see(on, record)
        if isinstance(outcome, McpVaultError):
            if verification.refused(outcome):
                break
            if not force:
                raise outcome
            found = f"nobody has seen the old access token refused: {outcome.message}"
        elif hope and on.now() < ended + on.conditions.dead_within:
            if not on.patient:
                return False
            time.sleep(_PAUSE)
            continue
        else:
            found = f"the old access token is still accepted, since {journal.ended or journal.updated}"
        problem = f"{found}; {problem}" if problem else found
        break
    if problem is not None and on.conditions.require_dead and not force:
        if journal.problem != problem:
            on.write(journal, "revoked", problem=problem)
        raise PolicyError(f"{on.name}: {problem}", server=on.name)
    new = see(on, None)
    if isinstance(new, McpVaultError) and verification.refused(new):
        problem = f"the new tokens are refused since the old ones were revoked: {new.message}"
    on.remark(problem)
    withdraw(main.store.beside(BEFORE))
    on.write(journal, "done", problem=problem)
    return False


def kept(main: EntryAuthorization) -> TokenRecord | None:
    """Return the old tokens, None where they are not kept here."""
    return held(main.store.beside(BEFORE))


def see(on: Ground, old: TokenRecord | None) -> verification.Seen | McpVaultError:
    """Use the tokens that are in use, or those of *old*; return what they see, or why they do not."""
    try:
        return verification.look_with_tokens(on.vault, on.name, old, timeout=on.conditions.timeout)
    except McpVaultError as error:
        return error.with_traceback(None)


def _given_back(on: Ground, record: TokenRecord | None) -> tuple[str | None, bool]:
    """
    Revoke the old tokens; return what is wrong with it, and whether another try may mend that.

    Whether an access token that its server would not revoke is dead can be seen; of a refresh token nobody can tell.
    """
    if record is None:
        return "the old tokens were not found, and not revoked", False
    outcomes = on.vault.authorization(on.name).give_back(record, timeout=on.conditions.timeout)
    left = [each for each in outcomes if each.outcome != "revoked"]
    told = [f"the old {each.token.replace('_', ' ')}: {each.outcome}" for each in left]
    wrong = [text for text, each in zip(told, left, strict=True) if each.undecided or each.token == "refresh_token"]  # noqa: S105
    for text in told:
        on.remark(text if text not in wrong else None)
    return "; ".join(wrong) or None, any(each.undecided for each in left)


def _can_revoke(record: TokenRecord) -> bool:
    return record.server is not None and record.server.revocation_endpoint is not None
