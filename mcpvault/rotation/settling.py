"""
Waiting for an issuer that learns of another public key by and by: it may keep the ones that it fetched for a while.

Decides how long is waited and what is said meanwhile. Scripts go on with either key (``fallback``).
"""

from __future__ import annotations

import time

from mcpvault.durations import stamp
from mcpvault.errors import AuthorizationFailedError, McpVaultError, PolicyError
from mcpvault.rotation.ground import PAUSES, Ground
from mcpvault.rotation.verification import Seen
from mcpvault.stages import Stage
from vault_schema import Rotation


def look(on: Ground, journal: Rotation, stage: Stage) -> tuple[Rotation, Seen | McpVaultError]:
    """Use the key of *stage* until the issuer believes the client; return what it sees in the end, and the journal."""
    outcome = on.look(stage)
    ends, tries = on.now() + on.conditions.known_within, 0
    while _unknown(outcome) and (left := ends - on.now()) > 0:
        if tries == 0:
            told = f"the issuer does not know the {_WORDS[stage]} key yet; it is asked again until {stamp(ends)}"
            on.conditions.tell(f"{on.name}: {told}")
            if not journal.undo:  # there the problem says why it is given up
                journal = on.write(journal, journal.step, problem=told)
        time.sleep(min(left, PAUSES[min(tries, len(PAUSES) - 1)]))
        tries += 1
        outcome = on.look(stage)
    if _unknown(outcome) and tries:
        on.remark(
            f"the {_WORDS[stage]} key was refused for {on.conditions.known_within:g} s after it was published: the "
            "issuer may keep the keys that it fetched for longer (--wait), or not read where they are published"
        )
    return journal, outcome


def see_old_one_known(on: Ground, journal: Rotation) -> None:
    """
    Look whether the old key is good alone, before the new one is forgotten.

    Raises:
        PolicyError: The issuer takes the new one only: that is kept, for scripts to fall back to.
    """
    _, outcome = look(on, journal, "current")
    if _unknown(outcome) and not isinstance(on.look("pending"), McpVaultError):
        raise PolicyError(
            f"{on.name}: the issuer still takes the new {journal.field} and not the old one; scripts use that",
            hint=f"later, run: mcpvault rotate {on.name} --resume",
            server=on.name,
        )


def _unknown(outcome: Seen | McpVaultError) -> bool:
    """Tell whether the issuer did not believe the client (RFC 6749 §5.2): it knows no key that fits."""
    return isinstance(outcome, AuthorizationFailedError) and outcome.error == "invalid_client"


_WORDS = {"current": "present", "pending": "new", "previous": "old"}
