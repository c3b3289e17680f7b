"""Dynamic client registration (RFC 7591) and its management (RFC 7592)."""

from __future__ import annotations

import hmac
import json
import secrets
from typing import TYPE_CHECKING

from mcpvault.testing.authorization.clients import SECRET_METHODS, Client, new_secret, redirect_uri_fault, told
from mcpvault.testing.authorization.jose import is_private
from mcpvault.testing.authorization.parameters import well_formed
from mcpvault.testing.authorization.policy import AUTHORIZATION_CODE
from mcpvault.testing.authorization.reply import NO_STORE, Json, OAuthRefusal, Reply, json_reply
from mcpvault.testing.listener import Recorded

if TYPE_CHECKING:
    from mcpvault.testing.authorization.issuer import Issuer

_LISTS = ("redirect_uris", "grant_types", "response_types", "contacts")
_TEXTS = ("client_name", "scope", "token_endpoint_auth_method", "application_type", "client_uri", "software_id")


def register(issuer: Issuer, request: Recorded) -> Reply:
    """Register a client."""
    needed = issuer.policy.initial_access_token
    if needed is not None and request.headers.get("authorization") != f"Bearer {needed}":
        raise _bad_token("an initial access token is needed")
    client_id = f"client-{secrets.token_urlsafe(12)}"
    client = Client(client_id, _checked(issuer, _document(request)), source="dynamic")
    _renew(issuer, client)
    if issuer.policy.registration_management:
        client.access_token = f"registration-{secrets.token_urlsafe(24)}"
    issuer.clients.add(client)
    answer = json_reply({**_told(issuer, client), "client_id_issued_at": int(issuer.now())}, 201)
    return answer.adding(NO_STORE)


def manage(issuer: Issuer, request: Recorded) -> Reply:
    """Read, update or delete the registration that the path names (RFC 7592 §2)."""
    client = issuer.clients.find(request.place.rpartition("/")[2])
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    held = client.access_token if client is not None else None
    # RFC 7592 §2.1: unknown clients and wrong tokens are told apart by nobody.
    if client is None or held is None or scheme.lower() != "bearer":
        raise _bad_token("no such registration, or no token for it")
    if not hmac.compare_digest(held.encode(), shown.encode()):
        raise _bad_token("no such registration, or no token for it")
    if request.method == "DELETE":
        issuer.clients.remove(client.client_id)
        issuer.ledger.revoke_client(client.client_id)
        return Reply(204, b"", NO_STORE)
    if request.method == "PUT":
        document = _document(request)
        if document.get("client_id") != client.client_id:
            raise OAuthRefusal("invalid_client_metadata", "client_id is to be the client's")
        # RFC 7592 §2.2: these "MUST NOT" be in the request; a secret only if it is the current one.
        if {"registration_access_token", "registration_client_uri", "client_id_issued_at"} & document.keys():
            raise OAuthRefusal("invalid_client_metadata", "the update holds what only the server may say")
        if document.get("client_secret", client.secret) != client.secret:
            raise OAuthRefusal("invalid_client_metadata", "client_secret is not the client's")
        client.metadata = _checked(issuer, document)
        if issuer.policy.renew_secrets:
            _renew(issuer, client)
            client.access_token = f"registration-{secrets.token_urlsafe(24)}"
    return json_reply(_told(issuer, client)).adding(NO_STORE)


def _renew(issuer: Issuer, client: Client) -> None:
    lifetime = issuer.policy.secret_lifetime
    if client.auth_method in SECRET_METHODS:
        client.old_secret, client.old_secret_ends_at = client.secret, issuer.now() + issuer.policy.old_secret_lifetime
        client.secret = new_secret()
        client.secret_expires_at = 0 if lifetime is None else issuer.now() + lifetime


def _told(issuer: Issuer, client: Client) -> Json:
    managed = {
        "registration_access_token": client.access_token,
        "registration_client_uri": f"{issuer.url('register')}/{client.client_id}",
    }
    return {**client.metadata, **told(client), **(managed if client.access_token else {})}


def _document(request: Recorded) -> Json:
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json":
        raise OAuthRefusal("invalid_client_metadata", "the body is to be application/json")
    try:
        document = json.loads(request.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise OAuthRefusal("invalid_client_metadata", "the body is to be a JSON object")
    return document


def _checked(issuer: Issuer, document: Json) -> Json:
    """Return the metadata to keep: the client's, the defaults, and what the server puts in its place."""
    policy = issuer.policy
    for name in _LISTS:
        if not all(isinstance(one, str) for one in _list(document, name)):
            raise OAuthRefusal("invalid_client_metadata", f"{name} is to hold texts")
    for name in _TEXTS:
        if not isinstance(document.get(name, ""), str):
            raise OAuthRefusal("invalid_client_metadata", f"{name} is to be a text")
    kept = {key: value for key, value in document.items() if key not in ("client_id", "client_secret")}
    kept = {
        "grant_types": [AUTHORIZATION_CODE],
        "response_types": ["code"],
        "token_endpoint_auth_method": "client_secret_basic",
        "application_type": "web",  # OpenID Connect Dynamic Client Registration §2
        **kept,
    }
    kept["grant_types"] = [grant for grant in kept["grant_types"] if grant in policy.grant_types]
    kept |= policy.substituted
    if kept["token_endpoint_auth_method"] not in policy.auth_methods:
        raise OAuthRefusal("invalid_client_metadata", f"no {kept['token_endpoint_auth_method']} here")
    if kept["application_type"] not in ("native", "web"):
        raise OAuthRefusal("invalid_client_metadata", "application_type is native or web")
    with_code = AUTHORIZATION_CODE in kept["grant_types"]
    # RFC 7591 §2.1: the two lists are to be consistent.
    if with_code != ("code" in kept["response_types"]):
        raise OAuthRefusal("invalid_client_metadata", "grant_types and response_types contradict each other")
    if with_code and not kept.get("redirect_uris"):
        raise OAuthRefusal("invalid_redirect_uri", "redirect_uris is missing")
    for uri in kept.get("redirect_uris", ()):
        fault = redirect_uri_fault(uri, kept["application_type"] if policy.application_type_checked else "")
        if fault:
            raise OAuthRefusal("invalid_redirect_uri", fault)
    _check_keys(kept)
    if not well_formed(kept.get("scope", "openid")):
        raise OAuthRefusal("invalid_client_metadata", "scope breaks the grammar")
    return kept


def _list(document: Json, name: str) -> list[object]:
    value = document.get(name, [])
    if not isinstance(value, list):
        raise OAuthRefusal("invalid_client_metadata", f"{name} is to be a list")
    return value


def _check_keys(kept: Json) -> None:
    keys = kept.get("jwks", {}).get("keys") if isinstance(kept.get("jwks", {}), dict) else None
    if "private_key_jwt" in kept["token_endpoint_auth_method"] and not keys:
        raise OAuthRefusal("invalid_client_metadata", "private_key_jwt needs jwks")
    if not isinstance(keys or [], list) or any(not isinstance(key, dict) or is_private(key) for key in keys or ()):
        raise OAuthRefusal("invalid_client_metadata", "jwks holds public keys only")


def _bad_token(why: str) -> OAuthRefusal:
    challenge = 'Bearer realm="registration", error="invalid_token"'
    return OAuthRefusal("invalid_token", why, status=401, headers={"WWW-Authenticate": challenge})
