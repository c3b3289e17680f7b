"""
What is learned of how long a grant lasts and how its issuer treats refresh tokens, by what it says and by what it does.

Decides what a login, a refresh and a refusal teach. Nothing here changes what is sent: it is for people, who want to
know when they will be needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpvault.state.record import Lifetime

if TYPE_CHECKING:
    from mcpvault.state.journal import Intent
    from mcpvault.tokens import TokenSet

_SAME = 60  # seconds by which two statements of one moment may differ


def begun(before: Lifetime | None, tokens: TokenSet) -> Lifetime:
    """Return the lifetime of a new grant; *before* is that of the same issuer's last one."""
    before, at = before or Lifetime(), int(tokens.issued_at)
    # Logins are told from one another by this: no two of one grant have the same, not even in the same second.
    return before.learned.replaced(begun=at + (at == before.begun), ends=_end(tokens))


def refreshed(before: Lifetime | None, old: TokenSet, new: TokenSet, *, again: bool) -> Lifetime:
    """
    Return what a refresh has taught.

    Args:
        before: What was known.
        old: What was redeemed.
        new: What came of it.
        again: The first answer was lost, and the same token was redeemed once more.
    """
    known, now = before or Lifetime(), int(new.issued_at)
    # A grant that outlives the earlier one, or wakes after a longer sleep, proves what was learned of it wrong.
    if known.idle is not None and now - old.issued_at > known.idle:
        known = known.replaced(idle=None)
    if known.age is not None and known.begun is not None and now - known.begun > known.age:
        known = known.replaced(age=None)
    end = _end(new)
    if end is not None and known.ends is not None:
        known = known.replaced(extends=end > known.ends + _SAME)
    return known.replaced(
        ends=known.ends if end is None else end,
        rotates=new.refresh_token is not None and new.refresh_token != old.refresh_token,
        forgives=True if again else known.forgives,
    )


def refused(before: Lifetime | None, tokens: TokenSet | None, intent: Intent | None, now: float) -> Lifetime | None:
    """Return what a refused refresh token has taught: an issuer without grace, or after how long a grant ends."""
    if tokens is None:
        return before
    known = before or Lifetime()
    if intent is not None and intent.lost:
        return known.replaced(forgives=False)
    age = int(now) - known.begun if known.begun is not None else None
    return known.replaced(idle=max(0, int(now - tokens.issued_at)), age=age)


def _end(tokens: TokenSet) -> int | None:
    return None if tokens.refresh_expires_at is None else int(tokens.refresh_expires_at)
