"""
What an authorization is asked for with, and what it leaves behind: the server it came from, the client, the tokens.

Decides the shapes and how the latter are written down. Leaves getting them to ``mcpvault.oauth``,
keeping them to ``mcpvault.state``, and sending them to ``mcpvault.http``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mcpvault.errors import ConfigurationError, IssuerMismatchError
from mcpvault.secret import Secret
from vault_schema.record import Record

Json = dict[str, Any]


class Settings(Record):
    """
    The ``auth`` table of an OAuth entry (SPEC §10.3), made concrete.

    ``server`` is the entry's name, ``credential`` the name of the token state, which entries may share.
    ``other_clients`` are those of a rotation that is open.
    """

    server: str
    credential: str
    url: str
    kind: str  # oauth, client_credentials, jwt_bearer, id_jag
    issuer: str | None = None
    resource: str | None = None
    strict_resource: bool = False
    scope: str | None = None
    client_id: str | None = None
    other_clients: tuple[str, ...] = ()
    client_secret: Secret | None = None
    private_key: Secret | None = None
    key_id: str | None = None
    signing_alg: str | None = None
    token_endpoint_auth_method: str | None = None
    assertion_audience: str | None = None
    client_metadata_url: str | None = None
    redirect_uri: str | None = None
    login_method: str | None = None
    interactive: str = "never"
    assume_pkce_s256: bool = False
    dpop: bool = False
    persist: str = "all"
    assertion: Secret | None = None
    idp_issuer: str | None = None
    idp_token_endpoint: str | None = None
    idp_client_id: str | None = None
    idp_client_secret: Secret | None = None
    subject_token: Secret | None = None
    subject_token_type: str = "id_token"  # noqa: S105  a kind of token

    @property
    def needs_person(self) -> bool:
        """Whether only a human can make the first grant."""
        return self.kind == "oauth"

    @property
    def word(self) -> Secret | None:
        """What a machine presents for a grant besides its client's proof: whose it is, the token will be; or None."""
        return {"jwt_bearer": self.assertion, "id_jag": self.subject_token}.get(self.kind)

    def check_issuer(self, server: AuthorizationServer | None = None) -> None:
        """
        Refuse a machine's proof that names no issuer, or another than that of *server*, to which it is to be sent.

        The MCP server could name one of its own otherwise, and have an assertion, or an ID-JAG for it (E5).

        Raises:
            ConfigurationError: The entry has no ``issuer``.
            IssuerMismatchError: *server* is another's.
        """
        if server is not None and server.issuer != self.issuer:
            raise IssuerMismatchError(
                f"{self.server}: what proves who we are is for {self.issuer}, and does not go to {server.issuer}",
                server=self.server,
            )
        if self.issuer is None:
            raise ConfigurationError(
                f"{self.server}: auth.issuer is missing: what proves who we are goes to the issuer that it is for",
                hint=f"run: mcpvault set {self.server} auth.issuer URL",
                server=self.server,
            )

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that the entry itself names: whoever signed the vault has decided on them."""
        urls = (self.url, self.issuer, self.idp_issuer, self.idp_token_endpoint)
        return frozenset(host for url in urls if url and (host := urlsplit(url).hostname))


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
