"""
The door to requests-oauthlib: it redeems refresh tokens.

Decides how the library is kept from what it does by itself: sending Basic for public clients, following
redirects, reading netrc and environment, logging bodies, and raising away an answer whose refresh token
was rotated. Leaves judging the answer to ``mcpvault.oauth``, and when to redeem to ``mcpvault.state``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oauthlib.oauth2 import WebApplicationClient
from requests import Response
from requests_oauthlib import OAuth2Session

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, RequestLostError, UsageError
from mcpvault.http.asking import LARGEST, answer_of
from mcpvault.http.auth import NoAuth
from mcpvault.http.oauth_logs import filter_oauth_logs, silence
from mcpvault.http.session import GuardedSession
from mcpvault.oauth.wire import Answer, Form, form_encoded
from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration

_CLIENT_ID_IN_BODY = frozenset({"none", "client_secret_post"})  # RFC 6749 §2.3.1, §3.2.1

filter_oauth_logs()


def redeem(
    *,
    server: AuthorizationServer,
    registration: Registration,
    refresh_token: Secret,
    resource: str | None,
    form: Mapping[str, str | Secret],
    headers: Mapping[str, str | Secret],
    session: GuardedSession,
    deadline: Deadline,
    leaving: Callable[[], None] | None = None,
) -> Answer:
    """
    Redeem a refresh token (RFC 6749 §6) once, and return what came back, whatever it says.

    Args:
        server: Its token endpoint is asked, and nothing else.
        registration: The client that the token was issued to.
        refresh_token: What is redeemed.
        resource: Byte for byte what was sent when the grant was made, or None.
        form: What client authentication adds to the body.
        headers: What it adds to the head; a DPoP proof.
        session: Guarded, for the token endpoint's origin; its own ``auth`` is not used.
        deadline: For all of it.
        leaving: Called when the request is about to leave: from then on the token may have been redeemed.

    Raises:
        McpVaultError: There is no answer; ``failures.was_sent`` tells whether the token may have been redeemed.
    """
    named = "client_id" in form or registration.token_endpoint_auth_method in _CLIENT_ID_IN_BODY
    members = {name: value for name, value in form.items() if name != "client_id"}
    if resource is not None:
        members["resource"] = resource
    door = _Door(server.token_endpoint, registration, headers, session, deadline, leaving)
    outcome = door.redeemed(refresh_token, members, client_id=registration.client_id if named else None)
    if isinstance(outcome, McpVaultError):
        del form, members, headers, door  # what a caller gave in clear stays out of the traceback
        raise outcome
    return outcome


class _Door(OAuth2Session):  # type: ignore[misc]  # the library has no types
    """
    The library's session, with the sending taken over: it builds the body, we send and keep what comes back.

    It never sees the endpoint, only an ``https:`` alias of it: it refuses plain http even on loopback, unless
    a variable of the whole process allows it everywhere. It has no adapters and could not send anything itself.
    """

    def __init__(
        self,
        endpoint: str,
        registration: Registration,
        headers: Mapping[str, str | Secret],
        session: GuardedSession,
        deadline: Deadline,
        leaving: Callable[[], None] | None,
    ) -> None:
        # No scope: with one it raises when the server narrows it, after the token was rotated (oauthlib#562).
        super().__init__(client=WebApplicationClient(registration.client_id), scope=None)
        self.trust_env = False
        self.adapters.clear()
        self._endpoint = endpoint
        self._alias = "https:" + endpoint.partition(":")[2]
        self._added = headers
        self._session = session
        self._deadline = deadline
        self._leaving = leaving
        self._began = False
        self._outcome: Answer | McpVaultError | None = None

    def redeemed(self, refresh_token: Secret, members: Form, *, client_id: str | None) -> Answer | McpVaultError:
        """Return the answer or our error. What the library makes of the answer is dropped, its exceptions too."""
        client = {} if client_id is None else {"client_id": client_id, "include_client_id": True}
        try:
            with silence():
                body = form_encoded(members).decode()
                self.refresh_token(self._alias, refresh_token.reveal(), body=body, auth=NoAuth(), **client)
        except Exception as e:
            kind = type(e).__name__
        else:
            kind = "nothing"
        if self._outcome is not None:
            return self._outcome
        if self._began:
            return RequestLostError(f"the refresh request failed in an unforeseen way ({kind})")
        return UsageError(f"the refresh request cannot be built ({kind}); nothing was sent")

    def request(self, method: str, url: str, data: Any = None, headers: Any = None, **_: Any) -> Response:
        """Send the body that the library has built to the endpoint; keep what comes back, and show it a copy."""
        if self._began or url != self._alias:
            raise TypeError("one request, to the token endpoint")
        self._began = True
        added = {name: value.reveal() if isinstance(value, Secret) else value for name, value in self._added.items()}
        shown = Response()
        # On a connection of its own: one that has been idle may break, and leave open what became of the token.
        self._session.guard.close()
        try:
            response = self._session.request(
                method,
                self._endpoint,
                data=data,
                headers={**headers, **added},
                auth=NoAuth(),
                allow_redirects=False,
                stream=True,
                # A process that was stopped takes the answer that came meanwhile: it may hold the next token.
                timeout=self._session.policy.until(self._deadline, late=LARGEST, leaving=self._leaving),
            )
            with response:
                place = f"{self._session.policy.origin}: token request"
                self._outcome = answer_of(response, LARGEST, place, self._session.policy.server)
        except McpVaultError as e:
            self._outcome = e.with_traceback(None)
        if isinstance(self._outcome, Answer):
            shown.status_code = self._outcome.status
            shown._content = self._outcome.body
        shown.encoding = "utf-8"
        return shown
