"""
Where a session stands with the server's authorization, and the calls that change it.

Decides the states that a caller sees. Leaves obtaining a grant to an ``Authorization``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcpvault.deadline import Deadline, deadline_in
from mcpvault.errors import AuthorizationFailedError, ConfigurationError, LoginNeededError, McpVaultError
from mcpvault.secret import Secret

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Authorization

PATIENCE = 600.0  # seconds that a person may take to log in


class AuthState(enum.Enum):
    """Where a session stands with the server's authorization."""

    DISCOVERING = "discovering"
    PENDING_AUTH = "pending_auth"
    AUTHENTICATING = "authenticating"
    READY = "ready"
    FAILED = "failed"


class Standing:
    """The half of a session that is about being let in."""

    def __init__(
        self,
        name: str,
        timeout: float | None,
        on_event: Callable[[AuthState], None] | None,
        authorization: Authorization | None,
        remedy: Callable[[], str] | None,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self.state = AuthState.DISCOVERING
        self._on_event = on_event
        self._authorization = authorization
        self._remedy = remedy
        if authorization is not None:
            authorization.on_login = self._ask_person

    def authenticate(
        self, method: str | None = None, *, scope: str | None = None, timeout: float | None = PATIENCE
    ) -> None:
        """
        Let a person log in: the one call that may open a browser or ask on the terminal.

        Args:
            method: ``loopback``, ``paste``, ``device``, or the name of an installed provider (entry point group
                ``mcpvault.auth``); by default what fits the surroundings.
            scope: Scopes to ask for, separated by spaces, instead of what the server suggests.
            timeout: Seconds that it may take altogether.

        Raises:
            LoginNeededError: It did not come about; the message says why.
            UsageError: There is no such method.
            ConfigurationError: The entry has no authorization to obtain, or the client cannot be registered.
            PermissionsError: What is granted could not be kept; nobody was asked.
            BusyError: Another process holds the tokens.
            TransportError: A server could not be reached.
        """
        authorization = self._authorizable()
        self._become(AuthState.AUTHENTICATING)
        with self._judging():
            authorization.authenticate(method=method, scope=scope, deadline=Deadline(timeout))

    def authorization_url(
        self, redirect_uri: str | None = None, *, scope: str | None = None, timeout: float | None = None
    ) -> str:
        """
        Begin a login on a page of your own: return the URL to send the person to.

        What ``complete_authorization`` needs is sealed in the state, for ten minutes and for one use, so that
        another process may end it.

        Raises:
            AuthorizationFailedError: The authorization server refused to register the client.
            ConfigurationError, PermissionsError, BusyError, TransportError: As ``authenticate``.
            RemoteProtocolError: What the authorization server says of itself cannot be used.
        """
        authorization = self._authorizable()
        with self._judging(AuthState.AUTHENTICATING):
            return authorization.authorization_url(
                redirect_uri=redirect_uri, scope=scope, deadline=self._deadline(timeout)
            )

    def complete_authorization(self, redirected: str, *, timeout: float | None = None) -> None:
        """
        End a login: *redirected* is the URL that the authorization server sent the person to, or the query of that.

        Raises:
            LoginNeededError: It was refused, is too old, or was ended before.
            IssuerMismatchError: It comes from another authorization server than the one that was asked.
            UsageError: It is another page's address; the login still waits for its own.
            TransportError: The authorization server could not be asked; the hint says whether the login still waits.
            ConfigurationError: The entry is a machine's, or the tokens cannot be kept.
        """
        address = Secret(redirected)
        del redirected  # it holds a code, which no traceback shows
        authorization = self._authorizable()
        with self._judging():
            authorization.complete(address, deadline=self._deadline(timeout))

    def _authorizable(self) -> Authorization:
        if self._authorization is None:
            raise ConfigurationError(
                f"{self.name}: its entry has no authorization to obtain",
                hint=self._remedy() if self._remedy is not None else None,
                server=self.name,
            )
        return self._authorization

    @contextmanager
    def _judging(self, then: AuthState = AuthState.READY) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._become(self._after(error))
            raise
        self._become(then)
        self._authorized_anew()

    def _authorized_anew(self) -> None:
        """Drop what was for the grant before."""

    def _after(self, error: BaseException) -> AuthState:
        """Return the state that *error* leads to; let it say which server it is about, and what helps."""
        if isinstance(error, McpVaultError):
            error.server = error.server or self.name
        if isinstance(error, LoginNeededError):
            if self._authorization is not None:
                self._authorization.advise(error)
            elif self._remedy is not None and error.hint is None:
                error.hint = self._remedy()
            if not isinstance(error, AuthorizationFailedError):
                return AuthState.PENDING_AUTH
        return AuthState.FAILED

    def _ask_person(self) -> None:
        """Tell that a person is needed, and asked."""
        self._authorized_anew()
        if self.state is not AuthState.AUTHENTICATING:
            self._become(AuthState.PENDING_AUTH)
            self._become(AuthState.AUTHENTICATING)

    def _deadline(self, timeout: float | None) -> Deadline:
        return deadline_in(self.timeout if timeout is None else timeout)

    def _become(self, state: AuthState) -> None:
        if state is not self.state:
            self.state = state
            if self._on_event is not None:
                self._on_event(state)
