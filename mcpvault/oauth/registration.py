"""
How a client comes to be known at an authorization server, and how it is forgotten there.

Decides which way is taken, what is asked for, and whether the answer can be used. Leaves keeping the registration,
under its issuer, to ``mcpvault.state``.

Rule: a registration belongs to the issuer that it was made at, and goes nowhere else (A60, A61).

Spec: MCP 2026-07-28, Client Registration; RFC 7591 §2, §3; RFC 7592 §2.3; OpenID Connect Dynamic Client
Registration 1.0 §2; draft-ietf-oauth-client-id-metadata-document-00 §3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mcpvault.errors import (
    AuthorizationFailedError,
    ConfigurationError,
    McpVaultError,
    RemoteProtocolError,
    ServerUnavailableError,
)
from mcpvault.oauth.client_authentication import check_issuer
from mcpvault.oauth.metadata import texts
from mcpvault.oauth.token_response import refused, scope_text
from mcpvault.oauth.urls import flaw, shown, split
from mcpvault.oauth.wire import Answer, Ask, Flow, json_object, unavailable
from mcpvault.quoting import quote
from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration

SOFTWARE_ID = "mcpvault"
GRANT_TYPES = ("authorization_code", "refresh_token")
ApplicationType = Literal["native", "web"]

_METHODS = ("none", "client_secret_basic", "client_secret_post")  # in the order of preference
_CREATED = (200, 201)
_CLIENT_ID = re.compile(r"[\x20-\x7e]+")  # 1*VSCHAR -- RFC 6749 A.1
_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1
_DOT_SEGMENT = re.compile(r"/\.\.?(?:/|\Z)")
# What another application_type may mend (A49).
_CONSTRAINTS = ("invalid_redirect_uri", "invalid_client_metadata")


def register(
    server: AuthorizationServer,
    *,
    client_name: str,
    redirect_uris: Sequence[str],
    scope: str | None,
    client_metadata_url: str | None,
    preregistered: Registration | None,
    software_version: str,
    application_type: ApplicationType = "native",
    grant_types: Sequence[str] = GRANT_TYPES,
    methods: Sequence[str] = _METHODS,
    server_name: str | None = None,
    uri_by_hand: str | None = None,
) -> Flow[Registration]:
    """
    Return the client to ask *server* as: pre-registered, else by its metadata document, else registered now (A41).

    Args:
        server: Validated metadata.
        client_name: What a person reads on the consent page.
        redirect_uris: Where this client takes authorization responses; empty for a device.
        scope: The scopes that it will ask for, separated by spaces, or None.
        client_metadata_url: Where this client's metadata document is published, or None.
        preregistered: The client that the entry holds. Nothing else is tried then (S72).
        software_version: Of mcpvault.
        application_type: ``native`` for what runs on a person's machine, ``web`` for a remote web application.
        grant_types: ``refresh_token`` is among them where refresh tokens are wanted (A46).
        methods: The ways in which the client can prove itself, in the order of preference.
        server_name: The entry, for messages.
        uri_by_hand: Where a client that somebody registers by hand will be redirected to, for the hint, if that is
            not *redirect_uris*: this login may have had to take another port.

    Raises:
        IssuerMismatchError: The pre-registered client is another issuer's (A62).
        ConfigurationError: There is no way to register; the hint tells what to register by hand.
        AuthorizationFailedError: The authorization server refused to register the client.
        ServerUnavailableError: It did not decide; try again.
        RemoteProtocolError: It registered something that this client cannot be.
    """
    if preregistered is not None:
        check_issuer(preregistered, server)
        return preregistered
    if client_metadata_url is not None and server.client_id_metadata_document_supported:
        _check_client_metadata_url(client_metadata_url)
        return Registration(
            issuer=server.issuer,
            client_id=client_metadata_url,
            source="metadata_document",
            redirect_uris=tuple(redirect_uris),
        )
    by_hand = _by_hand(server, redirect_uris if uri_by_hand is None else (uri_by_hand,), server_name)
    endpoint = server.registration_endpoint
    if endpoint is None:
        document = server.client_id_metadata_document_supported
        other = "no client_metadata_url is set" if document else "takes no client ID metadata documents"
        raise ConfigurationError(
            f"{server.issuer}: has no registration_endpoint, and {other}", hint=by_hand, server=server_name
        )
    method = _method(server.token_endpoint_auth_methods_supported, methods)
    if method is None:
        raise ConfigurationError(
            f"{server.issuer}: registers no client that proves itself in one of these ways: {', '.join(methods)}",
            hint=by_hand,
            server=server_name,
        )
    metadata = {
        "client_name": client_name,
        "redirect_uris": [*redirect_uris],
        "grant_types": [*grant_types],
        "response_types": ["code"] if "authorization_code" in grant_types else [],
        "token_endpoint_auth_method": method,
        "application_type": application_type,
        **({"scope": scope} if scope else {}),
        "software_id": SOFTWARE_ID,
        "software_version": software_version,
    }
    answer = yield _request(endpoint, metadata)
    if answer.status == 400 and _error(answer) in _CONSTRAINTS:
        # "Clients MAY retry registration with an adjusted application_type" -- MCP 2026-07-28
        other = "web" if application_type == "native" else "native"
        again = yield _request(endpoint, {**metadata, "application_type": other})
        answer = again if again.status in _CREATED else answer
    if server.assumed and answer.status in (404, 405, 410):
        raise ConfigurationError(f"{server.issuer}: has no registration endpoint", hint=by_hand, server=server_name)
    verdict = _verdict(answer, f"{shown(endpoint)}: client registration", server, method, tuple(redirect_uris), scope)
    if isinstance(verdict, McpVaultError):
        verdict.hint = "try again later" if isinstance(verdict, ServerUnavailableError) else by_hand
        verdict.server = server_name
        raise verdict
    return verdict


def expired(registration: Registration, now: float) -> bool:
    """Tell whether the client's secret is no longer good (RFC 7591 §3.2.1, ``client_secret_expires_at``)."""
    return 0 < registration.client_secret_expires_at <= now


def deletion(registration: Registration) -> Ask | None:
    """Return the request that deletes the client at its server (RFC 7592 §2.3); None where the server offers none."""
    uri, token = registration.registration_client_uri, registration.registration_access_token
    if uri is None or token is None:
        return None
    return Ask(
        method="DELETE",
        url=uri,
        purpose="client deletion",
        headers={"Authorization": f"Bearer {token.reveal()}"},
    )


def _by_hand(server: AuthorizationServer, redirect_uris: Sequence[str], server_name: str | None) -> str:
    """Return the hint that tells what to do where a client cannot register itself (S75)."""
    where = f" with redirect URI {' and '.join(redirect_uris)}" if redirect_uris else ""
    field = f"mcpvault set {server_name or 'NAME'} auth.client_id CLIENT_ID"
    return f"register a client with {server.issuer}{where}, then run: {field}"


def _check_client_metadata_url(url: str) -> None:
    """
    Refuse a URL that is no client identifier.

    It MUST have an "https" scheme and contain a path component, and MUST NOT contain dot segments, a fragment, a
    username or a password -- draft-ietf-oauth-client-id-metadata-document-00 §3
    """
    wrong = flaw(url)
    base, path, _ = split(url)
    if wrong is None and not base.lower().startswith("https:"):
        wrong = "expected an https URL"
    if wrong is None and (path in ("", "/") or _DOT_SEGMENT.search(path)):
        wrong = "expected a URL with a path, and without dot segments in it"
    if wrong is not None:
        raise ConfigurationError(f"auth.client_metadata_url: {wrong}")


def _method(supported: Sequence[str] | None, methods: Sequence[str]) -> str | None:
    """Return the client authentication to register for; None where the server has none that is possible here."""
    return next((method for method in methods if supported is None or method in supported), None)


def _request(endpoint: str, metadata: Mapping[str, Any]) -> Ask:
    return Ask(
        method="POST",
        url=endpoint,
        purpose="client registration",
        headers={"Accept": "application/json", "Content-Type": "application/json"},
        body=json.dumps(metadata).encode("ascii"),
    )


def _verdict(
    answer: Answer,
    place: str,
    server: AuthorizationServer,
    requested: str,
    redirect_uris: tuple[str, ...],
    scope: str | None,
) -> Registration | McpVaultError:
    """
    Return the client as the server registered it, or what is wrong.

    It is returned and not raised, so that no traceback leads to a frame that holds the client's secret.
    """
    if error := unavailable(answer, place):
        return error
    told = json_object(answer.body) or {}
    if answer.status not in _CREATED:
        code = _error(answer)
        if code is not None:
            return refused(place, code, told.get("error_description"))
        kind = AuthorizationFailedError if answer.status >= 400 else RemoteProtocolError
        return kind(f"{place}: the authorization server answered {answer.status}")
    client_id, secret = _text(told, "client_id"), _text(told, "client_secret")
    if client_id is None or not _CLIENT_ID.fullmatch(client_id):
        return RemoteProtocolError(f"{place}: the answer holds no client_id")
    # "The authorization server MAY reject or replace any of the client's requested metadata values […] The client or
    # developer can check the values in the response to determine if the registration is sufficient for use."
    # -- RFC 7591 §3.2.1. An issuer in it says nothing: the client belongs to the server that was asked.
    method = _text(told, "token_endpoint_auth_method")
    if method is None:
        # Who is silent about the method and gives a secret means the default, unless no secret is ever wanted.
        usual = secret is not None and server.token_endpoint_auth_methods_supported is None
        method = "client_secret_basic" if usual else requested
    if method not in _METHODS:
        return RemoteProtocolError(f"{place}: the client was registered for {quote(method)!r}, which it cannot do")
    if method == "none":
        secret = None
    elif secret is None:
        return RemoteProtocolError(f"{place}: the client was registered for {method}, and was given no client_secret")
    uri, token = _text(told, "registration_client_uri"), _text(told, "registration_access_token")
    if uri is None or flaw(uri) is not None or token is None or not _B64TOKEN.fullmatch(token):
        uri = token = None  # such a client cannot be deleted, but it can be used
    return Registration(
        issuer=server.issuer,
        client_id=client_id,
        source="dynamic",
        token_endpoint_auth_method=method,
        client_secret=None if secret is None else Secret(secret),
        client_secret_expires_at=0 if secret is None else _moment(told.get("client_secret_expires_at")),
        redirect_uris=texts(told.get("redirect_uris")) or redirect_uris,
        scope=scope,
        granted_scope=scope_text(told.get("scope")) or scope,
        registration_client_uri=uri,
        registration_access_token=None if token is None else Secret(token),
    )


def _error(answer: Answer) -> str | None:
    """Return the code of a refusal (RFC 7591 §3.2.2)."""
    return _text(json_object(answer.body) or {}, "error")


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) and value else None


def _moment(value: object) -> int:
    """Return Unix seconds; 0, which means never, for what is none."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    return int(value) if 0 < value < 1 << 53 else 0
