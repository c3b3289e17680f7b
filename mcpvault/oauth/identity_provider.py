"""
Our client at a person's identity provider: configuration, never something that was discovered (E5).

Decides which server is asked for an ID-JAG, and how we authenticate there. Leaves asking to ``flows``.
"""

from __future__ import annotations

from mcpvault.errors import ConfigurationError
from mcpvault.oauth import client_authentication
from mcpvault.oauth.discovery import metadata_of
from mcpvault.oauth.flows import Client
from mcpvault.oauth.wire import Flow
from mcpvault.tokens import AuthorizationServer, Registration, Settings


def identity_provider(settings: Settings, *, allow_http: bool) -> Flow[Client]:
    """
    Return the client; where the entry has no token endpoint, it is the one that the identity provider publishes.

    Raises:
        ConfigurationError: The entry names no identity provider.
        McpVaultError: Its metadata cannot be had.
    """
    if settings.idp_issuer is None or settings.idp_client_id is None:
        raise ConfigurationError(f"{settings.server}: an identity provider needs idp_issuer and idp_client_id")
    if settings.idp_token_endpoint is not None:
        server = AuthorizationServer(issuer=settings.idp_issuer, token_endpoint=settings.idp_token_endpoint)
    else:
        server = yield from metadata_of(settings.idp_issuer, allow_http=allow_http)
    secret = settings.idp_client_secret
    registration = Registration(
        issuer=settings.idp_issuer,
        client_id=settings.idp_client_id,
        source="preregistered",
        token_endpoint_auth_method=client_authentication.choose(server, has_secret=secret is not None, has_key=False),
        client_secret=secret,
    )
    return Client(name=settings.server, server=server, registration=registration)
