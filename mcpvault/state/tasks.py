"""
Tasks that servers go on with by themselves: their ids, sealed, until somebody has had the result.

Decides how long and how many. An id may be as good as a credential, so only a handle made of it stands in clear.

Spec: MCP tasks extension: "Clients SHOULD persist task IDs to durable storage".
"""

from __future__ import annotations

import logging
import time
import tomllib
from collections.abc import Callable
from typing import Any

from mcpvault.errors import VaultError
from mcpvault.secret import Secret, stand_in
from mcpvault.state.store import StateStore
from mcpvault.state.token_file import Seal, Unseal
from vault_schema.canonical import pae
from vault_schema.record import Record

LOG = logging.getLogger("mcpvault.state")
LIFETIME = 90 * 86_400  # seconds
MOST = 256  # of one server; the oldest give way
Entry = dict[str, Any]


class KeptTask(Record):
    """A task, when it was begun, and the tool that it is of."""

    id: Secret
    tool: str
    created: int


class TaskStore:
    """
    The tasks of one server.

    Args:
        store: The state folder.
        server: The entry's name.
        vault_id: Sealed with them.
        seal: As for ``TokenStore``.
        unseal: As for ``TokenStore``.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: StateStore,
        server: str,
        *,
        vault_id: str,
        seal: Seal,
        unseal: Unseal,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._server = server
        self._vault_id = vault_id
        self._seal = seal
        self._unseal = unseal
        self._clock = clock
        self._file = f"tasks-{server}.toml"

    def keep(self, task_id: str, tool: str) -> None:
        """
        Remember a task; keeping it twice is fine.

        Raises:
            PermissionsError: It cannot be written.
            BusyError: Another process kept the lock.
        """
        handle, created = stand_in(task_id), int(self._clock())
        sealed = self._seal(task_id.encode("utf-8", "surrogatepass"), self._associated(handle, tool, created))
        entry = {"handle": handle, "tool": tool, "created": created, "sealed": sealed}
        self._change(lambda held: [*(each for each in held if each["handle"] != handle), entry][-MOST:])

    def forget(self, task_id: str) -> None:
        """
        Forget a task; one that is not known is forgotten already.

        Raises:
            PermissionsError: It cannot be written.
            BusyError: Another process kept the lock.
        """
        handle = stand_in(task_id)
        if any(each["handle"] == handle for each in self._held()):
            self._change(lambda held: [each for each in held if each["handle"] != handle])

    def all(self) -> list[KeptTask]:
        """Return what is remembered, oldest first; never waits. What cannot be opened is left out, with a warning."""
        return [task for entry in self._held() if (task := self._opened(entry)) is not None]

    def _change(self, change: Callable[[list[Entry]], list[Entry]]) -> None:
        from vault_schema import dump_plain

        with self._store.lock(f"tasks-{self._server}"):
            self._store.replace(self._file, dump_plain({"task": change(self._held())}).encode())

    def _opened(self, entry: Entry) -> KeptTask | None:
        handle, tool, created = entry["handle"], entry["tool"], entry["created"]
        try:
            told = self._unseal(entry["sealed"], self._associated(handle, tool, created))
        except VaultError:
            LOG.warning("%s: the id of task %s was sealed with another key", self._server, handle)
            return None
        return KeptTask(Secret(told.decode("utf-8", "surrogatepass")), tool, created)

    def _held(self) -> list[Entry]:
        """Return what is not too old; a damaged file holds nothing."""
        data, now = self._store.read(self._file), self._clock()
        try:
            held = tomllib.loads(data.decode()).get("task") if data else None
        except (ValueError, RecursionError):
            held = None
        entries = held if isinstance(held, list) else []
        return [entry for entry in entries if _sound(entry) and now - entry["created"] <= LIFETIME]

    def _associated(self, handle: str, tool: str, created: int) -> bytes:
        return pae("mcpvault/1/state", self._vault_id, "task", self._server, handle, tool, created)


def _sound(entry: object) -> bool:
    kinds = {"handle": str, "tool": str, "created": int, "sealed": str}
    return isinstance(entry, dict) and all(type(entry.get(name)) is kind for name, kind in kinds.items())
