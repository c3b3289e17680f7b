"""
One OAuth entry, put together: its settings, its state, who carries out its flows.

Decides what the rooms get from one another, as ``connect`` does for the rest; loaded for OAuth entries only.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mcpvault.authorization import EntryAuthorization
from mcpvault.errors import (
    BindingMismatchError,
    ConfigurationError,
    McpVaultError,
    RetiredKeyError,
    TamperedError,
)
from mcpvault.remembered import Remembered
from mcpvault.state.host import host_id, host_name
from mcpvault.state.record import Bound
from mcpvault.state.tokens import TokenStore
from mcpvault.vault.state_sealing import epoch_of, seal_state, unseal_state
from vault_schema import origin_of
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.deadline import Deadline
    from mcpvault.entries import Concrete
    from mcpvault.grants import Grants
    from mcpvault.http.asking import Asker
    from mcpvault.login import OAuthProvider
    from mcpvault.oauth.flows import Client
    from mcpvault.oauth.settings import Settings
    from mcpvault.state.pending import PendingStore
    from mcpvault.state.store import StateStore
    from mcpvault.vault.vaultfile import VaultFile
    from vault_schema import Document, ServerEntry

STALE = 30.0  # seconds
ASK_HERE = "call session.authenticate(), or pass an OAuthProvider as auth"


class Sealing(Record):
    """How state is sealed: for which vault, and by what."""

    vault_id: str
    seal: Callable[[bytes, bytes], str]
    unseal: Callable[[str, bytes], bytes]


class Latest:
    """
    The settings of an entry, for one use; they are read again before the next, and where they are not of just now.

    What they refer to by ``${file:}``, ``${env:}`` and ``${cmd:}``, a workload's JWT above all, may live for
    minutes only, and a session for days.
    """

    def __init__(self, settings: Settings, again: Callable[[], Settings]) -> None:
        self._settings = settings
        self._again = again
        self._stale = time.monotonic() + STALE

    def __call__(self) -> Settings:
        """Return them."""
        if time.monotonic() >= self._stale:
            self._settings = self._again()
        self._stale = 0.0
        return self._settings


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


def authorization_in(
    vault: Vault, entry: Concrete, *, provider: OAuthProvider | None = None, interactive: str | None = None
) -> EntryAuthorization:
    """
    Return the authorization of an entry of *vault*.

    Raises:
        ConfigurationError: The entry is of another kind, or shares its credential with one that it does not fit.
    """

    def again() -> Settings:
        with suppress(McpVaultError):  # what was believed before is still good
            vault.file.reread()
        return _settings_of(vault.resolve(entry.name))

    def others(refused: Settings, deadline: Deadline) -> Iterator[Settings]:
        from mcpvault.fallback import other_settings, used

        for stage, settings in other_settings(vault, entry.name, refused, deadline):
            used(vault, entry.name, stage)
            yield settings

    check_sharing(vault.document, entry.name)
    return authorization_of(
        entry,
        state=vault.memory if _settings_of(entry).persist == "none" else vault.state,
        sealing=sealing_of(vault.file),
        env=vault.env,
        provider=provider,
        interactive=interactive,
        again=again,
        others=others,
        tell=partial(vault.audit, server=entry.name),
    )


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
    common = ("kind", "issuer", "resource", "client_id", "dpop", "persist")
    return {"origin": origin_of(entry.url) if entry.url else None, **{name: said[name] for name in common}}


def _settings_of(entry: Concrete) -> Settings:
    if entry.oauth is None:
        raise ConfigurationError(
            f"{entry.name}: its credential is static: nothing logs in, refreshes or expires by itself",
            hint=f"run: mcpvault get {entry.name}",
            server=entry.name,
        )
    return entry.oauth


def authorization_of(
    entry: Concrete,
    *,
    state: StateStore,
    sealing: Sealing,
    env: Mapping[str, str],
    provider: OAuthProvider | None = None,
    interactive: str | None = None,
    again: Callable[[], Settings] | None = None,
    others: Callable[[Settings, Deadline], Iterator[Settings]] | None = None,
    remedy: str | None = None,
    tell: Callable[..., None] | None = None,
) -> EntryAuthorization:
    """
    Return the authorization of *entry*.

    Args:
        entry: Made concrete, of an OAuth kind.
        state: Where what runs produce is kept.
        sealing: How it is sealed.
        env: The environment.
        provider: A caller's own way through a login.
        interactive: ``never`` or ``tty``, instead of the entry's.
        again: Reads the settings once more; see ``Latest``.
        others: Yields the settings to try where the given ones are refused (``invalid_client``), in a rotation.
        remedy: As for ``EntryAuthorization``.
        tell: As for ``Remembered``.

    Raises:
        ConfigurationError: The entry is of another kind.
    """
    settings = _settings_of(entry)
    latest = Latest(settings, again) if again is not None else None
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
            client_id=settings.client_id,
            dpop=settings.dpop,
        ),
    )

    def ways() -> Grants:
        from mcpvault.grants import Grants

        reach = reach_of(entry, settings, env)
        return Grants(settings, reach, allow_http=entry.allow_http, latest=latest, registered=remember)

    def remember(client: Client, deadline: Deadline) -> None:
        from mcpvault.state.grants import remember_client

        assert client.registration is not None  # noqa: S101  it was registered just now
        remember_client(
            store,
            server=client.server,
            registration=client.registration,
            dpop_key=client.proof_key.jwk() if client.proof_key else None,
            patience=deadline.remaining(),
        )

    def other_ways(deadline: Deadline) -> Iterator[Grants]:
        from mcpvault.grants import Grants

        for each in others(settings, deadline) if others is not None else ():
            yield Grants(each, reach_of(entry, each, env), allow_http=entry.allow_http)

    def waiting() -> PendingStore:
        from mcpvault.state.pending import PendingStore

        return PendingStore(state, settings.credential, **sealing.fields())

    return EntryAuthorization(
        settings,
        Remembered(store, ways, tell=tell, others=other_ways),
        waiting,
        env=env,
        provider=provider,
        interactive=interactive,
        remedy=remedy or (ASK_HERE if settings.persist == "none" and settings.needs_person else None),
    )


def reach_of(entry: Concrete, settings: Settings, env: Mapping[str, str]) -> Callable[[Deadline], Asker]:
    """Return what makes an ``Asker`` with the entry's own conditions."""
    from mcpvault.http.asking import Asker
    from mcpvault.http.policy import Timeouts

    cert = entry.tls.client_cert_file
    named = settings.hosts

    def reach(deadline: Deadline) -> Asker:
        return Asker(
            server=entry.name,
            deadline=deadline,
            named_hosts=named,
            allow_private_hosts=entry.allow_private_hosts,
            allow_http=entry.allow_http,
            proxies=entry.proxies,
            ca_file=entry.tls.ca_file,
            client_cert=(cert, entry.tls.client_key_file) if cert else None,
            env=env,
            timeout=Timeouts(entry.timeout.connect, entry.timeout.read, entry.timeout.total),
        )

    return reach
