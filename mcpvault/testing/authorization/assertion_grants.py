"""
Tokens for somebody else's word: assertions of trusted issuers, and ID-JAGs (RFC 7523, 8693, MCP extensions).

Decides both legs of enterprise-managed authorization and workload identity federation. An authorization
server is the identity provider of the first leg and the MCP server's issuer of the second; one
``FakeAuthorizationServer`` each, and ``trust`` between them.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from mcpvault.testing.authorization.client_judge import SKEW, authenticated
from mcpvault.testing.authorization.clients import Client
from mcpvault.testing.authorization.grants_issued import Grant
from mcpvault.testing.authorization.jose import ALGORITHMS, Jws
from mcpvault.testing.authorization.parameters import Parameters
from mcpvault.testing.authorization.policy import JWT_BEARER
from mcpvault.testing.authorization.reply import Json, OAuthRefusal
from mcpvault.testing.listener import Recorded

if TYPE_CHECKING:
    from mcpvault.testing.authorization.issuer import Issuer

ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  # the name of a type
REFRESH = "urn:ietf:params:oauth:token-type:refresh_token"
ID_JAG_TYP = "oauth-id-jag+jwt"
PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"


def jwt_bearer(issuer: Issuer, request: Recorded, parameters: Parameters, jkt: str | None) -> Json:
    """Grant for an assertion: an ID-JAG of an authenticated client, or the token of a workload (RFC 7523 §2.1)."""
    jws = _parsed(parameters.needed("assertion"))
    known = "client_id" in parameters or "client_assertion" in parameters or "authorization" in request.headers
    is_id_jag = jws.header.get("typ") == ID_JAG_TYP
    client = authenticated(issuer, request, parameters) if known or is_id_jag else None
    if client is not None:
        issuer.check_grant_type(client, JWT_BEARER)
    # An ID-JAG is for the issuer, a workload's token for the token endpoint.
    claims = _trusted(issuer, jws, audience=issuer.issuer if is_id_jag else issuer.url("token"))
    subject = str(claims["sub"])
    asked = parameters.scope()
    if not is_id_jag or client is None:
        resources = issuer.check_resources(parameters)
        client = client or Client(subject, {})
        scope = issuer.scope_for(client, asked)
        return issuer.access(Grant(client.client_id, subject, scope, resources, jkt), scope, asked, resources, jkt)
    return _id_jag(issuer, client, claims, parameters, jkt)


def _id_jag(issuer: Issuer, client: Client, claims: Json, parameters: Parameters, jkt: str | None) -> Json:
    if client.auth_method == "none":
        raise OAuthRefusal("invalid_client", "an ID-JAG needs an authenticated client", status=401)
    if claims.get("client_id") != client.client_id:
        raise OAuthRefusal("invalid_grant", "client_id of the ID-JAG is another client's")
    if not issuer.spend(str(claims.get("jti") or "")):
        raise OAuthRefusal("invalid_grant", "jti of the ID-JAG is missing or was used before")
    said = claims.get("resource")
    resources: tuple[str, ...] = (str(said),) if said else ()
    if parameters.resources or not resources:
        resources = issuer.check_resources(parameters, resources)
    allowed, asked = claims.get("scope"), parameters.scope()
    if asked and allowed is not None and not set(asked.split()) <= set(str(allowed).split()):
        raise OAuthRefusal("invalid_scope", "the ID-JAG does not reach that far")
    scope = issuer.scope_for(client, asked or allowed)
    grant = Grant(client.client_id, str(claims["sub"]), scope, resources, jkt)
    return issuer.access(grant, scope, asked or allowed, resources, jkt)


def token_exchange(issuer: Issuer, client: Client, parameters: Parameters, _: str | None) -> Json:
    """Exchange an ID token or refresh token of this issuer for an ID-JAG."""
    if client.auth_method == "none":
        raise OAuthRefusal("invalid_client", "the exchange needs an authenticated client", status=401)
    if parameters.needed("requested_token_type") != ID_JAG:
        raise OAuthRefusal("invalid_request", f"requested_token_type is to be {ID_JAG}")
    audience, token = parameters.needed("audience"), parameters.needed("subject_token")
    kind = parameters.needed("subject_token_type")
    if kind == ID_TOKEN:
        subject = str(_own_id_token(issuer, token, client)["sub"])
    elif kind == REFRESH:
        subject = issuer.ledger.redeemable(token, client.client_id).grant.subject
    else:
        raise OAuthRefusal("invalid_request", "subject_token_type is to be an ID token or a refresh token")
    # RFC 8707 as profiled: resource is the MCP server's, unknown to the identity provider.
    if not parameters.resources and issuer.policy.resource_required:
        raise OAuthRefusal("invalid_target", "resource is missing")
    now, scope = int(issuer.now()), parameters.scope()
    lifetime = int(issuer.policy.id_jag_lifetime)
    claims: dict[str, Any] = {
        "iss": issuer.issuer,
        "sub": subject,
        "aud": audience,
        "client_id": issuer.elsewhere.get(client.client_id, client.client_id),
        "jti": secrets.token_urlsafe(12),
        "iat": now,
        "exp": now + lifetime,
        **({"resource": parameters["resource"]} if parameters.resources else {}),
        **({"scope": scope} if scope else {}),
    }
    return {
        "access_token": issuer.key.sign(claims, typ=ID_JAG_TYP),
        "issued_token_type": ID_JAG,
        "token_type": "N_A",
        "expires_in": lifetime,
        **({"scope": scope} if scope else {}),
    }


def _own_id_token(issuer: Issuer, token: str, client: Client) -> Json:
    jws = _parsed(token)
    try:
        jws.verify(issuer.key.jwk, ALGORITHMS)
    except ValueError as error:
        raise OAuthRefusal("invalid_grant", f"subject_token: {error}") from None
    claims = jws.claims
    if claims.get("iss") != issuer.issuer or claims.get("aud") != client.client_id or jws.header.get("typ"):
        raise OAuthRefusal("invalid_grant", "subject_token is no ID token of this issuer for this client")
    if issuer.now() >= claims["exp"]:
        raise OAuthRefusal("invalid_grant", "subject_token has expired")
    return claims


def _parsed(assertion: str) -> Jws:
    try:
        return Jws.parse(assertion)
    except ValueError as error:
        raise OAuthRefusal("invalid_grant", f"the assertion is no JWT: {error}") from None


def _trusted(issuer: Issuer, jws: Jws, *, audience: str) -> Json:
    """Return the claims of an assertion that holds (RFC 7523 §3)."""
    claims = jws.claims
    keys = issuer.trusted.get(str(claims.get("iss")), [])
    faults = []
    for key in keys:
        try:
            jws.verify(key, ALGORITHMS)
            break
        except ValueError as error:
            faults.append(str(error))
    else:
        raise OAuthRefusal("invalid_grant", f"iss of the assertion is not trusted: {'; '.join(faults) or 'unknown'}")
    if claims.get("aud") not in (audience, [audience]):
        raise OAuthRefusal("invalid_grant", f"aud of the assertion is {claims.get('aud')!r}, not {audience}")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise OAuthRefusal("invalid_grant", "sub of the assertion is missing")
    expires, before = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expires, int | float) or issuer.now() >= expires:
        raise OAuthRefusal("invalid_grant", "the assertion has expired, or says no exp")
    if not isinstance(before, int | float) or before > issuer.now() + SKEW:
        raise OAuthRefusal("invalid_grant", "nbf of the assertion lies ahead")
    return claims
