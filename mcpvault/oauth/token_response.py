"""
What an answer of the token endpoint means.

Decides whether a grant lives, is dead or unjudged, and makes tokens or an exception of the answer. Leaves acting on
it to whoever asked.

Rule: an exception is made in a function that holds the answer and raised by one that does not, because it carries
the locals of every frame that it passes.

Spec: RFC 6749 §4.1.2.1, §5 and §7.1, RFC 8693 §2.2, RFC 9449 §5; A121–A126, A129, E2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from mcpvault.errors import AuthorizationFailedError, McpVaultError, RemoteProtocolError, ServerUnavailableError
from mcpvault.oauth.grants import ID_JAG
from mcpvault.oauth.wire import Answer, busy, json_object, retry_after
from mcpvault.quoting import quote
from mcpvault.secret import Secret
from mcpvault.tokens import TokenSet

Outcome = Literal["granted", "invalid_grant", "invalid_client", "transient", "refused"]

_TYPES = {"bearer": "Bearer", "dpop": "DPoP"}
_TOKEN = r"[\x21-\x7e]+"  # noqa: S105  VSCHAR without space, RFC 6749 appendix A.12
# In no specification: so say GitHub, Google and LinkedIn; so says Keycloak.
_REFRESH_ENDS = ("refresh_token_expires_in", "refresh_expires_in")
_LONGEST_LIFE = 10**10  # seconds; beyond it somebody means "never"
_TRANSIENT_ERRORS = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_CLIENT_ERRORS = frozenset({"invalid_client", "unauthorized_client"})
_HINTS: Mapping[str, str] = MappingProxyType(
    {
        "access_denied": "consent was refused; log in again to be asked once more",
        "expired_token": "the code was not entered in time; log in again",
        "invalid_client": "check client_id, its secret or key, and token_endpoint_auth_method; where the entry names "
        "a client: mcpvault set NAME auth.client_secret --stdin",
        "invalid_client_metadata": "the authorization server does not like what the client says about itself",
        "invalid_dpop_proof": "is this host's clock right?",
        "invalid_grant": "it has expired, was used before, or was made for another client; begin again",
        "invalid_scope": "ask for what the authorization server knows: with --scope, or as auth.scope of the entry",
        "invalid_target": "set the entry's resource to the identifier that the authorization server knows",
        "login_required": "log in again",
        "server_error": "try again later",
        "temporarily_unavailable": "try again later",
        "unauthorized_client": "this client is not allowed this grant; its registration says what it is for",
        "unsupported_grant_type": "the authorization server does not know this grant; choose another kind of auth",
    }
)


def classify(answer: Answer) -> Outcome:
    """
    Say what an answer of a token endpoint means for the grant that was presented.

    ``invalid_grant``: it is dead. ``invalid_client``: the registration is. ``transient``: nothing is known and
    everything is kept; so say 5xx, 429, and whatever is no JSON (a captive portal, a proxy's page). ``refused``:
    the request was wrong in another way, and the grant is as good as before. An error code is read before the status.
    """
    told = json_object(answer.body)
    error = error_of(told)
    if error is not None:
        if error == "invalid_grant":
            return "invalid_grant"
        if error in _CLIENT_ERRORS:
            return "invalid_client"
        if error in _TRANSIENT_ERRORS or busy(answer.status):
            return "transient"
        return "refused"
    if told is None or busy(answer.status):
        return "transient"
    return "granted" if 200 <= answer.status < 300 and isinstance(told.get("access_token"), str) else "refused"


def error_of(told: Mapping[str, Any] | None) -> str | None:
    """Return the OAuth error code in an answer's members, or None."""
    error = (told or {}).get("error")
    return error if isinstance(error, str) and error else None


def scope_text(value: object) -> str | None:
    """Return a scope as one text; some servers send a list. It is shown to people: what no scope may hold is a "?"."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = " ".join(value)
    return re.sub(r"[^\x20-\x7e]", "?", " ".join(value.split())) or None if isinstance(value, str) else None


def read_token(
    answer: Answer,
    *,
    requested_scope: str | None,
    now: float,
    expected_type: str = "Bearer",
    server_name: str,
    previous: TokenSet | None = None,
    hint: str | None = None,
    once: bool = False,
) -> TokenSet:
    """
    Return the tokens that *answer* grants (RFC 6749 §5.1).

    Args:
        answer: Of the token endpoint, whatever its status.
        requested_scope: What was asked for; "if identical to the scope requested" the server may leave it out.
        now: Unix seconds, when the request was sent: a token may be thought older than it is, never younger.
        expected_type: ``DPoP`` where a proof went with the request; anything else is refused then.
        server_name: The entry, for messages.
        previous: What a refresh replaces: its refresh token and scopes stay where the answer is silent (A123).
        hint: What is wrong with the grant, where the caller can tell; for ``invalid_grant`` alone.
        once: What was presented works once: a 2xx that cannot be read may have spent it, and is no outage.

    Raises:
        AuthorizationFailedError: The authorization server refused.
        ServerUnavailableError: It did not decide. Keep everything and try again.
        RemoteProtocolError: It answered with something else than a token of the expected type.
    """
    verdict = _granted(answer, requested_scope, now, expected_type, server_name, previous)
    if verdict is None and once and 200 <= answer.status < 300 and json_object(answer.body) is None:
        verdict = RemoteProtocolError(
            f"{server_name}: token request: the answer of the authorization server (status {answer.status}) is no JSON",
            hint="try again later",
            server=server_name,
        )
    if verdict is None:
        verdict = failure(answer, server_name=server_name, hint=hint)
    if isinstance(verdict, McpVaultError):
        raise verdict
    return verdict


def read_id_jag(answer: Answer, *, server_name: str, hint: str | None = None) -> Secret:
    """
    Return the ID-JAG that an identity provider issued (E2); it goes into one token request and nowhere else.

    Raises:
        AuthorizationFailedError: The identity provider refused.
        ServerUnavailableError: It did not decide. Try again.
        RemoteProtocolError: It issued something else.
    """
    verdict = _id_jag(answer, server_name)
    if verdict is None:
        verdict = failure(answer, server_name=server_name, purpose="token exchange", hint=hint)
    if isinstance(verdict, McpVaultError):
        raise verdict
    return verdict


def failure(
    answer: Answer, *, server_name: str, purpose: str = "token request", hint: str | None = None
) -> McpVaultError:
    """Return the exception for an answer that granted nothing; what the server said is quoted and redacted."""
    told = json_object(answer.body)
    error = error_of(told)
    outcome = classify(answer)
    if outcome == "transient":
        what = f": {quote(error)!r}" if error is not None else "" if busy(answer.status) else " and no JSON"
        return ServerUnavailableError(
            f"{server_name}: {purpose}: the authorization server is unavailable (status {answer.status}{what})",
            hint="try again later",
            server=server_name,
            retry_after=retry_after(answer),
        )
    if error is not None and told is not None:
        place, known = f"{server_name}: {purpose}", hint if outcome == "invalid_grant" else None
        return refused(place, error, told.get("error_description"), hint=known, server_name=server_name)
    return RemoteProtocolError(
        f"{server_name}: {purpose}: the authorization server answered {answer.status} without a token or an error",
        server=server_name,
    )


def refused(
    place: str, error: str, description: object = None, *, hint: str | None = None, server_name: str | None = None
) -> AuthorizationFailedError:
    """
    Return the exception for an OAuth error code (RFC 6749 §4.1.2.1 and §5.2, RFC 8628 §3.5, RFC 8707 §2).

    Args:
        place: What the message begins with.
        error: The code, as the server sent it.
        description: Its ``error_description``, if it is text.
        hint: What to do; by default what the code suggests.
        server_name: The entry.
    """
    code = quote(error)
    said = f": {quote(description)!r}" if isinstance(description, str) and description else ""
    return AuthorizationFailedError(
        f"{place}: the authorization server answered {code!r}{said}",
        error=code,
        hint=hint or _HINTS.get(error, "").replace(" NAME ", f" {server_name or 'NAME'} ") or None,
        server=server_name,
    )


def seconds(value: object) -> float | None:
    """Return a length of time that a server sent; None where it is missing, 0 or nonsense. Text is taken too."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 < number <= _LONGEST_LIFE else None


def _granted(
    answer: Answer,
    requested_scope: str | None,
    now: float,
    expected_type: str,
    server_name: str,
    previous: TokenSet | None,
) -> TokenSet | McpVaultError | None:
    """Return the tokens, or what is wrong with them, or None where none were granted."""
    if classify(answer) != "granted":
        return None
    told = json_object(answer.body) or {}
    place = f"{server_name}: token request: the authorization server"
    # "The client MUST NOT use an access token if it does not understand the token type." -- RFC 6749 §7.1.
    # Some servers leave the type out: that has always meant Bearer.
    named = told.get("token_type") or "Bearer"
    kind = _TYPES.get(named.lower()) if isinstance(named, str) else None
    if kind is None or kind != expected_type:
        shown = quote(str(named)[:40])
        return RemoteProtocolError(
            f"{place} granted a token of type {shown!r}, expected {expected_type!r}", server=server_name
        )
    if not re.fullmatch(_TOKEN, told["access_token"]):
        return RemoteProtocolError(f"{place} granted a token that no header can carry", server=server_name)
    expires_in = seconds(told.get("expires_in"))
    sleeps_in = next(filter(None, (seconds(told.get(name)) for name in _REFRESH_ENDS)), None)
    return TokenSet(
        access_token=Secret(told["access_token"]),
        token_type=kind,
        refresh_token=_secret(told.get("refresh_token")) or (previous.refresh_token if previous else None),
        issued_at=now,
        expires_at=None if expires_in is None else now + expires_in,
        scope=scope_text(told.get("scope")) or (previous.scope if previous else requested_scope),
        requested_scope=previous.requested_scope if previous else requested_scope,
        refresh_expires_at=None if sleeps_in is None else now + sleeps_in,
    )


def _id_jag(answer: Answer, server_name: str) -> Secret | McpVaultError | None:
    """Return the ID-JAG, or what is wrong with it, or None where none was issued."""
    if classify(answer) != "granted":
        return None
    told = json_object(answer.body) or {}
    # "the token_type value N_A is used to indicate that an OAuth 2.0 token_type identifier is not applicable in that
    # context" -- RFC 8693 §2.2.1
    kind = told.get("token_type")
    if told.get("issued_token_type") == ID_JAG and isinstance(kind, str) and kind.upper() == "N_A":
        return Secret(told["access_token"])
    return RemoteProtocolError(
        f"{server_name}: token exchange: the identity provider issued something else than an ID-JAG",
        hint="it must support identity assertion authorization grants (issued_token_type …:id-jag, token_type N_A)",
        server=server_name,
    )


def _secret(value: object) -> Secret | None:
    return Secret(value) if isinstance(value, str) and value else None
