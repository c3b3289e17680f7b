"""
Where the state of one credential is kept: read without a lock, written by whoever holds it.

Decides the names, the lock, and what of the tokens is written at all. Leaves when to refresh to ``refresh``
and the text of the file to ``token_file``.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from mcpvault.errors import BusyError, RetiredKeyError, VaultError, VaultFormatError
from mcpvault.secret import Secret
from mcpvault.state import token_file
from mcpvault.state.record import Bound, Facts, TokenRecord

if TYPE_CHECKING:
    from mcpvault.state.files_written import Room
    from mcpvault.state.store import StateStore
    from mcpvault.state.token_file import Seal, Unseal

LOG = logging.getLogger("mcpvault.state")
Persist = Literal["all", "refresh", "none"]

_BESIDE = ("before", "given-up")  # the dot before it: see ``TokenStore.beside``
_NAME = rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,63}}(?:\.(?:{'|'.join(_BESIDE)}))?"
PATIENCE = 60.0  # seconds to wait for another's refresh: two redemptions, and some more
_POLL = 0.025  # seconds
_NOTHING = Secret("")


class TokenStore:
    """
    The state of one credential. Any number of objects, threads and processes may share it.

    Args:
        store: The state folder.
        credential: Its name; entries may share one. ``beside`` makes others.
        vault_id: Sealed with it.
        seal: Seals data, bound to associated data, into one line.
        unseal: Opens such a line, or raises a ``VaultError``.
        host: ``host.host_id``.
        host_name: ``host.host_name``.
        server: The entry it is used for, for messages; by default the credential.
        persist: ``refresh`` keeps access tokens in this process only, ``none`` everything.
        bound: What its tokens are for; a grant for something else is not used.
    """

    def __init__(
        self,
        store: StateStore,
        credential: str,
        *,
        vault_id: str,
        seal: Seal,
        unseal: Unseal,
        host: str,
        host_name: str = "",
        server: str | None = None,
        persist: Persist = "all",
        bound: Bound | None = None,
    ) -> None:
        self.credential = _checked(credential)
        self.vault_id = vault_id
        self.host = host
        self.host_name = host_name
        self.server = server or credential
        if persist == "none":
            from mcpvault.state.memory import MemoryState

            store = MemoryState()
        self._store = store
        self._seal = seal
        self._unseal = unseal
        self._secretive = persist == "refresh"
        self._bound = bound
        self._seen: tuple[bytes, TokenRecord, TokenRecord] | None = None  # as it is kept, and as it may be used
        self._unwritten: tuple[int, Secret] | None = None
        self._inner: dict[int, threading.RLock] = {}
        self._holder: tuple[int, int] | None = None

    def read(self) -> TokenRecord | None:
        """
        Return the record, or None if there is none; never waits. A grant for something else is left out.

        Raises:
            VaultError: It is damaged, or sealed with another key. It stays as it is.
            PermissionsError: It may not be believed, or cannot be read.
        """
        seen = self._look()
        return self._with_unwritten(seen[2]) if seen is not None else None

    def kept(self) -> TokenRecord | None:
        """Return what is kept, whatever it is for: to give it back, or to leave it alone. Raises as ``read``."""
        seen = self._look()
        return self._with_unwritten(seen[1]) if seen is not None else None

    def _look(self) -> tuple[bytes, TokenRecord, TokenRecord] | None:
        name = file_of(self.credential)
        data = self._store.read(name)
        if data is None:
            return None
        seen = self._seen
        if seen is None or seen[0] != data:
            place = token_file.place_of(self._store, name)
            try:
                record = token_file.record_in(
                    data, vault_id=self.vault_id, credential=self.credential, unseal=self._unseal, place=place
                )
            except RetiredKeyError:
                from mcpvault.state.given_up import dead_for_its_key

                record = dead_for_its_key(token_file.facts_in(data, place=place), None)
            except VaultError as error:
                error.server, error.login_command = self.server, f"mcpvault login {self.server}"
                error.hint = f"it is kept as it is; to replace it, run: {error.login_command}"
                raise
            self._seen = seen = (data, record, self._fitting(record))
        return seen

    @property
    def inherited(self) -> bool:
        """Whether the record was copied by a fork, out of the memory of a process that may refresh it meanwhile."""
        from mcpvault.state.memory import MemoryState

        return isinstance(self._store, MemoryState) and self._store.inherited(file_of(self.credential))

    def room(self) -> AbstractContextManager[Room | None]:
        """
        Hold room on the disk for the next ``write`` but one, as large as the record is now.

        Raises:
            PermissionsError: There is none.
        """
        size = len(self._seen[0]) if self._seen else token_file.BLOCK
        return self._store.room(file_of(self.credential), size)

    def write(self, record: TokenRecord, *, room: Room | None = None) -> None:
        """
        Replace the record, durably, in *room* that was held for it. The caller holds the lock.

        Raises:
            PermissionsError: It cannot be written; the old one is untouched.
        """
        if self._holder != (os.getpid(), threading.get_ident()):
            raise RuntimeError("a record is written by the process and thread that holds its lock")
        if self._bound is not None:
            record = record.replaced(origin=self._bound.origin)
        kept = record
        if self._secretive and record.tokens:
            kept = record.replaced(tokens=record.tokens.replaced(access_token=_NOTHING))
        data = token_file.render(kept, vault_id=self.vault_id, credential=self.credential, seal=self._seal)
        self._store.replace(file_of(self.credential), data, room=room)
        self._seen = (data, kept, kept)
        if self._secretive:
            self._unwritten = (record.generation, record.tokens.access_token) if record.tokens else None

    @contextmanager
    def attempt(self) -> Iterator[bool]:
        """Try to take the lock, without waiting; the block is told whether it was had."""
        inner = self._inner.setdefault(os.getpid(), threading.RLock())  # a child's is its own
        with ExitStack() as held:
            held.callback(_release, inner)  # before: Ctrl-C may come as soon as the lock is had
            had = inner.acquire(blocking=False)
            if had:
                try:
                    held.enter_context(self._store.lock(f"token-{self.credential}", timeout=0))
                except BusyError:
                    had = False
            if had:
                self._holder = (os.getpid(), threading.get_ident())
                held.callback(setattr, self, "_holder", None)
            yield had

    @contextmanager
    def exclusive(self, *, timeout: float = PATIENCE) -> Iterator[None]:
        """
        Hold the lock for the time of the block.

        Raises:
            BusyError: Somebody kept it for *timeout* seconds, a minute at most; the message says who.
        """
        ends = time.monotonic() + min(timeout, PATIENCE)
        while True:
            with self.attempt() as had:
                if had:
                    yield
                    return
            if time.monotonic() >= ends:
                raise self.busy()
            time.sleep(_POLL)

    def busy(self) -> BusyError:
        """Return the error for a lock that somebody else keeps."""
        facts = peek(self._store, self.credential)
        intent = facts.intent if facts and facts.status == "refreshing" else None
        who = intent.story() if intent else "another process"
        return BusyError(
            f"{self.server}: its tokens are being refreshed by {who}",
            hint="try again; if that process hangs, end it" if intent else "try again",
            server=self.server,
        )

    def beside(self, part: str) -> TokenStore:
        """
        Return the store of what a rotation keeps of this credential, beside it: ``before``, ``given-up``.

        There is a dot in its name, which no credential's has (SPEC §10.1).
        """
        return self.named(f"{self.credential}.{part}")

    def named(self, credential: str) -> TokenStore:
        """Return the store of another name, for the same entry."""
        return self._another(self._store, credential, self.host)

    def over(self, store: StateStore, host: str) -> TokenStore:
        """Return the same over another folder."""
        return self._another(store, self.credential, host)

    def _another(self, store: StateStore, credential: str, host: str) -> TokenStore:
        return TokenStore(
            store, credential, vault_id=self.vault_id, seal=self._seal, unseal=self._unseal, host=host,
            host_name=self.host_name, server=self.server, persist="refresh" if self._secretive else "all",
            bound=self._bound,
        )  # fmt: skip

    def logging_in(self) -> AbstractContextManager[None]:
        """Let ``status`` say, for the time of the block, that somebody logs in."""
        from mcpvault.state.logins import announced

        return announced(self._store, self.credential, host_name=self.host_name)

    def set_aside(self) -> int:
        """
        Keep a copy of a file that cannot be read and is about to be replaced; return its generation if that can be.

        Raises:
            PermissionsError: It cannot be written.
        """
        name = file_of(self.credential)
        self._store.replace(f"{name}.damaged", data := self._store.read(name) or b"")
        with suppress(VaultFormatError):
            return token_file.facts_in(data, place=name, whole=False).generation
        return 0

    def difference(self, record: TokenRecord) -> str | None:
        """Return what *record* is for instead of what the entry is now, for a message, or None."""
        return self._bound.difference(record) if self._bound is not None else None

    def follow(self, **who: Any) -> None:
        """Let the tokens be those of *who* from now on: the entry has changed that."""
        self._bound, self._seen = self._bound and self._bound.replaced(**who), None

    def _fitting(self, record: TokenRecord) -> TokenRecord:
        """Return *record*, without its grant and client where they are for something else than the entry is now."""
        other = self.difference(record)
        if other is None:
            return record
        level = logging.WARNING if record.registration else logging.INFO  # a machine obtains another
        LOG.log(level, "%s: its grant is for another entry's or an earlier %s, and is not used", self.server, other)
        return TokenRecord(
            generation=record.generation,
            status="none",
            host=self.host,
            host_name=self.host_name,
            entries=record.entries,
        )

    def _with_unwritten(self, record: TokenRecord) -> TokenRecord:
        """Put the access token in that only this process knows."""
        unwritten = self._unwritten
        if not self._secretive or unwritten is None or unwritten[0] != record.generation or record.tokens is None:
            return record
        return record.replaced(tokens=record.tokens.replaced(access_token=unwritten[1]))


def peek(store: StateStore, credential: str) -> Facts | None:
    """
    Return what the record of *credential* says in clear, or None if there is none; no key is needed.

    Raises:
        VaultFormatError: It is damaged.
        PermissionsError: It cannot be read.
    """
    name = file_of(_checked(credential))
    data = store.read(name)
    return token_file.facts_in(data, place=token_file.place_of(store, name)) if data is not None else None


def credentials(store: StateStore) -> tuple[str, ...]:
    """Return the names of all records that are here: of credentials, and of what rotations keep beside them."""
    found = (re.fullmatch(rf"token-({_NAME})\.toml", name) for name in store.names())
    return tuple(match[1] for match in found if match)


def file_of(credential: str) -> str:
    """Return the name of the file that the record of *credential* is in."""
    return f"token-{credential}.toml"


def _release(lock: threading.RLock) -> None:
    with suppress(RuntimeError):  # it is another thread's
        lock.release()


def _checked(credential: str) -> str:
    # _NAME by hand: a pattern that is compiled costs every run more than all else that is done with it.
    name, dot, part = credential.partition(".")
    fits = name.isascii() and name[:1].isalnum() and name.replace("-", "").replace("_", "").isalnum()
    if not fits or len(name) > 64 or (dot and part not in _BESIDE):
        raise ValueError("not the name of a credential")
    return credential
