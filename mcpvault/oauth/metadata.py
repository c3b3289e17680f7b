"""
The two metadata documents: where each one is published, and whether what came may be believed.

Decides validity. Leaves fetching, and which of several documents is asked for first, to ``discovery``.

Rule: issuers, resources and endpoints stay byte for byte as they were published; what must be identical is
compared as text.

Spec: RFC 9728 §2, §3; RFC 8414 §2, §3, §5; OpenID Connect Discovery 1.0 §3, §4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcpvault.errors import IssuerMismatchError, RemoteProtocolError
from mcpvault.oauth.urls import flaw, shown, split
from mcpvault.oauth.wire import json_object
from mcpvault.quoting import quote
from mcpvault.tokens import AuthorizationServer
from vault_schema import SchemaError, origin_of
from vault_schema.record import Record

LARGEST = 256 * 1024  # bytes; the biggest seen in the field has 20 KiB

_RESOURCE = "/.well-known/oauth-protected-resource"
_SERVER = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"

_ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "device_authorization_endpoint",
)
_LISTS = (
    "scopes_supported",
    "grant_types_supported",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "dpop_signing_alg_values_supported",
    "authorization_grant_profiles_supported",
)
_FLAGS = ("authorization_response_iss_parameter_supported", "client_id_metadata_document_supported")


class ProtectedResource(Record):
    """Validated metadata of a protected resource (RFC 9728 §2): the part of it that a client acts on."""

    resource: str
    authorization_servers: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] | None = None
    bearer_methods_supported: tuple[str, ...] | None = None


def well_known_resource(url: str) -> tuple[str, ...]:
    """
    Return where the metadata of the MCP server at *url* may be, in the order to try (A21).

    RFC 9728 §3.1 would keep a query. It is left out here: an entry's query may hold a credential, and
    requests for metadata carry none. Of a slash at the end of the path it says nothing, and servers differ.
    """
    base, path, _ = split(url)
    return tuple(
        f"{base}{_RESOURCE}{tail}" for tail in dict.fromkeys((path, path.removesuffix("/"), "")) if tail != "/"
    )


def well_known_issuer(issuer: str) -> tuple[str, ...]:
    """
    Return where the metadata of *issuer* may be, in the order to try (A31, A32).

    "If the issuer identifier value contains a path component, any terminating "/" MUST be removed before
    inserting "/.well-known/" and the well-known URI suffix between the host component and the path
    component." -- RFC 8414 §3.1. Only these URLs lose it; the issuer keeps it (A35).
    """
    base, path, _ = split(issuer)
    path = path.removesuffix("/")
    if not path:
        return (f"{base}{_SERVER}", f"{base}{_OPENID}")
    return (f"{base}{_SERVER}{path}", f"{base}{_OPENID}{path}", f"{base}{path}{_OPENID}")


def covers(resource: str, server_url: str) -> bool:
    """
    Tell whether *resource* identifies the MCP server at *server_url*, or the part of its origin that it lies in.

    RFC 9728 §3.3 wants identity. Servers in the field name their origin, or a path above the endpoint, and
    clients accept that (A24): the origin is the same, and the path ends where a segment does.
    """
    if resource == server_url:
        return True
    try:
        if origin_of(resource) != origin_of(server_url):
            return False
    except SchemaError:
        return False
    _, above, query = split(resource)
    _, path, _ = split(server_url)
    return not query and f"{path.removesuffix('/')}/".startswith(f"{above.removesuffix('/')}/")


def canonical(server_url: str) -> str:
    """
    Return the resource indicator of a server that names none: its own URL (A91, A92).

    "It SHOULD NOT include a query component" -- RFC 8707 §2; an entry's query may hold a credential.
    """
    base, path, _ = split(server_url)
    return base.lower() + ("" if path == "/" else path)


def protected_resource(
    body: bytes, *, url: str, server_url: str, strict: bool = False, resource: str | None = None
) -> ProtectedResource:
    """
    Judge protected resource metadata.

    Args:
        body: What *url* answered.
        url: Where it was fetched, for messages.
        server_url: The MCP endpoint that the metadata has to be for.
        strict: ``resource`` must be the endpoint's URL itself, not its origin or a path above it.
        resource: The resource that the entry pins; metadata for exactly this one is good as well.

    Raises:
        RemoteProtocolError: It is no such document; look at the next place.
        IssuerMismatchError: It is for another resource; stop.
    """
    told = _object(body, url, "protected resource metadata")
    named = told.get("resource")
    if not isinstance(named, str):
        raise RemoteProtocolError(f"{shown(url)}: the protected resource metadata names no resource")
    # "If these values are not identical, the data contained in the response MUST NOT be used."
    # -- RFC 9728 §3.3
    exact = (server_url, "".join(split(server_url)[:2]))
    if named != resource and not (named in exact if strict else covers(named, server_url)):
        raise IssuerMismatchError(
            f"{shown(url)}: the metadata is for resource {quote(named)!r}, expected {shown(server_url)!r}",
            hint="it is not used; if that is the server's true name, set auth.resource to it",
        )
    return ProtectedResource(
        resource=named,
        authorization_servers=texts(told.get("authorization_servers")) or (),
        scopes_supported=texts(told.get("scopes_supported")),
        bearer_methods_supported=texts(told.get("bearer_methods_supported")),
    )


def authorization_server(body: bytes, *, url: str, issuer: str, allow_http: bool = False) -> AuthorizationServer:
    """
    Judge authorization server metadata, or an OpenID provider's.

    An optional member of another type than the specification's counts as absent.

    Args:
        body: What *url* answered.
        url: Where it was fetched, for messages.
        issuer: The issuer that *url* was built from.
        allow_http: Endpoints may be plain http beyond loopback.

    Raises:
        RemoteProtocolError: It is no such document, or names an endpoint that nothing may be sent to.
        IssuerMismatchError: It is another issuer's; nothing in it may be used.
    """
    told = _object(body, url, "authorization server metadata")
    named = told.get("issuer")
    if not isinstance(named, str):
        raise RemoteProtocolError(f"{shown(url)}: the authorization server metadata names no issuer")
    # "The "issuer" value returned MUST be identical to the authorization server's issuer identifier value
    # into which the well-known URI string was inserted to create the URL used to retrieve the metadata. If
    # these values are not identical, the data contained in the response MUST NOT be used." -- RFC 8414 §3.3
    if named != issuer:
        raise IssuerMismatchError(
            f"{shown(url)}: the metadata names issuer {quote(named)!r}, expected {quote(issuer)!r}",
            hint="it is not used; see auth.issuer if the entry has one, or tell who runs the authorization server",
        )
    members: dict[str, Any] = {}
    for name in _ENDPOINTS:
        endpoint = told.get(name)
        if isinstance(endpoint, str):
            if wrong := flaw(endpoint, allow_http=allow_http):
                raise RemoteProtocolError(f"{shown(url)}: {name} {shown(endpoint)!r}: {wrong}")
            members[name] = endpoint
    if "token_endpoint" not in members:
        raise RemoteProtocolError(f"{shown(url)}: the authorization server metadata names no token_endpoint")
    members.update({name: found for name in _LISTS if (found := texts(told.get(name))) is not None})
    members.update({name: True for name in _FLAGS if told.get(name) is True})
    return AuthorizationServer(issuer=issuer, **members)


def published_with(issuer: str, issuers: Iterable[str]) -> bool:
    """
    Tell whether one of *issuers* is published in the same place as *issuer*.

    Servers that write a "/" in one document and not in the other are common (A35). This tells that the same
    document is meant; what it must say is for the exact issuer to decide.
    """
    return any(well_known_issuer(other) == well_known_issuer(issuer) for other in issuers)


def _object(body: bytes, url: str, what: str) -> dict[str, Any]:
    if len(body) > LARGEST:
        raise RemoteProtocolError(f"{shown(url)}: the {what} is larger than {LARGEST} bytes")
    told = json_object(body)
    if told is None:
        raise RemoteProtocolError(f"{shown(url)}: the {what} is not a JSON object")
    return told


def texts(value: object) -> tuple[str, ...] | None:
    """Return a member that has to be an array of text; None for anything else."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return tuple(value)
