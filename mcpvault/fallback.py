"""
What a script does when the issuer refuses its secret in the middle of a rotation: look again, then use the other one.

Decides what is tried, once each: the current secret as the file has it now, then the one of the other stage, which is
waited for while the issuer makes it. Uses of the other one are counted, logged and written down. What has come into
the vault for another server or issuer is no other secret. Leaves which stage that is to ``stages``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from mcpvault.errors import BindingMismatchError, McpVaultError
from mcpvault.stages import other_stage, version_of

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.deadline import Deadline
    from mcpvault.entries import Concrete
    from mcpvault.stages import Stage
    from mcpvault.tokens import Settings

LOG = logging.getLogger("mcpvault.rotation")
PATIENCE = 10.0  # seconds to wait for a secret that is being made
_RECENT = 60.0  # seconds for which a journal that says so is believed: who wrote it may be gone
_POLL = 0.05  # seconds
# What a session goes on with: whoever proves himself otherwise is followed, to another place nobody is.
_PLACE = ("kind", "url", "issuer", "resource", "dpop", "idp_issuer", "credential", "persist")
_PROOFS = ("client_id", "client_secret", "private_key", "key_id", "assertion", "subject_token", "idp_client_secret")


def at_other_stages(vault: Vault, name: str, deadline: Deadline) -> Iterator[tuple[Stage, Concrete]]:
    """Yield the entry *name* as the file has it now, then with the other secret of a rotation, where one is open."""
    _look_again(vault)
    yield "current", vault.resolve(name)
    if _is_being_made(vault, name):
        waiting = deadline.within(PATIENCE)
        while _is_being_made(vault, name) and not waiting.expired():
            time.sleep(min(_POLL, waiting.remaining()))
            _look_again(vault)
        yield "current", vault.resolve(name)
    stage = other_stage(vault.entry(name))
    if stage is not None:
        yield stage, vault.resolve(name, stage=stage)


def _look_again(vault: Vault) -> None:
    with suppress(McpVaultError):  # what was believed before is still good
        vault.file.reread()


def _is_being_made(vault: Vault, name: str) -> bool:
    """Tell whether somebody has just asked the issuer for another secret: it may have ended this one by that."""
    entry = vault.entry(name)
    journal = entry.rotation
    if journal is None or journal.step != "minted" or journal.undo:
        return False
    if version_of(entry, journal.field, "current") is None:  # tokens, of which the vault has none
        return False
    from mcpvault.durations import moment

    return vault.file.now() - moment(journal.updated) < _RECENT


def moved(begun: Settings, now: Settings) -> str | None:
    """Return what an OAuth entry says of where its grants are from and for, and said otherwise when a session began."""
    return next((each for each in _PLACE if getattr(begun, each) != getattr(now, each)), None)


def changed(name: str, what: str) -> BindingMismatchError:
    """Return the error of a session that goes on while *what* of its entry says something else than when it began."""
    return BindingMismatchError(
        f"{name}: its {what} was changed in the vault since this session was opened; nothing of what is there now is "
        "sent by it",
        hint="open a new session",
        server=name,
    )


def used(vault: Vault, name: str, stage: Stage) -> None:
    """Count and report that the secret at *stage* is used in place of the current one."""
    journal = vault.entry(name).rotation
    if stage == "current" or journal is None:
        return
    from mcpvault.state import fallbacks

    LOG.warning("%s: the current %s is refused, the %s one is tried (rotation)", name, journal.field, stage)
    fallbacks.count(vault.state, name, journal.id, stage, now=time.time())
    vault.audit("fallback", server=name, field=journal.field, stage=stage)


def other_settings(vault: Vault, name: str, refused: Settings, deadline: Deadline) -> Iterator[tuple[Stage, Settings]]:
    """Yield the settings of an OAuth entry by which its client can prove itself otherwise than by *refused*."""
    tried = [refused]
    for stage, entry in at_other_stages(vault, name, deadline):
        found = entry.oauth
        if found is not None and moved(refused, found) is None and all(_differs(found, each) for each in tried):
            tried.append(found)
            yield stage, found


def _differs(one: Settings, other: Settings) -> bool:
    return any(getattr(one, proof) != getattr(other, proof) for proof in _PROOFS)
