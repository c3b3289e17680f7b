"""
What a script does when the issuer refuses its secret in the middle of a rotation: look again, then use the other one.

Decides what is tried, once each: the current secret as the file has it now, then the one of the other stage. Uses of
the other one are counted, logged and written down. Leaves which stage that is to ``stages``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from mcpvault.errors import McpVaultError
from mcpvault.secret import Secret
from mcpvault.stages import Stage, other_stage

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.deadline import Deadline
    from mcpvault.entries import Concrete
    from mcpvault.oauth.settings import Settings

LOG = logging.getLogger("mcpvault.rotation")
_PROOFS = ("client_id", "client_secret", "private_key", "key_id", "assertion", "subject_token", "idp_client_secret")


def at_other_stages(vault: Vault, name: str) -> Iterator[tuple[Stage, Concrete]]:
    """Yield the entry *name* as the file has it now, then with the other secret of a rotation, where one is open."""
    with suppress(McpVaultError):  # what was believed before is still good
        vault.file.reread()
    yield "current", vault.resolve(name)
    stage = other_stage(vault.entry(name))
    if stage is not None:
        yield stage, vault.resolve(name, stage=stage)


def used(vault: Vault, name: str, stage: Stage) -> None:
    """Count and report that the secret at *stage* is used in place of the current one."""
    journal = vault.entry(name).rotation
    if stage == "current" or journal is None:
        return
    from mcpvault.state import fallbacks

    LOG.warning("%s: the current %s is refused, the %s one is tried (rotation)", name, journal.field, stage)
    fallbacks.count(vault.state, name, journal.id, stage, now=time.time())
    vault.audit("fallback", server=name, field=journal.field, stage=stage)


def other_settings(vault: Vault, name: str, refused: Settings) -> Iterator[tuple[Stage, Settings]]:
    """Yield the settings of an OAuth entry by which its client can prove itself otherwise than by *refused*."""
    tried = [refused]
    for stage, entry in at_other_stages(vault, name):
        found = entry.oauth
        if found is not None and all(_differs(found, each) for each in tried):
            tried.append(found)
            yield stage, found


def _differs(one: Settings, other: Settings) -> bool:
    return any(getattr(one, proof) != getattr(other, proof) for proof in _PROOFS)


def following(vault: Vault, entry: Concrete, own: object | None) -> RotatingHeaders | None:
    """Return what follows a static secret through its rotations; None where nothing is sealed, or the caller signs."""
    if own is not None or entry.kind != "http" or not any(vault.file.sealed_fields(entry.name)):
        return None
    return RotatingHeaders(vault, entry)


class Sent(dict[str, Secret]):
    """The headers of one request, and the stage that their secret is at."""

    stage: Stage = "current"


class RotatingHeaders:
    """
    The ``TokenSource`` of a static credential: what is sent changes where the vault does.

    Args:
        vault: Where the entry is.
        entry: As it was when the session was made.
    """

    def __init__(self, vault: Vault, entry: Concrete) -> None:
        self._vault = vault
        self._name = entry.name
        self._lock = threading.RLock()
        self._sent = _of(entry, "current")
        self._refused: Sent | None = None  # what was current, and is not tried again until the file says another

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Return the credential's headers and the entry's own."""
        return self._sent

    def answered(self, headers: Mapping[str, str]) -> None:
        """Do nothing: no answer changes a static credential."""

    def rejected(self, sent: Mapping[str, Secret], status: int, headers: Mapping[str, str], deadline: Deadline) -> bool:
        """Judge a refusal; True: there is another secret to send, which has not been refused."""
        if status != 401:
            return False
        with self._lock:
            if sent is not self._sent:
                return True  # another thread has found one since
            self._refused = self._sent if self._sent.stage == "current" else self._refused
            for stage, entry in at_other_stages(self._vault, self._name):
                found = _of(entry, stage)
                if found not in (self._sent, self._refused):
                    self._sent = found
                    used(self._vault, self._name, stage)
                    return True
            return False


def _of(entry: Concrete, stage: Stage) -> Sent:
    sent = Sent({**entry.headers, **entry.credential.headers})
    sent.stage = stage
    return sent
