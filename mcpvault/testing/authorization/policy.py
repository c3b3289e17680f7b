"""Every switch of ``FakeAuthorizationServer``: how it is by nature, as opposed to how it misbehaves for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105  # the name of a grant
CLIENT_CREDENTIALS = "client_credentials"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # the name of a grant
GRANTS = (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, DEVICE_CODE, JWT_BEARER, TOKEN_EXCHANGE)

RFC8414 = "oauth-authorization-server"
OIDC = "openid-configuration"
OIDC_APPENDED = "openid-configuration appended"


@dataclass(slots=True)
class Policy:
    """
    How the server is; every field may be changed while it runs.

    Attributes:
        well_known: Where metadata is published: ``"oauth-authorization-server"`` (RFC 8414),
            ``"openid-configuration"`` (in RFC 8414's place) and ``"openid-configuration appended"`` (OIDC's own
            place, after an issuer's path). Empty: nowhere, as servers of 2025-03-26 did.
        metadata: Members that replace those of the document; None leaves a member out.
        announce_iss: Whether the metadata says that ``iss`` comes with the authorization response (RFC 9207).
        send_iss: Whether it does come.
        iss: Another ``iss`` than the issuer.
        grant_types: The grants that the token endpoint knows.
        auth_methods: The ways in which clients may authenticate.
        assertion_audience: What ``aud`` of a client's JWT must be: ``"issuer"``, ``"token_endpoint"`` or ``"either"``.
        jwks_cache: Seconds for which the public keys of a client are believed once they were fetched.
        kid: What becomes of the ``kid`` of such a JWT: ``"chosen"`` picks the key, and where there is none each is
            tried; ``"ignored"``: each is tried; ``"first"``: the first key is taken; ``"needed"``: as ``"chosen"``,
            but without one there may be one key only.
        assertion_algorithms: The signature algorithms of such JWTs.
        registration: Whether clients may register themselves (RFC 7591).
        registration_management: Whether they get an address to manage that (RFC 7592).
        initial_access_token: What registering needs in the Authorization header, or None.
        substituted: Members of a registration that the server puts in place of the client's, such as
            ``{"scope": "read"}``.
        registered_scope_binds: Whether a client that is registered for scopes is refused all others
            (or gets a token without them, see ``drop_unknown_scopes``).
        secret_lifetime: Seconds for which a registered secret is good, or None for ever.
        renew_secrets: Whether an update of a registration makes a new secret and access token for it.
        old_secret_lifetime: Seconds for which the secret before a renewed one stays good.
        client_id_metadata: Whether a client may be the URL of its own metadata document.
        application_type_checked: Whether a client that does not say "native" may not have loopback redirect URIs.
        any_loopback_port: Whether a loopback redirect URI matches with every port (RFC 8252 §7.3).
        pkce: Whether a code challenge is needed; ``plain`` never is enough.
        state_required: Whether an authorization request needs a state of eight characters at least.
        resource_required: Whether a resource indicator is needed, for every token request too.
        consent: ``"auto"`` agrees at once, ``"page"`` asks on a page for a browser, ``"deny"`` refuses at once.
        scopes: The scopes that exist, or None for all one can think of.
        drop_unknown_scopes: Whether others are left out in silence instead of refused.
        granted_scope: What is granted whatever was asked for, or None.
        say_scope: Whether the token answer names the scope even where it is as asked for.
        code_lifetime: Seconds.
        access_lifetime: Seconds; ``say_expires_in`` tells whether the answer has ``expires_in``.
        say_expires_in: See there.
        access_token_jwt: Whether access tokens are JWTs (RFC 9068) and not opaque.
        refresh_tokens: Who gets one: ``"always"``, ``"offline_access"`` (with that scope) or ``"never"``.
        refresh_lifetime: Seconds, or None for ever.
        say_refresh_lifetime: The member that tells it, ``refresh_token_expires_in`` or another; None: it is not told.
        rotation: Whether each refresh makes a new refresh token.
        reuse: What a rotated one leads to: ``"revoke"`` the family, ``"refuse"``, or ``"ignore"``: it is accepted.
        grace: Seconds for which a rotated refresh token is accepted once more without harm.
        one_grant: Whether a person's login ends what the client was granted for that person before.
        dpop: ``"off"``, ``"accepted"`` or ``"required"`` (RFC 9449).
        dpop_algorithms: The signature algorithms of proofs.
        dpop_nonce: Whether proofs need a nonce of this server; ``renew_nonce()`` makes another.
        device_lifetime: Seconds for which a device code is good.
        device_interval: Seconds between two polls.
        device_complete_uri: Whether there is a ``verification_uri_complete``.
        id_jag_lifetime: Seconds for which an ID-JAG is good.
    """

    well_known: Sequence[str] = (RFC8414,)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    announce_iss: bool = True
    send_iss: bool = True
    iss: str | None = None
    grant_types: Sequence[str] = (AUTHORIZATION_CODE, REFRESH_TOKEN, CLIENT_CREDENTIALS, DEVICE_CODE)
    auth_methods: Sequence[str] = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
    assertion_audience: Literal["issuer", "token_endpoint", "either"] = "issuer"
    jwks_cache: float = 0
    kid: Literal["chosen", "ignored", "first", "needed"] = "chosen"
    assertion_algorithms: Sequence[str] = ("ES256", "RS256", "PS256", "EdDSA")
    registration: bool = True
    registration_management: bool = True
    initial_access_token: str | None = None
    substituted: Mapping[str, Any] = field(default_factory=dict)
    registered_scope_binds: bool = True
    secret_lifetime: float | None = None
    renew_secrets: bool = False
    old_secret_lifetime: float = 0
    client_id_metadata: bool = False
    application_type_checked: bool = True
    any_loopback_port: bool = False
    pkce: bool = True
    state_required: bool = True
    resource_required: bool = True
    consent: Literal["auto", "page", "deny"] = "auto"
    scopes: Sequence[str] | None = None
    drop_unknown_scopes: bool = False
    granted_scope: str | None = None
    say_scope: bool = True
    code_lifetime: float = 60
    access_lifetime: float = 3600
    say_expires_in: bool = True
    access_token_jwt: bool = False
    refresh_tokens: Literal["always", "offline_access", "never"] = "always"
    refresh_lifetime: float | None = None
    say_refresh_lifetime: str | None = None
    rotation: bool = True
    reuse: Literal["revoke", "refuse", "ignore"] = "revoke"
    grace: float = 0
    one_grant: bool = False
    dpop: Literal["off", "accepted", "required"] = "off"
    dpop_algorithms: Sequence[str] = ("ES256",)
    dpop_nonce: bool = False
    device_lifetime: float = 600
    device_interval: int = 5
    device_complete_uri: bool = True
    id_jag_lifetime: float = 300
