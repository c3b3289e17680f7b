"""
START HERE. The name of a vault entry becomes a session, one step per layer, top to bottom.

``Vault`` is the public facade over an open vault file and the state of this host. This module
decides the order of the steps and what rooms of one rank get from each other; each step is its room's.

    vault.toml   text -> shape                     vault_schema.parse
                 shape -> unlocked, believed       vault.VaultFile.open
                 references -> values              vault.references
                 entry -> credential               credentials
                 credential -> guarded session     http
                 bytes on a wire or a pipe         transports
                 tools, resources, prompts         mcp.Session
"""

from __future__ import annotations

import os
import sys
import time
import types
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from mcpvault import carriers, entries
from mcpvault.auditing import Auditor, unlocking
from mcpvault.deadline import deadline_in
from mcpvault.host_state import kept_tasks, roots_trusted, state_of
from mcpvault.mcp.session import AuthState, Session
from mcpvault.places import Places, locate
from mcpvault.secret import Secret
from mcpvault.startup import Loading
from mcpvault.state.anchor import FileAnchor
from mcpvault.vault.documents import read_document, writable_by_others
from mcpvault.vault.keysources import Key, find_key
from mcpvault.vault.vaultfile import VaultFile

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.entries import Concrete
    from mcpvault.http import AuthBase
    from mcpvault.http.session import GuardedSession
    from mcpvault.http.token_source import TokenSource
    from mcpvault.login import OAuthProvider
    from mcpvault.mcp.callbacks import Callbacks
    from mcpvault.oauth_entry import OAuthEntry
    from mcpvault.pool import SessionPool
    from mcpvault.stages import Stage
    from mcpvault.state.files import StateDirectory
    from mcpvault.state.memory import MemoryState
    from mcpvault.vault.change import Change
    from mcpvault.vault.slots import NewSlot
    from vault_schema import Document, ServerEntry

    Auth = AuthBase | OAuthProvider


def connect(
    name: str,
    *,
    vault: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    auth: Auth | None = None,
    on_event: Callable[[AuthState], None] | None = None,
    callbacks: Callbacks | None = None,
) -> Session:
    """
    Return a session with the server *name* of the vault.

    Args:
        name: The entry.
        vault: The vault file; by default ``MCPVAULT_FILE`` or the user's.
        timeout: Seconds that one call may take, instead of the entry's.
        auth: A ``requests`` authentication, or an ``OAuthProvider``, instead of what the entry has.
        on_event: Called with each new ``AuthState``.
        callbacks: What the server may ask for, and what is to be heard.

    Raises:
        VaultError: The vault cannot be opened.
        ConfigurationError: The entry cannot be used as it stands.
    """
    return Vault.open(vault).session(name, timeout=timeout, auth=auth, on_event=on_event, callbacks=callbacks)


class Vault:
    """
    An open vault, and the state of this host beside it.

    Make one with ``open`` or ``create``. ``file`` is the vault file itself, and ``state`` the state folder.
    """

    def __init__(self, file: VaultFile, places: Places, state: StateDirectory, env: Mapping[str, str]) -> None:
        self.file = file
        self.places = places
        self.state = state
        self.env = env
        self._in_memory: dict[str, MemoryState] = {}
        self.audit = Auditor(state, file)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        key: Key | None = None,
        prompt: Callable[[str], Secret] | None = None,
    ) -> Vault:
        """
        Unlock the vault with the key that this process is given.

        Args:
            path: The vault file; by default ``MCPVAULT_FILE`` or the user's.
            env: The environment; by default the process's.
            key: The key, instead of looking for one.
            prompt: Asks a person for a passphrase; without it nobody is ever asked.

        Raises:
            VaultError: It cannot be opened, or must not be believed.
            ConfigurationError: Two keys are named, or a file is not private.
        """
        env = os.environ if env is None else env
        places = locate(env, path)
        document = read_document(places.vault_path)
        state = state_of(places, document)
        around: Any = {"data_home": places.data_home, "vault_path": places.vault_path, "prompt": prompt}
        with unlocking(state, document):
            file = VaultFile.open(
                places.vault_path,
                key=key or partial(find_key, env=env, **around),
                anchor=FileAnchor(state),
                trusted_roots=roots_trusted(places, state),
                document=document,
            )
        if writable_by_others(file.path):
            warnings.warn(f"{file.path}: others can write it; run: chmod go-w {file.path}", stacklevel=2)
        vault = cls(file, places, state, env)
        vault.audit("unlock", slot=file.slot.id)
        return vault

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        slots: Sequence[NewSlot],
        env: Mapping[str, str] | None = None,
        vault_id: bytes | None = None,
        key: Key | None = None,
    ) -> Vault:
        """
        Write a new, empty vault that *slots* open, then open it.

        Raises:
            ConfigurationError: There is a file already.
            VaultLockedError: The new vault was written, and this process is not given a key to it.
        """
        env = os.environ if env is None else env
        VaultFile.create(locate(env, path).vault_path, new_slots=slots, vault_id=vault_id, now=time.time)
        return cls.open(path, env=env, key=key)

    @staticmethod
    def peek(path: str | os.PathLike[str] | None = None, *, env: Mapping[str, str] | None = None) -> Document:
        """Read the vault without unlocking it; nothing in it has been verified. Raises ``VaultError``."""
        return read_document(locate(os.environ if env is None else env, path).vault_path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Be done. Sessions that were opened stay open."""

    @property
    def document(self) -> Document:
        """What was verified."""
        return self.file.document

    @property
    def memory(self) -> MemoryState:
        """The state of entries that are to leave no trace."""
        from mcpvault.state.memory import MemoryState

        return self._in_memory.setdefault(self.document.header.id, MemoryState())  # one, also for threads that race

    def names(self) -> tuple[str, ...]:
        """Return the names of all entries, in the order of the file."""
        return self.document.server_names

    def entry(self, name: str) -> ServerEntry:
        """Return the entry *name* as it is written, secrets sealed; raises ``UnknownServerError``."""
        return self.file.entry(name)

    def change(self, *, dry_run: bool = False) -> AbstractContextManager[Change]:
        """Edit the vault; see ``mcpvault.vault.change.Change``."""
        return self.file.change(dry_run=True) if dry_run else self.audit.of_change(self.file.change())

    def resolve(self, name: str, *, stage: Stage = "current", without: Collection[str] = ()) -> Concrete:
        """
        Return the entry *name*, its references filled in and its secrets open; *stage*, *without*: ``entries.resolve``.

        Raises:
            UnknownServerError: There is none.
            UnresolvedReferenceError: References have no value; all of them are named.
            BindingMismatchError: A sealed value is for another origin or command.
        """
        opened: dict[str, Secret] = {}
        with self.audit.watching("resolve", server=name, secrets=opened):
            around: Any = {"env": self.env, "credentials_dir": self.places.credentials_dir, "opened": opened}
            return entries.resolve(self.file, name, stage=stage, without=without, **around)

    def session(
        self,
        name: str,
        *,
        timeout: float | None = None,
        auth: Auth | None = None,
        interactive: str | None = None,
        on_event: Callable[[AuthState], None] | None = None,
        callbacks: Callbacks | None = None,
    ) -> Session:
        """
        Return a session with the server *name*; its first call connects.

        *interactive* ``tty``: a call without a grant may let the person at the terminal log in. The rest: ``connect``.

        Raises:
            McpVaultError: As ``resolve``; ``NotApprovedError`` where nobody has approved a command that was imported.
        """
        with deadline_in(timeout).governing():  # a reference may be a command
            entry = entries.approved(self.resolve(name))
        own, grant, tokens = self._signing(entry, auth, interactive)
        transport = carriers.transport(entry, env=self.env, state=self.state, auth=own, tokens=tokens)
        return Session(
            transport, name=name, timeout=float(entry.timeout.total) if timeout is None else timeout, on_event=on_event,
            callbacks=callbacks, authorization=grant, remedy=lambda: entries.remedy(self.entry(name)),
            tasks=lambda: kept_tasks(self, name),
        )  # fmt: skip

    def pool(self, name: str, *, size: int = 8, deadline: float | None = None, **options: Any) -> SessionPool:
        """Return up to *size* threads on one session; *options* and errors are ``session``'s. See ``SessionPool``."""
        from mcpvault.pool import SessionPool

        return SessionPool(self.session(name, **options), size=size, deadline=deadline)

    def authorization(self, name: str, *, without: Collection[str] = ()) -> EntryAuthorization:
        """
        Return what can be asked and done about the grant of the OAuth entry *name*; *without* as for ``resolve``.

        Raises:
            UnknownServerError, UnresolvedReferenceError, BindingMismatchError: As ``resolve``.
            ConfigurationError: The entry's credential is static.
        """
        from mcpvault.oauth_entry import entry_in

        return entry_in(self, self.resolve(name, without=without)).authorization

    def requests_session(self, name: str, *, auth: Auth | None = None) -> GuardedSession:
        """
        Return a guarded ``requests.Session`` that carries the entry's credential, for any HTTP API at its origin.

        Raises:
            McpVaultError: As ``resolve``; ``UnknownFieldError`` where the entry is a stdio server.
        """
        entry = entries.of_http(self.resolve(name))
        own, _, tokens = self._signing(entry, auth)
        return carriers.http_session(entry, env=self.env, state=self.state, auth=own, tokens=tokens)

    def headers(self, name: str) -> Mapping[str, Secret]:
        """
        Return the headers that prove who we are to the server *name*: the credential's and the entry's own.

        Raises:
            AuthorizationRequiredError: It is an OAuth entry, and only a person's login helps.
        """
        from mcpvault.opened import headers_of

        return headers_of(self, name)

    def token(self, name: str) -> Secret:
        """
        Return the bearer token of the entry *name*; of an OAuth entry one that is good now.

        Raises:
            UnknownFieldError: The entry has none.
            AuthorizationRequiredError: It is an OAuth entry, and only a person's login helps.
        """
        from mcpvault.opened import token_of

        return token_of(self, name)

    def _signing(
        self, entry: Concrete, auth: Auth | None, interactive: str | None = None
    ) -> tuple[AuthBase | None, OAuthEntry | None, TokenSource | None]:
        """Return the caller's own authentication, or the entry's grant; and what signs with that, or its secret."""
        own, provider = entries.told_apart(auth)
        if entry.oauth is None or own is not None:
            from mcpvault.rotating_headers import following

            return own, None, following(self, entry, own)
        with Loading():
            from mcpvault.oauth_entry import entry_in

        grant = entry_in(self, entry, provider=provider, interactive=interactive)
        return None, grant, grant.source


class _CallableModule(types.ModuleType):
    """``mcpvault.connect("name")`` works although ``mcpvault.connect`` is also this module."""

    def __call__(self, *args: Any, **kwargs: Any) -> Session:
        return connect(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
