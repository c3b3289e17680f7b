"""
The token endpoint: codes, refresh tokens, client credentials and device codes (RFC 6749 §3.2, 7636, 8628, 9449).

Decides what a token request must repeat and what it gets. Leaves assertions to ``assertion_grants``,
and what becomes of a reused token to ``grants_issued``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from mcpvault.testing.authorization import assertion_grants, device_endpoint
from mcpvault.testing.authorization.client_judge import authenticated
from mcpvault.testing.authorization.clients import Client
from mcpvault.testing.authorization.grants_issued import Code, Grant
from mcpvault.testing.authorization.jose import encode
from mcpvault.testing.authorization.parameters import Parameters, form
from mcpvault.testing.authorization.policy import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    JWT_BEARER,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from mcpvault.testing.authorization.reply import NO_STORE, Json, OAuthRefusal, Reply, json_reply
from mcpvault.testing.listener import Recorded

if TYPE_CHECKING:
    from mcpvault.testing.authorization.issuer import Issuer

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1


def answer(issuer: Issuer, request: Recorded) -> Reply:
    """Answer a token request."""
    policy = issuer.policy
    parameters = form(request)
    kind = parameters.needed("grant_type")
    if kind not in policy.grant_types:
        raise OAuthRefusal("unsupported_grant_type", f"{kind} is not supported")
    # The proof before anything is spent: who is asked for a nonce comes again with the same code.
    jkt = _proven(issuer, request)
    if kind == JWT_BEARER:
        told = assertion_grants.jwt_bearer(issuer, request, parameters, jkt)
    else:
        client = authenticated(issuer, request, parameters)
        issuer.check_grant_type(client, kind)
        told = {
            AUTHORIZATION_CODE: _authorization_code,
            REFRESH_TOKEN: _refresh_token,
            CLIENT_CREDENTIALS: _client_credentials,
            DEVICE_CODE: device_endpoint.redeem,
            TOKEN_EXCHANGE: assertion_grants.token_exchange,
        }[kind](issuer, client, parameters, jkt)
    if not policy.say_expires_in:
        told.pop("expires_in", None)
    if policy.say_refresh_lifetime and policy.refresh_lifetime and "refresh_token" in told:
        told[policy.say_refresh_lifetime] = int(policy.refresh_lifetime)
    fresh = {"DPoP-Nonce": issuer.proofs.nonce} if jkt and policy.dpop_nonce else {}
    return json_reply(told).adding({**NO_STORE, **fresh})


def _proven(issuer: Issuer, request: Recorded) -> str | None:
    policy, proof = issuer.policy, request.headers.get("dpop")
    if policy.dpop == "off" or (policy.dpop == "accepted" and proof is None):
        return None
    return issuer.proofs.thumbprint(
        proof,
        method=request.method,
        url=issuer.url("token"),
        algorithms=policy.dpop_algorithms,
        nonce_needed=policy.dpop_nonce,
    )


def _authorization_code(issuer: Issuer, client: Client, parameters: Parameters, jkt: str | None) -> Json:
    value = parameters.needed("code")
    code = issuer.ledger.code(value, client.client_id)
    redirect_uri = parameters.get("redirect_uri")
    # RFC 6749 §4.1.3: redirect_uri is "REQUIRED, if … included in the authorization request", and identical.
    if redirect_uri != code.redirect_uri and (code.redirect_uri_given or redirect_uri is not None):
        raise OAuthRefusal("invalid_grant", "redirect_uri is another than in the authorization request")
    _check_verifier(code, parameters.get("code_verifier"))
    grant = code.grant
    if grant.jkt is not None and grant.jkt != jkt:
        raise OAuthRefusal("invalid_grant", "the code is bound to another DPoP key")
    resources = issuer.check_resources(parameters, grant.resources)
    code.used = True
    grant.jkt, grant.resources = jkt, resources
    issuer.ledger.begin(grant)
    told = issuer.access(grant, grant.scope, code.requested_scope, resources, jkt)
    if issuer.gives_refresh(client, grant.scope):
        told["refresh_token"] = issuer.ledger.new_refresh(grant)
    if "openid" in grant.scope.split():
        told["id_token"] = issuer.id_token(grant.subject, client.client_id, code.nonce)
    return told


def _check_verifier(code: Code, verifier: str | None) -> None:
    if code.challenge is None:
        if verifier is not None:
            raise OAuthRefusal("invalid_grant", "a code_verifier, and no code_challenge before it")
        return
    if verifier is None or not _VERIFIER.fullmatch(verifier):
        raise OAuthRefusal("invalid_grant", "code_verifier is 43 to 128 unreserved characters")
    computed = encode(hashlib.sha256(verifier.encode()).digest())
    if not hmac.compare_digest(computed, code.challenge):
        raise OAuthRefusal("invalid_grant", "code_verifier does not match the code_challenge")


def _refresh_token(issuer: Issuer, client: Client, parameters: Parameters, jkt: str | None) -> Json:
    value = parameters.needed("refresh_token")
    grant = issuer.ledger.redeemable(value, client.client_id).grant
    # RFC 9449 §5: the refresh token of a public client is bound to the key, a confidential client's is not.
    if grant.jkt is not None and client.auth_method == "none" and grant.jkt != jkt:
        raise OAuthRefusal("invalid_grant", "the refresh token is bound to another DPoP key")
    resources = issuer.check_resources(parameters, grant.resources)
    asked = parameters.scope()
    scope = issuer.narrowed(grant.scope, asked)
    successor = issuer.ledger.redeem(value)
    told = issuer.access(grant, scope, asked or grant.scope, resources, jkt)
    return told | ({"refresh_token": successor} if successor else {})


def _client_credentials(issuer: Issuer, client: Client, parameters: Parameters, jkt: str | None) -> Json:
    # RFC 6749 §4.4: "The client credentials grant type MUST only be used by confidential clients."
    if client.auth_method == "none":
        raise OAuthRefusal("unauthorized_client", "a public client has no credentials")
    asked = parameters.scope()
    scope, resources = issuer.scope_for(client, asked), issuer.check_resources(parameters)
    grant = Grant(client.client_id, client.client_id, scope, resources, jkt)
    return issuer.access(grant, scope, asked, resources, jkt)
