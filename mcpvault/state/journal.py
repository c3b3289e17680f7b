"""
The journal of a redemption: who began it, when, where, with which token, and how it ended.

It is written before a refresh token leaves, so that whatever happens afterwards can be told by the next run.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from pathlib import PurePath
from typing import TYPE_CHECKING

from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.secret import Secret

MOST_ATTEMPTS = 2  # redemptions of one token whose answer nobody saw
_STOPPED = 3600  # seconds for which a process may have been stopped; its number may be another's by then
_ELSEWHERE = 60  # seconds for which a process of another host, or container, may be at it
YOUNG = 10  # seconds; authorization servers that forgive a second redemption do so for about this long


class Intent(Record):
    """
    One redemption that was begun.

    ``attempts`` counts the redemptions of this token whose answer was not seen, this one included; ``ended`` is
    empty until somebody knows how it ended (``died``, ``interrupted``, or the kind of an error); ``lost`` describes
    the attempt before this one.
    """

    program: str
    pid: int
    user: int
    host_name: str
    started: int  # Unix seconds
    token: str  # fingerprint
    attempts: int = 1
    ended: str = ""
    lost: str = ""

    def young(self, now: float) -> bool:
        """Tell whether it was begun less than ten seconds ago; a clock that was set back tells nothing."""
        return 0 <= now - self.started < YOUNG

    def goes_on(self, host_name: str, now: float) -> bool:
        """Tell whether the process that began it may still be at it, as far as *host_name* can know."""
        here = self.host_name == host_name
        return 0 <= now - self.started < (_STOPPED if here else _ELSEWHERE) and (not here or lives(self.pid))

    @property
    def is_last(self) -> bool:
        """Whether its token is not redeemed again if nobody sees the answer."""
        return self.attempts >= MOST_ATTEMPTS

    def story(self) -> str:
        """Return who, where and when, for a message."""
        return f"{self.program} (pid {self.pid}) on {self.host_name} at {stamp(self.started)}"


def lives(pid: int) -> bool:
    """Tell whether there is such a process; where asking would end it, it is taken to be there."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return pid > 0


def begin(token: Secret | None, *, now: float, host_name: str, before: Intent | None) -> Intent:
    """
    Return the journal of a redemption that this process is about to begin.

    Args:
        token: What is redeemed.
        now: Unix seconds.
        host_name: How people call this host.
        before: The redemption of the same token whose answer nobody saw, or None.
    """
    return Intent(
        program=plain(PurePath((getattr(sys, "argv", None) or [""])[0] or "python").name),
        pid=os.getpid(),
        user=os.getuid() if hasattr(os, "getuid") else -1,
        host_name=plain(host_name),
        started=int(now),
        token=fingerprint(token),
        attempts=1 if before is None else before.attempts + 1,
        lost="" if before is None else before.story(),
    )


def fingerprint(token: Secret | None) -> str:
    """Return eight hexadecimal digits that tell one token from another, and nothing about it."""
    if token is None:
        return "-"
    return hashlib.sha256(b"mcpvault/1/fingerprint\0" + token.reveal().encode("utf-8", "replace")).hexdigest()[:8]


def stamp(seconds: float) -> str:
    """Return a moment as people read it, in UTC."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


def plain(text: str) -> str:
    """Return *text* fit for a message and a file: visible ASCII, not long."""
    return re.sub(r"[^\x20-\x7e]", "?", text)[:64] or "?"
