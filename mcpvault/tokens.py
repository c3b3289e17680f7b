"""
What an authorization leaves behind: the server it came from, the client that asked, the tokens.

Decides the shapes and how they are written down. Leaves getting them to ``mcpvault.oauth``,
keeping them to ``mcpvault.state``, and sending them to ``mcpvault.http``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcpvault.secret import Secret
from vault_schema.record import Record

Json = dict[str, Any]


class AuthorizationServer(Record):
    """
    Validated metadata of an authorization server (RFC 8414 §2, OpenID Connect Discovery §3).

    Strings are byte for byte what the server published; an absent member is None, an absent list ``()``
    (``None`` where absence has a meaning of its own).
    """

    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    scopes_supported: tuple[str, ...] | None = None
    grant_types_supported: tuple[str, ...] | None = None
    code_challenge_methods_supported: tuple[str, ...] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] | None = None
    dpop_signing_alg_values_supported: tuple[str, ...] | None = None
    authorization_grant_profiles_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False
    client_id_metadata_document_supported: bool = False
    assumed: bool = False  # 2025-03-26: no metadata anywhere, the endpoints are that revision's defaults


class Registration(Record):
    """
    A client at one authorization server, however it came to be known there (RFC 7591 §3.2.1).

    ``source`` is ``preregistered``, ``metadata_document`` or ``dynamic``. The private key of
    ``private_key_jwt`` is no part of it. ``scope`` is what it was to be registered for, ``granted_scope`` what the
    server made of that; None where nobody said, and for all that did not register themselves.
    """

    issuer: str
    client_id: str
    source: str
    token_endpoint_auth_method: str = "none"  # noqa: S105  a method
    client_secret: Secret | None = None
    client_secret_expires_at: int = 0  # Unix seconds; 0: never
    redirect_uris: tuple[str, ...] = ()
    scope: str | None = None
    granted_scope: str | None = None
    registration_client_uri: str | None = None
    registration_access_token: Secret | None = None  # RFC 7592

    @property
    def kept(self) -> Registration:
        """What of it is kept with the tokens: the secret of a pre-registered client stays where it is, in the vault."""
        return self.replaced(client_secret=None) if self.source == "preregistered" else self


class TokenSet(Record):
    """
    What a token endpoint granted (RFC 6749 §5.1).

    ``expires_at`` is absolute, Unix seconds, None where the server did not say. ``scope`` is what was granted,
    ``requested_scope`` what was wanted, also what the client may not ask for (``Registration.granted_scope``); both
    space-separated, None where nothing was asked or said.
    ``refresh_expires_at`` is when the refresh token ends, which no specification has a word for and some servers say.
    """

    access_token: Secret
    token_type: str = "Bearer"  # noqa: S105  or "DPoP"
    refresh_token: Secret | None = None
    issued_at: float = 0.0
    expires_at: float | None = None
    scope: str | None = None
    requested_scope: str | None = None
    refresh_expires_at: float | None = None

    def fresh(self, now: float, *, skew: float = 0.0) -> bool:
        """Tell whether it is good at *now* and *skew* seconds beyond; unknown expiry counts as good."""
        return self.expires_at is None or now + skew < self.expires_at


def as_json(value: Record) -> Json:
    """Return the fields of a record as JSON values, **secrets in clear**: for sealing, and for nothing else."""
    told: Json = {}
    for name, held in value.fields().items():
        if held is None:
            continue
        told[name] = held.reveal() if isinstance(held, Secret) else [*held] if isinstance(held, tuple) else held
    return told


_SECRET = frozenset({"access_token", "refresh_token", "client_secret", "registration_access_token"})


def token_set(told: Mapping[str, Any]) -> TokenSet:
    """Return what ``as_json`` wrote of a token set."""
    return TokenSet(**_read(told, TokenSet))


def registration(told: Mapping[str, Any]) -> Registration:
    """Return what ``as_json`` wrote of a registration."""
    return Registration(**_read(told, Registration))


def authorization_server(told: Mapping[str, Any]) -> AuthorizationServer:
    """Return what ``as_json`` wrote of an authorization server."""
    return AuthorizationServer(**_read(told, AuthorizationServer))


def _read(told: Mapping[str, Any], kind: type[Record]) -> Json:
    found: Json = {}
    for name, held in told.items():
        if name in kind.names():
            found[name] = Secret(held) if name in _SECRET else tuple(held) if isinstance(held, list) else held
    return found
