"""The documents about the server: its metadata at each well-known place, and its keys (RFC 8414, OIDC Discovery)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpvault.testing.authorization.assertion_grants import PROFILE
from mcpvault.testing.authorization.policy import AUTHORIZATION_CODE, DEVICE_CODE, JWT_BEARER, OIDC, RFC8414
from mcpvault.testing.authorization.reply import Json

if TYPE_CHECKING:
    from mcpvault.testing.authorization.issuer import Issuer


def places(issuer: Issuer) -> set[str]:
    """Return the paths at which the metadata is published (RFC 8414 §3.1, OIDC Discovery §4)."""
    where = {
        RFC8414: f"/.well-known/oauth-authorization-server{issuer.path}",
        OIDC: f"/.well-known/openid-configuration{issuer.path}",
    }
    return {where.get(one, f"{issuer.path}/.well-known/openid-configuration") for one in issuer.policy.well_known}


def document(issuer: Issuer) -> Json:
    """Return the metadata."""
    policy = issuer.policy
    secret_methods = [method for method in policy.auth_methods if method != "none"]
    told: Json = {
        "issuer": issuer.issuer,
        "authorization_endpoint": issuer.url("authorize") if AUTHORIZATION_CODE in policy.grant_types else None,
        "token_endpoint": issuer.url("token"),
        "registration_endpoint": issuer.url("register") if policy.registration else None,
        "revocation_endpoint": issuer.url("revoke"),
        "revocation_endpoint_auth_methods_supported": [*policy.auth_methods],
        "introspection_endpoint": issuer.url("introspect"),
        "introspection_endpoint_auth_methods_supported": secret_methods,
        "device_authorization_endpoint": issuer.url("device") if DEVICE_CODE in policy.grant_types else None,
        "jwks_uri": issuer.url("jwks"),
        "scopes_supported": None if policy.scopes is None else [*policy.scopes],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [*policy.grant_types],
        "token_endpoint_auth_methods_supported": [*policy.auth_methods],
        "token_endpoint_auth_signing_alg_values_supported": [*policy.assertion_algorithms]
        if "private_key_jwt" in policy.auth_methods
        else None,
        "code_challenge_methods_supported": ["S256"] if policy.pkce else None,
        "authorization_response_iss_parameter_supported": True if policy.announce_iss else None,
        "client_id_metadata_document_supported": True if policy.client_id_metadata else None,
        "dpop_signing_alg_values_supported": None if policy.dpop == "off" else [*policy.dpop_algorithms],
        "authorization_grant_profiles_supported": [PROFILE] if JWT_BEARER in policy.grant_types else None,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        **policy.metadata,
    }
    return {name: value for name, value in told.items() if value is not None}
