"""
A login on an application's own page: begun in one process, ended in that one or another.

Decides when a login that waits is over: once its answer is sent on, and not because of any other page, nor where the
authorization server did not look at the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from mcpvault.begun import as_begun
from mcpvault.errors import (
    AuthorizationFailedError,
    BusyError,
    ConfigurationError,
    ConnectFailedError,
    DeadlineExceededError,
    McpVaultError,
    PermissionsError,
    RequestLostError,
    ServerUnavailableError,
    TransportError,
)
from mcpvault.login import state_of
from mcpvault.oauth.authorization import answers
from mcpvault.state.grants import remember_client
from vault_schema import origin_of

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.grants import Grant
    from mcpvault.oauth.authorization import Pending
    from mcpvault.oauth.challenge import Challenge
    from mcpvault.oauth.flows import Client
    from mcpvault.remembered import Remembered
    from mcpvault.secret import Secret
    from mcpvault.state.pending import PendingStore
    from mcpvault.tokens import Settings


class OwnPage:
    """
    The logins of one entry on pages of the application's own.

    Args:
        settings: The entry's ``auth``.
        remembered: Its grant.
        waiting: Makes the store of logins that were begun.
    """

    def __init__(self, settings: Settings, remembered: Remembered, waiting: Callable[[], PendingStore]) -> None:
        self._settings = settings
        self._remembered = remembered
        self._waiting = waiting

    def begin(self, redirect_uri: str | None, seen: Challenge | None, scope: str | None, deadline: Deadline) -> str:
        """Return the URL for the person; see ``Session.authorization_url``."""
        settings, remembered = self._settings, self._remembered
        target = redirect_uri or settings.redirect_uri
        if target is None:
            raise ConfigurationError(
                f"{settings.server}: a login on a page of yours needs its address",
                hint=f"pass redirect_uri=…, or run: mcpvault set {settings.server} auth.redirect_uri https://…",
                server=settings.server,
            )
        found = remembered.grants.discover(seen, deadline)
        client = remembered.grants.client(found, remembered.known(), (target,), deadline, scope)
        url, pending = remembered.grants.begin(found, client, target, scope)
        assert client.registration is not None  # noqa: S101  a person's client is registered
        key = client.proof_key.jwk() if client.proof_key else None
        registered = client.registration.kept
        left = deadline.remaining()
        remember_client(remembered.store, server=client.server, registration=registered, dpop_key=key, patience=left)
        told = as_begun(origin_of(settings.url), pending, client, registered, key)
        self._waiting().keep(pending.state, told, patience=left)
        return url

    def end(self, redirected: Secret, deadline: Deadline) -> Grant:
        """Return what was granted; see ``Session.complete_authorization``."""
        waiting, state = self._waiting(), state_of(redirected)
        told = waiting.look(state) if state else None
        begun = self._remembered.begun(told, origin=origin_of(self._settings.url)) if told is not None else None
        if state is None or begun is None:
            raise self._unknown()
        pending, client = begun
        if answers(pending, redirected) and waiting.take(state, patience=deadline.remaining()) is None:
            raise self._unknown()  # another process was faster
        return self._spent(client, pending, redirected, deadline)

    def _spent(self, client: Client, pending: Pending, redirected: Secret, deadline: Deadline) -> Grant:
        failure: McpVaultError | None = None
        try:
            return self._remembered.grants.complete(client, pending, redirected, deadline)
        except (TransportError, RequestLostError) as error:
            failure = error
        kept = False
        if _is_unspent(failure):
            key = client.proof_key.jwk() if client.proof_key else None
            assert client.registration is not None  # noqa: S101  a person's client is registered
            told = as_begun(origin_of(self._settings.url), pending, client, client.registration.kept, key)
            with suppress(BusyError, PermissionsError):
                self._waiting().keep(pending.state, told)
                kept = True
        failure.hint = "try again with the same address" if kept else "begin again: the code may be spent"
        raise failure

    def _unknown(self) -> AuthorizationFailedError:
        return AuthorizationFailedError(
            f"{self._settings.server}: no login waits for this address: it was used before, is too old, or is none "
            "that the browser was sent to after consent",
            hint="begin again",
            server=self._settings.server,
        )


def _is_unspent(failure: McpVaultError) -> bool:
    """Tell whether the authorization server has not looked at the code, as far as can be seen."""
    if isinstance(failure, DeadlineExceededError):
        return not failure.sent
    return isinstance(failure, ConnectFailedError | ServerUnavailableError)
