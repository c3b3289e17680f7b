"""Revocation (RFC 7009) and introspection (RFC 7662) of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpvault.testing.authorization.client_judge import authenticated
from mcpvault.testing.authorization.parameters import form
from mcpvault.testing.authorization.reply import NO_STORE, Json, OAuthRefusal, Reply, json_reply
from mcpvault.testing.listener import Recorded

if TYPE_CHECKING:
    from mcpvault.testing.authorization.issuer import Issuer


def revoke(issuer: Issuer, request: Recorded) -> Reply:
    """Revoke a token of the client that asks; an unknown one is revoked already (RFC 7009 §2.2)."""
    parameters = form(request)
    client = authenticated(issuer, request, parameters)
    issuer.ledger.revoke(parameters.needed("token"), client.client_id)
    return Reply(200, b"", NO_STORE)


def introspect(issuer: Issuer, request: Recorded) -> Reply:
    """Tell a confidential client about a token."""
    parameters = form(request)
    client = authenticated(issuer, request, parameters)
    if client.auth_method == "none":
        raise OAuthRefusal("invalid_client", "introspection needs an authenticated client", status=401)
    return json_reply(told(issuer, parameters.needed("token"))).adding(NO_STORE)


def told(issuer: Issuer, value: str) -> Json:
    """Return what introspection says of an access token."""
    token = issuer.ledger.active(value)
    if token is None:
        return {"active": False}
    return {
        "active": True,
        "iss": issuer.issuer,
        "sub": token.grant.subject,
        "client_id": token.grant.client_id,
        "scope": token.scope,
        "aud": [*token.resources],
        "iat": int(token.issued_at),
        "exp": int(token.expires_at),
        "token_type": "DPoP" if token.jkt else "Bearer",
        **({"cnf": {"jkt": token.jkt}} if token.jkt else {}),
    }
