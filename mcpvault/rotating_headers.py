"""
The headers of a static credential, which follow the vault through its rotations.

Decides what requests carry now. Leaves what is tried when the server refuses it to ``fallback``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcpvault.secret import Secret

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.deadline import Deadline
    from mcpvault.entries import Concrete
    from mcpvault.stages import Stage


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
        self._url = entry.url
        self._lock = threading.RLock()
        self._sent = _of(entry, "current")
        self._refused: Sent | None = None  # what was current, and is not tried again until the file says another

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Return the credential's headers and the entry's own."""
        return self._sent

    def answered(self, headers: Mapping[str, str]) -> None:
        """Do nothing: no answer changes a static credential."""

    def rejected(self, sent: Mapping[str, Secret], status: int, headers: Mapping[str, str], deadline: Deadline) -> bool:
        """
        Judge a refusal; True: there is another secret to send, which has not been refused.

        Raises:
            BindingMismatchError: The entry is for another URL now, and so are its secrets.
        """
        from mcpvault.fallback import PATIENCE, at_other_stages, changed, used

        # Whoever holds the lock may be waiting for a new secret.
        if status != 401 or not self._lock.acquire(timeout=min(deadline.remaining(), 2 * PATIENCE)):
            return False
        try:
            if sent is not self._sent:
                return True  # another thread has found one since
            self._refused = self._sent if self._sent.stage == "current" else self._refused
            for stage, entry in at_other_stages(self._vault, self._name, deadline):
                if entry.url != self._url:
                    raise changed(self._name, "url")
                found = _of(entry, stage)
                if found not in (self._sent, self._refused):
                    self._sent = found
                    used(self._vault, self._name, stage)
                    return True
            return False
        finally:
            self._lock.release()


def _of(entry: Concrete, stage: Stage) -> Sent:
    sent = Sent({**entry.headers, **entry.credential.headers})
    sent.stage = stage
    return sent
