"""
Who asks: client authentication at the token endpoint and its neighbours.

Decides RFC 6749 §2.3 (none, Basic, body) and RFC 7523 §3 (``private_key_jwt``), and that a client uses the
one method that it is registered for.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from mcpvault.testing.authorization.clients import SECRET_METHODS, Client
from mcpvault.testing.authorization.parameters import Parameters
from mcpvault.testing.authorization.reply import Json, OAuthRefusal
from mcpvault.testing.listener import Recorded

if TYPE_CHECKING:
    from mcpvault.testing.authorization.issuer import Issuer

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM_ENCODED = re.compile(r"(?:[A-Za-z0-9*._+~-]|%[0-9A-Fa-f]{2})*")
_LONGEST_ASSERTION = 3600  # seconds of life that a client's JWT may have
SKEW = 60  # seconds by which clocks may differ


def authenticated(issuer: Issuer, request: Recorded, parameters: Parameters) -> Client:
    """Return the client that asks, or refuse."""
    header = request.headers.get("authorization")
    shown = [
        *(["client_secret_basic"] if header is not None else []),
        *(["client_secret_post"] if "client_secret" in parameters else []),
        *(["private_key_jwt"] if parameters.keys() & {"client_assertion", "client_assertion_type"} else []),
    ]
    # RFC 6749 §2.3: "The client MUST NOT use more than one authentication method in each request."
    if len(shown) > 1:
        raise OAuthRefusal("invalid_request", f"more than one way of client authentication: {', '.join(shown)}")
    method = shown[0] if shown else "none"
    if method == "client_secret_basic":
        client_id, secret = _basic(str(header))
        if parameters.get("client_id", client_id) != client_id:
            raise OAuthRefusal("invalid_request", "client_id in the body is another than in the header")
    elif method == "private_key_jwt":
        client_id, secret = _claimed(parameters), ""
    else:
        client_id, secret = parameters.needed("client_id"), parameters.get("client_secret", "")
    client = issuer.clients.find(client_id)
    if client is None:
        raise _unknown(method, "no such client")
    if client.auth_method != method:
        raise _unknown(method, f"this client is registered for {client.auth_method}, not for {method}")
    if method not in issuer.policy.auth_methods:
        raise _unknown(method, f"this server does not do {method}")
    if method in SECRET_METHODS:
        old = client.old_secret if issuer.now() < client.old_secret_ends_at else None
        if not any(hmac.compare_digest((held or "").encode(), secret.encode()) for held in (client.secret, old)):
            raise _unknown(method, "the secret is wrong")
        if client.secret_expires_at and issuer.now() >= client.secret_expires_at:
            raise _unknown(method, "the secret has expired")
    elif method == "private_key_jwt":
        _check_assertion(issuer, client, parameters)
    return client


def _unknown(method: str, why: str) -> OAuthRefusal:
    # RFC 6749 §5.2: who used the header is answered with a challenge of the same scheme.
    challenge = {"WWW-Authenticate": 'Basic realm="token endpoint"'} if method == "client_secret_basic" else {}
    return OAuthRefusal("invalid_client", why, status=401, headers=challenge)


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise _unknown("client_secret_basic", f"the scheme is Basic, not {scheme}")
    try:
        client_id, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        raise _unknown("client_secret_basic", "the header is not base64 of UTF-8") from None
    # RFC 6749 §2.3.1: both are "encoded using the "application/x-www-form-urlencoded" encoding algorithm".
    if not colon or not _FORM_ENCODED.fullmatch(client_id) or not _FORM_ENCODED.fullmatch(secret):
        raise _unknown("client_secret_basic", "id and secret are to be form-urlencoded before base64")
    return unquote_plus(client_id), unquote_plus(secret)


def _claimed(parameters: Parameters) -> str:
    from mcpvault.testing.authorization.jose import Jws

    try:
        subject = Jws.parse(parameters.needed("client_assertion")).claims.get("sub")
    except ValueError as error:
        raise _unknown("private_key_jwt", f"client_assertion: {error}") from None
    if not isinstance(subject, str) or parameters.get("client_id", subject) != subject:
        raise _unknown("private_key_jwt", "sub is to be the client_id")
    return subject


def _candidates(issuer: Issuer, client: Client, kid: object) -> list[Json]:
    """Return the client's keys that a JWT may be signed with, as far as the server knows them just now."""
    if issuer.now() >= client.fetched_until:
        client.fetched, client.fetched_until = client.keys, issuer.now() + issuer.policy.jwks_cache
    rule, known = issuer.policy.kid, client.fetched
    if rule == "first":
        return known[:1]
    if rule == "needed" and kid is None and len(known) > 1:
        return []
    return [key for key in known if rule == "ignored" or kid in (None, key.get("kid"))]


def _check_assertion(issuer: Issuer, client: Client, parameters: Parameters) -> None:
    from mcpvault.testing.authorization.jose import Jws

    if parameters.needed("client_assertion_type") != ASSERTION_TYPE:
        raise _unknown("private_key_jwt", f"client_assertion_type is to be {ASSERTION_TYPE}")
    assertion = Jws.parse(parameters["client_assertion"])
    keys = _candidates(issuer, client, assertion.header.get("kid"))
    faults = []
    for key in keys:
        try:
            assertion.verify(key, issuer.policy.assertion_algorithms)
            break
        except ValueError as error:
            faults.append(str(error))
    else:
        raise _unknown("private_key_jwt", f"client_assertion: {'; '.join(faults) or 'no key of that kid'}")
    claims, now = assertion.claims, issuer.now()
    places = {"issuer": [issuer.issuer], "token_endpoint": [issuer.url("token")]}
    accepted = places.get(issuer.policy.assertion_audience, [issuer.issuer, issuer.url("token")])
    # One audience, and this one: RFC 7523 §3 as tightened by draft-ietf-oauth-rfc7523bis.
    if claims.get("aud") not in [*accepted, *([one] for one in accepted)]:
        raise _unknown("private_key_jwt", f"aud is {claims.get('aud')!r}, not {' or '.join(accepted)}")
    if claims.get("iss") != client.client_id:
        raise _unknown("private_key_jwt", "iss is to be the client_id")
    expires, jti = claims.get("exp"), claims.get("jti")
    if not isinstance(expires, int | float) or not now - SKEW < expires <= now + _LONGEST_ASSERTION:
        raise _unknown("private_key_jwt", "exp is missing, past or more than an hour ahead")
    if any(isinstance(claims.get(name), int | float) and claims[name] > now + SKEW for name in ("iat", "nbf")):
        raise _unknown("private_key_jwt", "iat or nbf lies ahead")
    if not isinstance(jti, str) or not jti or jti in client.used_jti:
        raise _unknown("private_key_jwt", "jti is missing or was used before")
    client.used_jti.add(jti)
