"""
The authorization request, and the judgement of the response: everything that happens around the browser.

Decides what the authorization URL says and whether a redirect answers it. What the response is compared with is
fixed before the browser opens. Leaves opening it, listening, and spending the code to others.

Spec: RFC 6749 §4.1, RFC 7636, RFC 8707 §2, RFC 9207 §2.4, RFC 9449 §10; A70–A76, A80–A84, A90, A102.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping, Set
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode

from mcpvault.errors import (
    AuthorizationFailedError,
    ConfigurationError,
    IssuerMismatchError,
    McpVaultError,
    RemoteProtocolError,
    UsageError,
)
from mcpvault.oauth import urls
from mcpvault.oauth.client_authentication import check_issuer
from mcpvault.oauth.jwt import b64url
from mcpvault.oauth.scope import permitted
from mcpvault.oauth.token_response import refused
from mcpvault.quoting import quote as said
from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration, as_json
from vault_schema import SchemaError, origin_of
from vault_schema.record import Record

PENDING_SECONDS = 600.0  # how long a person may take (A73)
_RANDOM = 32  # bytes: a 43-character verifier, as RFC 7636 §4.1 recommends
_LONGEST_RESPONSE = 16 * 1024  # characters
_MOST_PARAMETERS = 64
_RESERVED = frozenset(
    "response_type client_id redirect_uri scope state code_challenge code_challenge_method resource dpop_jkt "
    "request request_uri response_mode".split()
)


class Pending(Record):
    """
    An authorization request that awaits its response: all that the response will be judged by.

    It is used once. ``scope`` is what is wanted; what was asked for is what of it the client may ask for
    (``scope.permitted``). ``created_at`` is in Unix seconds.
    """

    state: Secret
    code_verifier: Secret
    issuer: str
    iss_required: bool
    client_id: str
    redirect_uri: str
    resource: str | None
    scope: str | None
    created_at: float


def pending_json(pending: Pending) -> dict[str, Any]:
    """Return *pending* as JSON values, **secrets in clear**: for sealing, and for nothing else."""
    return as_json(pending)


def pending(told: Mapping[str, Any]) -> Pending:
    """Return what ``pending_json`` wrote."""
    known: dict[str, Any] = {name: told.get(name) for name in Pending.names()}
    known.update(state=Secret(told["state"]), code_verifier=Secret(told["code_verifier"]))
    return Pending(**known)


def begin(
    server: AuthorizationServer,
    registration: Registration,
    *,
    resource: str | None,
    scope: str | None,
    redirect_uri: str,
    now: float,
    assume_pkce_s256: bool = False,
    extra: Mapping[str, str] = MappingProxyType({}),
    dpop_jkt: str | None = None,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> tuple[str, Pending]:
    """
    Return the URL to visit and the record that the response is judged by.

    Args:
        server: Validated metadata.
        registration: The client, as that server knows it.
        resource: Sent byte for byte; None only towards a server of revision 2025-03-26.
        scope: What of it the client may ask for is sent; None: nothing.
        redirect_uri: One of the client's: loopback http, or https.
        now: Unix seconds.
        assume_pkce_s256: The entry vouches for PKCE where the metadata does not mention it.
        extra: Further parameters that the entry wants sent; they cannot replace any of ours.
        dpop_jkt: Thumbprint of the key that the code is to be bound to.
        random_bytes: Source of ``state`` and ``code_verifier``.

    Raises:
        IssuerMismatchError: The client belongs to another authorization server.
        ConfigurationError: The server has no such endpoint or does not declare PKCE; the redirect URI or an extra
            parameter cannot be used.
        RemoteProtocolError: The authorization endpoint is no URL to send a person to.
    """
    check_issuer(registration, server)
    if taken := sorted(_RESERVED & extra.keys()):
        raise ConfigurationError(f"authorization request: {', '.join(taken)} cannot be set by hand")
    endpoint, own = _endpoint(server, _RESERVED | extra.keys())
    check_pkce(server, assume=assume_pkce_s256)
    _check_redirect_uri(redirect_uri, registration)
    asked = permitted(scope, registration)
    state, code_verifier = Secret(b64url(random_bytes(_RANDOM))), Secret(b64url(random_bytes(_RANDOM)))
    parameters: dict[str, str | None] = {
        "response_type": "code",
        "client_id": registration.client_id,
        "redirect_uri": redirect_uri,
        "scope": asked,
        "state": state.reveal(),
        "code_challenge": b64url(hashlib.sha256(code_verifier.reveal().encode("ascii")).digest()),
        "code_challenge_method": "S256",
        "resource": resource,
        "dpop_jkt": dpop_jkt,
        # OpenID Connect Core §11: offline_access is granted only where the person is asked. The endpoint may say how.
        "prompt": "consent" if "offline_access" in (asked or "").split() and "prompt" not in own else None,
        **extra,
    }
    sent = {name: value for name, value in parameters.items() if value is not None}
    # "The endpoint URI MAY include [a] query component, which MUST be retained when adding additional query
    # parameters." -- RFC 6749 §3.1
    joint = "&" if "?" in endpoint else "?"
    return f"{endpoint}{joint}{urlencode(sent, quote_via=quote, safe='')}", Pending(
        state=state,
        code_verifier=code_verifier,
        issuer=server.issuer,
        iss_required=server.authorization_response_iss_parameter_supported,
        client_id=registration.client_id,
        redirect_uri=redirect_uri,
        resource=resource,
        scope=scope,
        created_at=now,
    )


def answers(pending: Pending, redirected: str | Secret) -> Literal["", "answer", "refusal"]:
    """
    Tell whether *redirected* is a response to this request: whether its ``state`` is ours; empty if not.

    ``refusal`` is an error of the authorization server that was asked. What another one says is just an ``answer``:
    nobody acts on it, or shows what it is (A83).
    """
    found = _parameters(redirected if isinstance(redirected, Secret) else Secret(redirected), pending)
    if not isinstance(found, dict) or not _is_ours(pending, found):
        return ""
    return "refusal" if "error" in found and _issuer_flaw(pending, found.get("iss")) is None else "answer"


def code_from(pending: Pending, redirected: str | Secret, *, now: float, server: str | None = None) -> Secret:
    """
    Return the authorization code of a response that stands every check; the code is good for one exchange.

    Args:
        pending: The request; the caller sees to it that no other response is judged by it afterwards.
        redirected: The URL that the browser was sent to, or its query alone.
        now: Unix seconds.
        server: The entry, for messages.

    Raises:
        UsageError: It is not this request's response: another page, or another ``state``. Ask for the right one.
        IssuerMismatchError: Another authorization server answered, or this one hides who it is. Stop.
        AuthorizationFailedError: Nobody consented, it took too long, or the response contradicts itself. Begin again.
    """
    # From here on no frame of ours holds the URL in clear: an exception carries its frames along.
    redirected = redirected if isinstance(redirected, Secret) else Secret(redirected)
    if isinstance(verdict := _judge(pending, redirected, now), McpVaultError):
        if server is not None:
            verdict.server, verdict.message = server, f"{server}: {verdict.message}"
            verdict.args = (verdict.message,)
        raise verdict
    return verdict


def _judge(pending: Pending, redirected: Secret, now: float) -> Secret | McpVaultError:
    found = _parameters(redirected, pending)
    if isinstance(found, McpVaultError):
        return found
    if not _is_ours(pending, found):
        return UsageError(
            "the authorization response answers another request: its state is not the one that was sent",
            hint="use the URL of the latest login, and paste the whole of it",
        )
    if now - pending.created_at > PENDING_SECONDS:
        return AuthorizationFailedError(
            f"{pending.issuer}: the response came more than {PENDING_SECONDS / 60:g} minutes after the request",
            hint="log in again",
        )
    # "on mismatch the client MUST NOT act on or display error, error_description, or error_uri" -- MCP 2026-07-28
    if (mixed_up := _issuer_flaw(pending, found.get("iss"))) is not None:
        return mixed_up
    if "error" in found:
        return refused(f"{pending.issuer}: authorization", found["error"], found.get("error_description"))
    if not found.get("code"):
        return AuthorizationFailedError(f"{pending.issuer}: the authorization response has neither code nor error")
    return Secret(found["code"])


def _parameters(redirected: Secret, pending: Pending) -> dict[str, str] | McpVaultError:
    """Return all parameters of the response (A84), or what is wrong; the error is not raised, our locals are secret."""
    text = urls.pasted(redirected.reveal())
    stranger = UsageError(
        "that is not the URL that the browser was sent to after consent",
        hint=f"copy the whole address; it begins with {pending.redirect_uri}",
    )
    if len(text) > _LONGEST_RESPONSE:
        return stranger
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", text):
        if not _same_page(text, pending.redirect_uri):
            return stranger
        _, _, text = urls.split(text)
    try:
        pairs = parse_qsl(text.removeprefix("?"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return stranger
    found = dict(pairs)
    if not found.keys() & {"code", "error", "state"}:
        return stranger
    # "Request and response parameters MUST NOT be included more than once." -- RFC 6749 §3.1
    if len(found) != len(pairs):
        return AuthorizationFailedError("the authorization response names a parameter twice", hint="log in again")
    return found


def _is_ours(pending: Pending, found: Mapping[str, str]) -> bool:
    told = found.get("state", "").encode("utf-8", "replace")
    return hmac.compare_digest(told, pending.state.reveal().encode())


def _issuer_flaw(pending: Pending, iss: str | None) -> IssuerMismatchError | None:
    """Return what the table of RFC 9207 §2.4 says: compared as strings, nothing is normalised (A82)."""
    if iss == pending.issuer or (iss is None and not pending.iss_required):
        return None
    got = "no issuer, though its metadata promises one" if iss is None else f"issuer {iss[:200]!r}"
    return IssuerMismatchError(
        f"{pending.issuer}: the authorization response names {got}; it was discarded",
        hint="somebody may be mixing authorization servers up; if the server itself is wrong, tell who runs it",
    )


def _same_page(url: str, redirect_uri: str) -> bool:
    """Tell whether *url* is *redirect_uri* with a query of its own; a browser writes an empty path as "/"."""
    try:
        same_origin = origin_of(url.partition("#")[0]) == origin_of(redirect_uri)
    except SchemaError:
        return False
    return same_origin and (urls.split(url)[1] or "/") == (urls.split(redirect_uri)[1] or "/")


def _endpoint(server: AuthorizationServer, ours: Set[str]) -> tuple[str, Set[str]]:
    """Return where to send the person, and the names of the parameters that are there already: none of *ours*."""
    endpoint = server.authorization_endpoint
    if endpoint is None:
        raise ConfigurationError(
            f"{server.issuer}: its metadata names no authorization_endpoint, so nobody can log in with a browser",
            hint="does it offer the device flow, or client credentials?",
        )
    if (flaw := urls.flaw(endpoint)) is not None:
        raise RemoteProtocolError(f"{server.issuer}: the authorization endpoint cannot be used: {flaw}")
    # "Request and response parameters MUST NOT be included more than once." -- RFC 6749 §3.1
    own = {name for name, _ in parse_qsl(endpoint.partition("?")[2], keep_blank_values=True)}
    if twice := sorted(own & ours):
        raise RemoteProtocolError(f"{urls.shown(endpoint)}: the authorization endpoint itself sets {', '.join(twice)}")
    return endpoint, own


def check_pkce(server: AuthorizationServer, *, assume: bool, name: str = "NAME") -> None:
    """
    Refuse a server that does not say that it checks the verifier; what it says beats what the entry *name* assumes.

    Raises:
        ConfigurationError: It does not; the hint says what to do where it is known to.
    """
    declared = server.code_challenge_methods_supported or ()
    # "If code_challenge_methods_supported is absent, the authorization server does not support PKCE and MCP clients
    # MUST refuse to proceed." -- MCP 2026-07-28. Revision 2025-03-26 requires PKCE of servers without metadata.
    if "S256" in declared or (not declared and (assume or server.assumed)):
        return
    if declared:
        offered = said(", ".join(declared[:4]))
        raise ConfigurationError(f"{server.issuer}: its metadata offers PKCE by {offered}, not by S256")
    raise ConfigurationError(
        f"{server.issuer}: its metadata does not declare PKCE (code_challenge_methods_supported)",
        hint=f"if it is known to check S256 all the same, run: mcpvault set {name} auth.assume_pkce_s256 true",
    )


def _check_redirect_uri(redirect_uri: str, registration: Registration) -> None:
    if (flaw := urls.flaw(redirect_uri)) is not None:
        raise ConfigurationError(f"redirect_uri: {flaw}", hint="redirect URIs are loopback or https")
    known = registration.redirect_uris
    if known and _portless(redirect_uri) not in map(_portless, known):
        raise ConfigurationError(
            f"redirect_uri: client {registration.client_id!r} is registered for {said(', '.join(known[:4]))}, "
            f"not for {redirect_uri}"
        )


def _portless(url: str) -> tuple[str, str, str]:
    """Return *url* for comparison: servers must allow any port of a loopback redirect (RFC 8252 §7.3)."""
    base, path, query = urls.split(url)
    host = base.rpartition(":")[0] if base.count(":") > 1 else base
    return (host if host in ("http://127.0.0.1", "http://[::1]", "http://localhost") else base), path, query
