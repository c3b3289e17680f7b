"""
From an MCP server's URL to its authorization server: which documents are asked for, in which order.

Decides what an answer means for the search. Leaves the judgement of the documents to ``metadata``.

Rule: only "it is not here" leads on to a fallback. "Not now" (429, 5xx) never does, or an outage would choose the
authorization server (A25).

Spec: MCP 2026-07-28, Authorization Server Discovery; MCP 2025-03-26, Server Metadata Discovery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcpvault.errors import (
    ConfigurationError,
    IssuerMismatchError,
    McpVaultError,
    RemoteProtocolError,
    ServerUnavailableError,
)
from mcpvault.oauth.challenge import Challenge
from mcpvault.oauth.metadata import (
    ProtectedResource,
    authorization_server,
    canonical,
    protected_resource,
    published_with,
    well_known_issuer,
    well_known_resource,
)
from mcpvault.oauth.urls import flaw, shown, split
from mcpvault.oauth.wire import Answer, Ask, Flow, unavailable
from mcpvault.quoting import quote
from mcpvault.tokens import AuthorizationServer
from vault_schema.record import Record

_ABSENT = (404, 410)
_RESOURCE_METADATA = "protected resource metadata"
_SERVER_METADATA = "authorization server metadata"
# Where the resource names an issuer, a pin of another one is refused (A62).
_PIN = "if you know the server's authorization server, set auth.issuer of this server"
_TELL = "tell who runs the server, whose metadata name this authorization server"
_CHECK = "see whether the entry has the right issuer, or tell who runs the authorization server"


class Discovery(Record):
    """
    What a client needs to know before it asks for authorization.

    ``resource`` is sent byte for byte as the resource indicator (A93); None only where a server of 2025-03-26 has
    none. ``scopes_supported`` are the resource's, ``challenge_scope`` the challenge's.
    """

    server: AuthorizationServer
    resource: str | None = None
    scopes_supported: tuple[str, ...] | None = None
    challenge_scope: str | None = None


def discover(
    server_url: str,
    *,
    challenge: Challenge | None,
    issuer: str | None = None,
    strict_resource: bool = False,
    resource: str | None = None,
    assume_pkce_s256: bool = False,
    protocol_version: str | None = None,
    allow_http: bool = False,
) -> Flow[Discovery]:
    """
    Find the authorization server of an MCP server, and the resource to name there.

    Args:
        server_url: The MCP endpoint, as the entry has it.
        challenge: What the 401 or 403 said, or None.
        issuer: The issuer that the entry pins; metadata of the resource must agree with it (A62).
        strict_resource: The metadata's ``resource`` must be *server_url* itself (A24).
        resource: The resource that the entry pins; it is sent in place of the discovered one.
        assume_pkce_s256: A document that does not declare PKCE will do.
        protocol_version: Sent as ``MCP-Protocol-Version``, which servers of 2025-03-26 may go by.
        allow_http: The entry accepts plain http beyond loopback.

    Raises:
        ServerUnavailableError: A server answered 429 or 5xx; try again.
        IssuerMismatchError: Metadata is of another issuer or resource than it must be; stop.
        RemoteProtocolError: No metadata can be used; the message tells what each place answered.
        ConfigurationError: The pinned issuer is no issuer.
    """
    if issuer is not None and (wrong := _issuer_flaw(issuer, allow_http)):
        raise ConfigurationError(f"auth.issuer: {wrong}")
    headers = {"Accept": "application/json"}
    if protocol_version is not None:
        headers["MCP-Protocol-Version"] = protocol_version
    named = challenge.resource_metadata if challenge is not None else None
    scope = challenge.scope if challenge is not None else None
    try:
        found = yield from _resource(server_url, named, headers, strict_resource, resource, allow_http)
    except RemoteProtocolError:
        # "Abort or use pre-configured values" -- MCP 2026-07-28, Authorization Server Discovery.
        if issuer is None:
            raise
        found = None
    if found is None and issuer is None:
        server = yield from _server_of_2025_03_26(server_url, headers, allow_http)
        return Discovery(server=server, resource=resource, challenge_scope=scope)
    chosen = _choose(found, issuer, allow_http)
    server = yield from _server(chosen, headers, allow_http, assume_pkce_s256, discovered=chosen != issuer)
    return Discovery(
        server=server,
        resource=resource or (found.resource if found is not None else canonical(server_url)),
        scopes_supported=found.scopes_supported if found is not None else None,
        challenge_scope=scope,
    )


def metadata_of(issuer: str, *, allow_http: bool = False, discovered: bool = False) -> Flow[AuthorizationServer]:
    """
    Return the validated metadata of an issuer that is known: configured, such as an identity provider, or *discovered*.

    Raises:
        ServerUnavailableError, IssuerMismatchError, RemoteProtocolError: As ``discover``.
        ConfigurationError: It is no issuer.
    """
    if wrong := _issuer_flaw(issuer, allow_http):
        raise ConfigurationError(f"issuer {quote(issuer)!r}: {wrong}")
    return (yield from _server(issuer, {"Accept": "application/json"}, allow_http, True, discovered=discovered))


def _resource(
    server_url: str, named: str | None, headers: Mapping[str, str], strict: bool, pinned: str | None, allow_http: bool
) -> Flow[ProtectedResource | None]:
    """
    Return the metadata of the resource, from where the challenge *named* it or the well-known places (A21).

    None if all places answer that there is none.
    """
    problems: list[McpVaultError] = []
    absent = True
    for url in dict.fromkeys((*((named,) if named else ()), *well_known_resource(server_url))):
        if url == named and (wrong := flaw(url, allow_http=allow_http)):
            problems.append(RemoteProtocolError(f"{shown(url)}: {wrong}"))
            absent = False
            continue
        elsewhere = split(url)[0].lower() != split(server_url)[0].lower()
        gone = False
        try:
            answer = yield from _get(url, _RESOURCE_METADATA, headers, discovered=elsewhere)
            gone = answer.status in _ABSENT
            body = _body(answer, url)
            return protected_resource(body, url=url, server_url=server_url, strict=strict, resource=pinned)
        except RemoteProtocolError as error:
            problems.append(error)
        absent = absent and gone
    if absent:
        return None
    raise _none(_RESOURCE_METADATA, problems, _PIN)


def _choose(found: ProtectedResource | None, pinned: str | None, allow_http: bool) -> str:
    """Return the issuer to go to: the pinned one, else the first that the resource names (A23)."""
    listed = found.authorization_servers if found is not None else ()
    if pinned is not None:
        # "If the authorization server indicated by protected resource metadata no longer matches the one the
        # credentials were registered with, clients SHOULD surface an error" -- MCP 2026-07-28, Authorization Server
        # Binding.
        if listed and not published_with(pinned, listed):
            raise IssuerMismatchError(
                f"the server's authorization server is {quote(', '.join(listed))!r}, the entry's {quote(pinned)!r}",
                hint="if it has moved, register there and set auth.issuer; credentials of one are not shown to another",
            )
        return pinned
    if not listed:
        raise RemoteProtocolError(f"the {_RESOURCE_METADATA} names no authorization server", hint=_PIN)
    if wrong := _issuer_flaw(listed[0], allow_http):
        raise RemoteProtocolError(f"authorization server {quote(listed[0])!r}: {wrong}", hint=_TELL)
    return listed[0]


def _issuer_flaw(issuer: str, allow_http: bool) -> str | None:
    """Tell what is wrong with an issuer: a URL "that has no query or fragment components" (RFC 8414 §2)."""
    return "an issuer has no query" if "?" in issuer else flaw(issuer, allow_http=allow_http)


def _server(
    issuer: str, headers: Mapping[str, str], allow_http: bool, assume_pkce_s256: bool, *, discovered: bool
) -> Flow[AuthorizationServer]:
    """
    Return the validated metadata of *issuer* (A31, A32).

    Every document has to name this issuer, so trying the next can lead nowhere else. It is tried even after an
    outage, and where a document does not declare PKCE, which another may (A72).
    """
    undeclared: AuthorizationServer | None = None
    problems: list[McpVaultError] = []
    for url in well_known_issuer(issuer):
        try:
            answer = yield from _get(url, _SERVER_METADATA, headers, discovered=discovered)
            server = authorization_server(_body(answer, url), url=url, issuer=issuer, allow_http=allow_http)
        except (ServerUnavailableError, IssuerMismatchError, RemoteProtocolError) as error:
            problems.append(error)
            continue
        if assume_pkce_s256 or server.code_challenge_methods_supported is not None:
            return server
        undeclared = undeclared or server
    if undeclared is not None:
        return undeclared
    raise _none(_SERVER_METADATA, problems, _TELL if discovered else _CHECK)


def _server_of_2025_03_26(server_url: str, headers: Mapping[str, str], allow_http: bool) -> Flow[AuthorizationServer]:
    """
    Return the authorization server of an MCP server that has no resource metadata: the server's own origin.

    "The authorization base URL MUST be determined from the MCP server URL by discarding any existing path
    component." -- MCP 2025-03-26
    """
    base = split(server_url)[0].lower()
    url = well_known_issuer(base)[0]
    answer = yield from _get(url, _SERVER_METADATA, headers, discovered=False)
    if answer.status in _ABSENT:
        return AuthorizationServer(
            issuer=base,
            authorization_endpoint=f"{base}/authorize",
            token_endpoint=f"{base}/token",
            registration_endpoint=f"{base}/register",
            assumed=True,
        )
    body = _body(answer, url)
    try:
        return authorization_server(body, url=url, issuer=base, allow_http=allow_http)
    except IssuerMismatchError as error:
        mismatch = error
    # Nobody has named an issuer; one that ends in "/" is published at this place too.
    try:
        return authorization_server(body, url=url, issuer=f"{base}/", allow_http=allow_http)
    except IssuerMismatchError:
        raise mismatch from None


def _get(url: str, what: str, headers: Mapping[str, str], *, discovered: bool) -> Flow[Answer]:
    """Fetch a document; raise ServerUnavailableError where it cannot be had now."""
    answer = yield Ask(method="GET", url=url, purpose=what, headers=headers, discovered=discovered)
    if error := unavailable(answer, shown(url)):
        raise error
    return answer


def _body(answer: Answer, url: str) -> bytes:
    if answer.status != 200:
        raise RemoteProtocolError(f"{shown(url)}: the server answered {answer.status}")
    return answer.body


def _none(what: str, problems: Sequence[McpVaultError], hint: str) -> McpVaultError:
    """Return the error for a search that ended without a document."""
    for kind in (ServerUnavailableError, IssuerMismatchError):
        for error in problems:
            if isinstance(error, kind):
                return error
    return RemoteProtocolError(f"no usable {what}: {'; '.join(error.message for error in problems)}", hint=hint)
