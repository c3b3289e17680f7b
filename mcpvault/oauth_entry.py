"""
One OAuth entry as every run needs it: its settings, its state, what its requests carry.

Loaded for OAuth entries only. Leaves what a login, a refresh or an error needs to ``oauth_parts``.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mcpvault.errors import BindingMismatchError, ConfigurationError, RetiredKeyError, TamperedError
from mcpvault.startup import Loading
from mcpvault.state.host import host_id, host_name
from mcpvault.state.record import Bound
from mcpvault.state.tokens import TokenStore
from mcpvault.token_source import EntryTokens
from mcpvault.vault.state_sealing import epoch_of, seal_state, unseal_state
from vault_schema import origin_of
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.connect import Vault
    from mcpvault.deadline import Deadline
    from mcpvault.entries import Concrete
    from mcpvault.errors import LoginNeededError
    from mcpvault.login import OAuthProvider
    from mcpvault.secret import Secret
    from mcpvault.state.store import StateStore
    from mcpvault.tokens import Settings
    from mcpvault.vault.vaultfile import VaultFile
    from vault_schema import Document, ServerEntry

ASK_HERE = "call session.authenticate(), or pass an OAuthProvider as auth"


class Sealing(Record):
    """How state is sealed: for which vault, and by what."""

    vault_id: str
    seal: Callable[[bytes, bytes], str]
    unseal: Callable[[str, bytes], bytes]


class _Epochs:
    """
    Seals state with the newest vault key that this process has met, and opens what an earlier one has sealed.

    A vault may get a new key while sessions go on: whoever meets state of a later epoch opens the vault again.
    """

    def __init__(self, file: VaultFile) -> None:
        self._file = file

    def seal(self, data: bytes, associated: bytes) -> str:
        file = self._file
        return seal_state(file.keys.vault_key, file.document.header.epoch, data, associated)

    def unseal(self, line: str, associated: bytes) -> bytes:
        file, epoch = self._file, epoch_of(line)
        if epoch is not None and epoch > file.document.header.epoch:
            from mcpvault.vault.reopening import reopened

            self._file = file = reopened(file)
        keys = file.keys_of(epoch) if epoch is not None else [file.keys.vault_key]
        if not keys:
            raise RetiredKeyError(
                f"sealed in epoch {epoch} of the vault, whose key was given up; the vault is at "
                f"{file.document.header.epoch}",
                hint="log in again",
            )
        for key in keys[:-1]:
            try:
                return unseal_state(key, line, associated)
            except TamperedError:
                continue
        return unseal_state(keys[-1], line, associated)


def sealing_of(file: VaultFile) -> Sealing:
    """Return how the state of an open vault is sealed."""
    epochs = _Epochs(file)
    return Sealing(file.document.header.id, epochs.seal, epochs.unseal)


def unsealed() -> Sealing:
    """Return how state is kept that never leaves this process: there is no vault, and no key."""
    return Sealing("", lambda data, _: b64encode(data).decode(), lambda line, _: b64decode(line))


class OAuthEntry:
    """
    What a session holds of an OAuth entry: what its requests carry, and who does what else is to be done about it.

    Args:
        settings: The entry's ``auth``, secrets open.
        store: The state of its credential.
        make: Makes the ``authorization``, given what the requests carry.
    """

    def __init__(
        self, settings: Settings, store: TokenStore, make: Callable[[EntryTokens], EntryAuthorization]
    ) -> None:
        self.on_login: Callable[[], None] = lambda: None
        self.source = EntryTokens(settings, store, lambda: self.authorization)
        self._make = make
        self._made: EntryAuthorization | None = None

    @property
    def authorization(self) -> EntryAuthorization:
        """The whole of it, which a run with a good token has no use for, and does not load."""
        if self._made is None:
            made = self._make(self.source)
            made.on_login = lambda: self.on_login()
            self._made = made
        return self._made

    def authenticate(self, *, method: str | None, scope: str | None, deadline: Deadline) -> None:
        """See ``EntryAuthorization``."""
        self.authorization.authenticate(method=method, scope=scope, deadline=deadline)

    def authorization_url(self, *, redirect_uri: str | None, scope: str | None, deadline: Deadline) -> str:
        """See ``EntryAuthorization``."""
        return self.authorization.authorization_url(redirect_uri=redirect_uri, scope=scope, deadline=deadline)

    def complete(self, redirected: Secret, *, deadline: Deadline) -> None:
        """See ``EntryAuthorization``."""
        self.authorization.complete(redirected, deadline=deadline)

    def advise(self, error: LoginNeededError) -> None:
        """See ``EntryAuthorization``."""
        self.authorization.advise(error)


def entry_in(
    vault: Vault, entry: Concrete, *, provider: OAuthProvider | None = None, interactive: str | None = None
) -> OAuthEntry:
    """
    Return the OAuth entry *entry* of *vault*.

    Raises:
        ConfigurationError: The entry is of another kind, or shares its credential with one that it does not fit.
    """
    check_sharing(vault.document, entry.name)
    return entry_of(
        entry,
        state=vault.memory if settings_of(entry).persist == "none" else vault.state,
        sealing=sealing_of(vault.file),
        env=vault.env,
        provider=provider,
        interactive=interactive,
        vault=vault,
    )


def entry_of(
    entry: Concrete,
    *,
    state: StateStore,
    sealing: Sealing,
    env: Mapping[str, str],
    provider: OAuthProvider | None = None,
    interactive: str | None = None,
    vault: Vault | None = None,
    remedy: str | None = None,
    tell: Callable[..., None] | None = None,
) -> OAuthEntry:
    """
    Return the OAuth entry that *entry* is.

    Args:
        entry: Made concrete, of an OAuth kind.
        state: Where what runs produce is kept.
        sealing: How it is sealed.
        env: The environment.
        provider: A caller's own way through a login.
        interactive: ``never`` or ``tty``, instead of the entry's.
        vault: Where it is, if in one: its settings are read anew there, and what is done is written down.
        remedy: As for ``EntryAuthorization``.
        tell: Writes down what is done, in place of the *vault*; see ``Remembered``.

    Raises:
        ConfigurationError: The entry is of another kind, or there is no such *interactive*.
    """
    settings, since = settings_of(entry), time.monotonic()
    if interactive not in (None, "never", "tty"):
        raise ConfigurationError(f"interactive: expected 'never' or 'tty', got {interactive!r}", server=settings.server)
    store = TokenStore(
        state,
        settings.credential,
        vault_id=sealing.vault_id,
        seal=sealing.seal,
        unseal=sealing.unseal,
        host=host_id(state, sealing.vault_id),
        host_name=host_name(),
        server=entry.name,
        persist="refresh" if settings.persist == "refresh" else "all",
        bound=Bound(
            origin=entry.credential.origin,
            path=urlsplit(settings.url).path,
            issuer=settings.issuer,
            resource=settings.resource,
            dpop=settings.dpop,
            **who_asks(settings),
        ),
    )

    def make(source: EntryTokens) -> EntryAuthorization:
        with Loading():
            from mcpvault.oauth_parts import authorization_of

        return authorization_of(
            entry, settings, source, store, state=state, sealing=sealing, env=env, since=since,
            provider=provider, interactive=interactive, vault=vault, remedy=remedy, tell=tell,
        )  # fmt: skip

    return OAuthEntry(settings, store, make)


def check_sharing(document: Document, name: str) -> None:
    """
    Refuse entries that share a credential and are not for the same thing.

    Raises:
        BindingMismatchError: Another entry names the same credential, for another origin, issuer or client.
    """
    entry = document.server(name)
    credential = entry.credential or name
    for other in document.server_names:
        if other == name or (document.tree["servers"][other].get("credential") or other) != credential:
            continue
        here, there = _shared(entry), _shared(document.server(other))
        wrong = next((what for what in here if here[what] != there[what]), None)
        if wrong is not None:
            raise BindingMismatchError(
                f"servers.{name}: shares the credential {credential!r} with {other!r}, and their {wrong} differs: "
                "a token is for one thing only",
                hint=f"give one of them another: mcpvault set {name} credential NAME",
                server=name,
            )


def _shared(entry: ServerEntry) -> dict[str, object]:
    """Return what entries that share a credential must have in common."""
    said = entry.auth.fields()
    common = ("kind", "issuer", "resource", "client_id", "idp_issuer", "dpop", "persist")
    return {"origin": origin_of(entry.url) if entry.url else None, **{name: said[name] for name in common}}


def who_asks(settings: Settings) -> dict[str, Any]:
    """Return as whom a grant is asked for, as ``Bound`` has it."""
    subject = None
    if settings.word is not None:
        from mcpvault.oauth.subject import subject_of

        subject = subject_of(settings.word)
    return {
        "kind": settings.kind,
        "client_id": settings.client_id,
        "other_clients": () if settings.needs_person else settings.other_clients,
        "idp_issuer": settings.idp_issuer,
        "subject": subject,
    }


def settings_of(entry: Concrete) -> Settings:
    """Return the settings of an OAuth entry; raises ``ConfigurationError`` where it is of another kind."""
    if entry.oauth is None:
        raise ConfigurationError(
            f"{entry.name}: its credential is static: nothing logs in, refreshes or expires by itself",
            hint=f"run: mcpvault get {entry.name}",
            server=entry.name,
        )
    return entry.oauth
