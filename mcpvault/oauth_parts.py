"""
What an OAuth entry needs for a login, a refresh or an error, put together when it is needed.

Decides what the rooms get from one another, as ``connect`` does for the rest. What every run needs is in
``oauth_entry``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from mcpvault.authorization import EntryAuthorization
from mcpvault.errors import McpVaultError
from mcpvault.fallback import changed, moved, other_settings, used
from mcpvault.oauth_entry import ASK_HERE, settings_of
from mcpvault.remembered import Remembered
from mcpvault.state.host import host_id

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.deadline import Deadline
    from mcpvault.entries import Concrete
    from mcpvault.grants import Grants
    from mcpvault.http.asking import Asker
    from mcpvault.login import OAuthProvider
    from mcpvault.oauth.flows import Client
    from mcpvault.oauth_entry import Sealing
    from mcpvault.state.pending import PendingStore
    from mcpvault.state.store import StateStore
    from mcpvault.state.tokens import TokenStore
    from mcpvault.token_source import EntryTokens
    from mcpvault.tokens import Settings

STALE = 30.0  # seconds


class Latest:
    """
    The settings of an entry, for one use; they are read again before the next, and where they are not of just now.

    What they refer to by ``${file:}``, ``${env:}`` and ``${cmd:}``, a workload's JWT above all, may live for
    minutes only, and a session for days.

    Args:
        settings: As they were read at *since*.
        again: Reads them.
        since: When (``time.monotonic``).
    """

    def __init__(self, settings: Settings, again: Callable[[], Settings], since: float) -> None:
        self._settings = settings
        self._again = again
        self._stale = since + STALE

    def __call__(self) -> Settings:
        """Return them."""
        if time.monotonic() >= self._stale:
            self._settings = self._again()
        self._stale = 0.0
        return self._settings


class InVault:
    """
    What an entry of a vault has of it.

    Args:
        vault: Open.
        name: Of the entry.
        begun: The settings that it was begun with.
    """

    def __init__(self, vault: Vault, name: str, begun: Settings) -> None:
        self._vault = vault
        self._name = name
        self._begun = begun
        self.tell = partial(vault.audit, server=name)

    def again(self) -> Settings:
        """
        Return the settings as the file has them now.

        Raises:
            BindingMismatchError: They are for another server, issuer or kind of grant.
        """
        with suppress(McpVaultError):  # what was believed before is still good
            self._vault.file.reread()
        now = settings_of(self._vault.resolve(self._name))
        if (what := moved(self._begun, now)) is not None:
            raise changed(self._name, what if what in ("url", "credential") else f"auth.{what}")
        return now

    def others(self, refused: Settings, deadline: Deadline) -> Iterator[Settings]:
        """Yield the settings to try where *refused* are (``invalid_client``), in a rotation."""
        for stage, settings in other_settings(self._vault, self._name, refused, deadline):
            used(self._vault, self._name, stage)
            yield settings


def authorization_of(
    entry: Concrete,
    settings: Settings,
    source: EntryTokens,
    store: TokenStore,
    *,
    state: StateStore,
    sealing: Sealing,
    env: Mapping[str, str],
    since: float,
    provider: OAuthProvider | None,
    interactive: str | None,
    vault: Vault | None,
    remedy: str | None,
    tell: Callable[..., None] | None,
) -> EntryAuthorization:
    """
    Return the authorization of *entry*; see ``oauth_entry.entry_of``.

    Args:
        entry: Made concrete.
        settings: Its own, as they were read at *since* (``time.monotonic``).
        source: What its requests carry.
        store: The state of its credential.
        state: Where that, and what else runs produce, is kept.
        sealing: How it is sealed.
        env: The environment.
        since: See *settings*.
        provider: A caller's own way through a login.
        interactive: ``never`` or ``tty``, instead of the entry's.
        vault: Where it is, if in one.
        remedy: As for ``EntryAuthorization``.
        tell: As for ``Remembered``.
    """
    there = InVault(vault, entry.name, settings) if vault is not None else None
    latest = Latest(settings, there.again, since) if there is not None else None

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

        for each in there.others(settings, deadline) if there is not None else ():
            yield Grants(each, reach_of(entry, each, env), allow_http=entry.allow_http)

    former = None
    if vault is not None and settings.persist == "none":
        former = store.over(vault.state, host_id(vault.state, sealing.vault_id))

    def waiting() -> PendingStore:
        from mcpvault.state.pending import PendingStore

        return PendingStore(state, settings.credential, **sealing.fields())

    return EntryAuthorization(
        settings,
        source,
        Remembered(store, ways, tell=tell or (there.tell if there is not None else None), others=other_ways),
        waiting,
        env=env,
        provider=provider,
        interactive=interactive,
        remedy=remedy or (ASK_HERE if settings.persist == "none" and settings.needs_person else None),
        former=former,
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
