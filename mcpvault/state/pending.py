"""
Authorization requests that await their response: sealed, used once, gone after ten minutes.

Decides how long and how often. What such a request holds is ``mcpvault.oauth``'s business; here it is one secret.
"""

from __future__ import annotations

import hashlib
import time
import tomllib
from collections.abc import Callable
from typing import Any

from mcpvault.errors import VaultError
from mcpvault.secret import Secret
from mcpvault.state.store import StateStore
from mcpvault.state.token_file import Seal, Unseal
from vault_schema.canonical import pae

LIFETIME = 600  # seconds
PATIENCE = 10.0  # seconds to wait for another process
MOST = 16  # of one credential; the oldest give way
Entry = dict[str, Any]


class PendingStore:
    """
    The pending authorizations of one credential.

    Args:
        store: The state folder.
        credential: Its name.
        vault_id: Sealed with them.
        seal: As for ``TokenStore``.
        unseal: As for ``TokenStore``.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: StateStore,
        credential: str,
        *,
        vault_id: str,
        seal: Seal,
        unseal: Unseal,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._credential = credential
        self._vault_id = vault_id
        self._seal = seal
        self._unseal = unseal
        self._clock = clock
        self._file = _file(credential)

    def keep(self, state: Secret, told: Secret, *, patience: float = PATIENCE) -> None:
        """
        Keep *told* to be had once, by whoever knows its *state* parameter.

        Raises:
            PermissionsError: It cannot be written.
            BusyError: Another process kept the lock for *patience* seconds.
        """
        from vault_schema import dump_plain

        key, created = _key(state), int(self._clock())
        sealed = self._seal(told.reveal().encode("utf-8", "surrogatepass"), self._associated(key, created))
        entry = {"key": key, "created": created, "sealed": sealed}
        with self._store.lock(f"pending-{self._credential}", timeout=min(patience, PATIENCE)):
            others = [other for other in self._fresh() if other["key"] != key]
            self._store.replace(self._file, dump_plain({"pending": [*others[-MOST + 1 :], entry]}).encode())

    def take(self, state: Secret, *, patience: float = PATIENCE) -> Secret | None:
        """
        Return what was kept for *state* and forget it; None if there is nothing, or it is older than ten minutes.

        Raises:
            PermissionsError: It cannot be forgotten, so it is not given either.
            BusyError: Another process kept the lock for *patience* seconds.
        """
        from vault_schema import dump_plain

        key = _key(state)
        with self._store.lock(f"pending-{self._credential}", timeout=min(patience, PATIENCE)):
            fresh = self._fresh()
            found = [entry for entry in fresh if entry["key"] == key]
            if not found:
                return None
            others = [entry for entry in fresh if entry["key"] != key]
            self._store.replace(self._file, dump_plain({"pending": others}).encode())
        return self._opened(found[0])

    def look(self, state: Secret) -> Secret | None:
        """Return what ``take`` would, without forgetting it."""
        return next((self._opened(entry) for entry in self._fresh() if entry["key"] == _key(state)), None)

    def known(self, state: Secret) -> bool:
        """Tell whether something is kept for *state*; it stays."""
        return any(entry["key"] == _key(state) for entry in self._fresh())

    def _opened(self, entry: Entry) -> Secret | None:
        try:
            told = self._unseal(entry["sealed"], self._associated(entry["key"], entry["created"]))
        except VaultError:
            return None  # of another key: whoever began it begins again
        return Secret(told.decode("utf-8", "surrogatepass"))

    def _fresh(self) -> list[Entry]:
        return _fresh(self._store, self._credential, self._clock())

    def _associated(self, key: str, created: int) -> bytes:
        return pae("mcpvault/1/state", self._vault_id, "pending", self._credential, key, created)


def awaiting(store: StateStore, credential: str, now: float) -> int | None:
    """
    Return when the last login was begun that still awaits its response, in Unix seconds; None if there is none.

    Raises:
        PermissionsError: The state folder must not be believed.
    """
    return max((entry["created"] for entry in _fresh(store, credential, now)), default=None)


def _fresh(store: StateStore, credential: str, now: float) -> list[Entry]:
    """Return what is not too old; a damaged file holds nothing."""
    data = store.read(_file(credential))
    try:
        held = tomllib.loads(data.decode()).get("pending") if data else None
    except (ValueError, RecursionError):
        return []
    entries = held if isinstance(held, list) else []
    return [entry for entry in entries if _sound(entry) and 0 <= now - entry["created"] <= LIFETIME]


def _file(credential: str) -> str:
    return f"pending-{credential}.toml"


def _key(state: Secret) -> str:
    """Return what stands in the file for a ``state`` parameter."""
    return hashlib.sha256(b"mcpvault/1/pending\0" + state.reveal().encode("utf-8", "replace")).hexdigest()


def _sound(entry: object) -> bool:
    kinds = {"key": str, "created": int, "sealed": str}
    return isinstance(entry, dict) and all(type(entry.get(name)) is kind for name, kind in kinds.items())
