"""
The rotator ``client-secret``: the authorization server makes a new secret when the registration is updated (RFC 7592).

Most servers end the old secret in that moment, and some the registration access token too: what they answer is kept
before anything else happens. If the answer is lost, the registration is read again, which tells the new secret; where
that is refused, only a new registration helps, and the error says so.

Spec: RFC 7592 §2.1, §2.2, §3.
"""

from __future__ import annotations

import json
from typing import Any

from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError, McpVaultError, PolicyError, ServerUnavailableError
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
            ServerUnavailableError: It did not decide; the next attempt looks first.
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
    token, uri = case.open(RAT), case.entry.auth.registration_client_uri or ""
    read = _send(case, "GET", uri, token, None, deadline)
    if isinstance(read, McpVaultError):
        return read
    current = case.secrets["current"]
    told, held = read, read.get("client_secret")
    if isinstance(held, str) and Secret(held) != current:
        return _new(case, told)  # an earlier attempt whose answer was lost
    document = {name: value for name, value in read.items() if name not in _NOT_SENT}
    updated = _send(case, "PUT", uri, token, document, deadline)
    if isinstance(updated, McpVaultError):
        return updated
    return _new(case, updated)


def _new(case: Case, told: dict[str, Any]) -> Minted | McpVaultError:
    name = case.entry.name
    secret, token, end = (
        told.get(each) for each in ("client_secret", "registration_access_token", "client_secret_expires_at")
    )
    if not isinstance(secret, str) or not secret or Secret(secret) == case.secrets["current"]:
        return PolicyError(
            f"{case.place}: the authorization server gives no other secret when a registration is updated",
            hint=f"register a new client: mcpvault rotate {name} {case.field} --rotator registration",
            server=name,
        )
    from mcpvault.durations import stamp

    renewed = {RAT: Secret(token)} if isinstance(token, str) and token else {}
    until = stamp(end) if isinstance(end, int) and 0 < end < 253_402_300_799 else None
    return Minted(secret=Secret(secret), not_after=until, secrets=renewed)


def disowned(answer: Answer) -> bool:
    """Tell whether the server knows no such registration, or not by this token; Authlib says so with 400."""
    return answer.status == 401 or error_of(json_object(answer.body) or {}) in ("access_denied", "invalid_token")


def _send(
    case: Case, method: str, uri: str, token: Secret, document: dict[str, Any] | None, deadline: Deadline
) -> dict[str, Any] | McpVaultError:
    name, place = case.entry.name, f"{case.place}: client registration"
    headers = {"Accept": "application/json", "Authorization": f"Bearer {token.reveal()}"}
    if document is not None:
        headers["Content-Type"] = "application/json"
    body = json.dumps(document).encode("ascii") if document is not None else None
    assert case.reach is not None  # noqa: S101  an OAuth entry's has one
    try:
        with case.reach(deadline) as ask:
            answer: Answer = ask(Ask(method=method, url=uri, purpose="client registration", headers=headers, body=body))
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
    if answer.status not in (200, 201) or told is None:
        return PolicyError(f"{place}: {method} was answered with {answer.status}", server=name)
    return told
