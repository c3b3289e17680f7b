"""
What a login would ask, without asking it: the server, the scopes, the client, the ways for a person.

Decides how that is told. Nothing is written, registered or redeemed: only metadata is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpvault.oauth.scope import covers, permitted
from mcpvault.tokens import AuthorizationServer, Registration, Settings
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.grants import Grants, Known


_BEFORE, _BY_HAND = "registered before", "nobody registers it"


class Plan(Record):
    """
    A login that has not begun.

    ``client`` says how the client is known there, or would come to be: ``pre-registered``, ``metadata document``,
    ``registered before``, ``would be registered``, ``nobody registers it``, ``none``. ``ways`` are those for a person;
    a machine has none, and no ``redirect_uri``, which is to be registered where the client does not do that itself.
    """

    issuer: str
    resource: str | None
    scope: str | None
    client: str
    client_id: str | None
    ways: tuple[str, ...]
    redirect_uri: str | None


def plan(settings: Settings, grants: Grants, known: Known, scope: str | None, deadline: Deadline) -> Plan:
    """
    Return what a login would ask for.

    Raises:
        McpVaultError: See ``mcpvault.oauth.discovery.discover``.
    """
    from mcpvault.terminal_login import returns_by_hand, returns_to

    if not settings.needs_person:
        settings.check_issuer()
    found = grants.discover(None, deadline)
    wanted = grants.asked(found, scope)
    client, client_id = _client(settings, found.server, known.registration, wanted)
    returns = returns_by_hand(settings) if client == _BY_HAND else returns_to(settings, known)
    device = ("device",) if found.server.device_authorization_endpoint is not None else ()
    browser = ("loopback", "paste") if found.server.authorization_endpoint is not None else ()
    return Plan(
        issuer=found.server.issuer,
        resource=found.resource,
        scope=permitted(wanted, known.registration) if client == _BEFORE else wanted,
        client=client,
        client_id=client_id,
        ways=(*browser, *device) if settings.needs_person else (),
        redirect_uri=returns if settings.needs_person else None,
    )


def _client(
    settings: Settings, server: AuthorizationServer, held: Registration | None, wanted: str | None
) -> tuple[str, str | None]:
    if settings.client_id is not None:
        return "pre-registered", settings.client_id
    if not settings.needs_person:
        return "none", None
    if held is not None and (held.issuer, held.source) == (server.issuer, "dynamic") and covers(held, wanted):
        return _BEFORE, held.client_id
    if settings.client_metadata_url is not None and server.client_id_metadata_document_supported:
        return "metadata document", settings.client_metadata_url
    return "would be registered" if server.registration_endpoint is not None else _BY_HAND, None
