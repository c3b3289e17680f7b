"""
The rotator ``client-secret``: the authorization server makes a new secret when the registration is updated (RFC 7592).

Most servers end the old secret in that moment, and some the registration access token with each request: what they
answer is kept before anything else happens. If the answer is lost, or is none, the registration is read again, which
tells the new secret; where that is refused, only a new registration helps, and the error says so.

Spec: RFC 7592 §2.1, §2.2, §3.
"""

from __future__ import annotations

import json
from typing import Any

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    ConfigurationError,
    McpVaultError,
    PolicyError,
    RequestLostError,
    ServerUnavailableError,
)
from mcpvault.oauth.token_response import error_of
from mcpvault.oauth.wire import Answer, Ask, json_object, unavailable
from mcpvault.rotation.rotator import Case, Minted, Plan
from mcpvault.secret import Secret

RAT = "auth.registration_access_token"
# "The client MUST NOT include the "registration_access_token", "registration_client_uri", "client_secret_expires_at",
# or "client_id_issued_at" fields" -- RFC 7592 §2.2
_NOT_SENT = frozenset(
    {"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}
)


class ClientSecret:
    """Updates the registration of the client, so that it gets another secret."""

    def plan(self, case: Case) -> Plan:
        """Name the address that is asked."""
        auth = case.entry.auth
        needs = []
        if auth.registration_client_uri is None:
            needs.append("auth.registration_client_uri: where the registration is managed")
        if auth.registration_access_token is None:
            needs.append(f"{RAT}: what it is managed with")
        return Plan(
            keeps_old=False,
            steps=(f"the registration is updated: PUT {auth.registration_client_uri or ''}".rstrip(),),
            needs=tuple(needs),
        )

    def mint(self, case: Case, deadline: Deadline) -> Minted:
        """
        Return the new secret.

        Raises:
            PolicyError: The server gives no other secret.
            ConfigurationError: The registration cannot be managed any more.
            ServerUnavailableError, RequestLostError: Nobody knows whether it made one; the next attempt looks first.
        """
        outcome = _minted(case, deadline)
        if isinstance(outcome, McpVaultError):
            raise outcome
        return outcome

    def publish(self, case: Case, deadline: Deadline) -> None:
        """Do nothing: the server knows it."""

    def revoke(self, case: Case, deadline: Deadline) -> str | None:
        """Do nothing: the server has ended the old secret, or does when it likes."""
        return None

    def withdraw(self, case: Case, deadline: Deadline) -> str | None:
        """Do nothing: there is no old secret to go back to."""
        return None


def _minted(case: Case, deadline: Deadline) -> Minted | McpVaultError:
    """Return the new secret or what went wrong: an error that is raised here would carry the server's words."""
    read = _send(case, "GET", case.open(RAT), None, deadline)
    if isinstance(read, McpVaultError):
        return read
    held = read.get("client_secret")
    if isinstance(held, str) and Secret(held) != case.secrets["current"]:
        return _new(case, read)  # an earlier attempt whose answer was lost
    document = {name: value for name, value in read.items() if name not in _NOT_SENT}
    updated = _send(case, "PUT", case.open(RAT), document, deadline)
    if isinstance(updated, McpVaultError):
        return updated
    return _new(case, updated)


def _new(case: Case, told: dict[str, Any]) -> Minted | McpVaultError:
    name = case.entry.name
    secret, end = (told.get(each) for each in ("client_secret", "client_secret_expires_at"))
    if not isinstance(secret, str) or not secret or Secret(secret) == case.secrets["current"]:
        return PolicyError(
            f"{case.place}: the authorization server gives no other secret when a registration is updated",
            hint=f"register a new client: mcpvault rotate {name} {case.field} --rotator registration",
            server=name,
        )
    from mcpvault.durations import stamp

    until = stamp(end) if isinstance(end, int) and 0 < end < 253_402_300_799 else None
    token = _replaced(case, told)
    return Minted(secret=Secret(secret), not_after=until, secrets={} if token is None else {RAT: token})


def _replaced(case: Case, told: dict[str, Any]) -> Secret | None:
    """Return the access token that has replaced the one that was shown, or None."""
    token = told.get("registration_access_token")
    return Secret(token) if isinstance(token, str) and token and Secret(token) != case.open(RAT) else None


def _kept(case: Case, told: dict[str, Any]) -> McpVaultError | None:
    """
    Keep the access token that has replaced the one that was shown; return what went wrong, or None.

    One that comes with a new secret is written together with that: until then scripts have none.
    """
    token, secret = _replaced(case, told), told.get("client_secret")
    if token is None or (isinstance(secret, str) and secret and Secret(secret) != case.secrets["current"]):
        return None
    try:
        case.keep(RAT, token)
    except McpVaultError as error:
        return error.with_traceback(None)
    return None


def disowned(answer: Answer) -> bool:
    """Tell whether the server knows no such registration, or not by this token; Authlib says so with 400."""
    return answer.status == 401 or error_of(json_object(answer.body) or {}) in ("access_denied", "invalid_token")


def _send(
    case: Case, method: str, token: Secret, document: dict[str, Any] | None, deadline: Deadline
) -> dict[str, Any] | McpVaultError:
    name, place, uri = case.entry.name, f"{case.place}: client registration", case.entry.auth.registration_client_uri
    headers = {"Accept": "application/json", "Authorization": f"Bearer {token.reveal()}"}
    if document is not None:
        headers["Content-Type"] = "application/json"
    body = json.dumps(document).encode("ascii") if document is not None else None
    assert case.reach is not None  # noqa: S101  an OAuth entry's has one
    try:
        with case.reach(deadline) as ask:
            request = Ask(method=method, url=uri or "", purpose="client registration", headers=headers, body=body)
            answer: Answer = ask(request)
    except McpVaultError as error:
        return error.with_traceback(None)
    if problem := unavailable(answer, place):
        return ServerUnavailableError(problem.message, server=name, retry_after=problem.retry_after)
    told = json_object(answer.body)
    if disowned(answer) or answer.status == 403:
        lost = "; the answer to an earlier update was lost, and with it the new token" if case.attempt > 1 else ""
        return ConfigurationError(
            f"{place}: the registration access token is refused ({answer.status}){lost}",
            hint=f"register a new client: mcpvault rotate {name} {case.field} --abort, then --rotator registration",
            server=name,
        )
    if answer.status in (200, 201) and told is not None:
        return _kept(case, told) or told
    wrong = f"{place}: {method} was answered with {answer.status} and no registration"
    carried_out = answer.status // 100 == 2 if method == "PUT" else case.attempt > 1
    if not carried_out:
        return PolicyError(wrong, server=name)
    hint = f"read it again: mcpvault rotate {name} --resume"
    return RequestLostError(f"{wrong}; the secret may have been replaced", hint=hint, server=name)
