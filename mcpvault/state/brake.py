"""
The circuit breaker of refreshing: how long nobody tries again after a failure.

Shared by all processes, because it is kept in the record. It never lasts longer than five minutes and a
person's login does not ask it.
"""

from __future__ import annotations

from vault_schema.record import Record

LONGEST = 300  # seconds
HURRIED = "callers_deadline"  # the reason of a pause for callers that have less time than the server may need
_HURRIED = 5  # seconds
_FIRST_REJECTED = 10  # seconds


class Trouble(Record):
    """
    Failures in a row: how many, when the last one was, until when nobody tries, and what went wrong last.

    ``refused``: the authorization server has said no, and says so until a person mends something; True or None.
    """

    failures: int
    since: int  # Unix seconds
    until: int  # Unix seconds
    reason: str  # the kind of an error, or an OAuth error code
    refused: bool | None = None

    def left(self, now: float) -> float:
        """Return the seconds for which nobody may try; 0 also where the clock was moved since."""
        if self.since <= now < self.until <= self.since + LONGEST:
            return self.until - now
        return 0.0


def after(
    before: Trouble | None,
    *,
    reason: str,
    now: float,
    retry_after: float | None = None,
    least: float = 0.0,
    refused: bool = False,
) -> Trouble:
    """
    Return the trouble after one more failure: the pause doubles from a second up to five minutes.

    Args:
        before: What was known before it.
        reason: What went wrong.
        now: Unix seconds.
        retry_after: What the server asked for.
        least: The shortest pause that makes sense.
        refused: Only a person can mend it.
    """
    failures = 1 if before is None else min(before.failures + 1, 1_000_000)
    pause = max(2.0 ** min(failures - 1, 9), retry_after or 0.0, least)
    until = int(now) + int(min(pause, LONGEST))
    return Trouble(failures=failures, since=int(now), until=until, reason=reason, refused=refused or None)


def hurried(before: Trouble | None, now: float) -> Trouble:
    """Return the trouble after a caller that had no time to wait: no failure, and a pause for others in a hurry."""
    failures = before.failures if before is not None else 0
    return Trouble(failures=failures, since=int(now), until=int(now) + _HURRIED, reason=HURRIED)


def pause_after_rejections(rejections: int) -> float:
    """
    Return how old a token must be before its rejection is answered with another refresh.

    A server that refuses every token would otherwise have all of them replaced, one after another.

    Args:
        rejections: Refreshes in a row that were made because the server had refused a token.
    """
    return 0.0 if rejections < 1 else min(_FIRST_REJECTED * 2.0 ** min(rejections - 1, 9), LONGEST)
