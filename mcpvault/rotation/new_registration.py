"""
The rotator ``registration``: a new client is registered (RFC 7591), the old one deleted in the end (RFC 7592).

Both clients are good until then. Whoever is cut off while the new one is being registered may leave a client behind
that nobody knows: the next attempt says so.
"""

from __future__ import annotations

from mcpvault._version import VERSION
from mcpvault.deadline import Deadline
from mcpvault.durations import stamp
from mcpvault.errors import ConfigurationError, McpVaultError, PolicyError
from mcpvault.grants import CLIENT_NAME
from mcpvault.oauth import registration
from mcpvault.oauth.wire import drive, unavailable
from mcpvault.rotation.client_secret import RAT, disowned
from mcpvault.rotation.rotator import Case, Minted, Plan
from mcpvault.secret import Secret
from mcpvault.tokens import Registration

_METHODS = ("client_secret_basic", "client_secret_post")


class NewRegistration:
    """Registers a client in the place of the old one."""

    def plan(self, case: Case) -> Plan:
        """Name the issuer."""
        auth = case.entry.auth
        deleted = auth.registration_client_uri is not None and auth.registration_access_token is not None
        end = "the old client is deleted" if deleted else "a person deletes the old client"
        needs = () if auth.kind == "client_credentials" else ("an entry of kind client_credentials",)
        steps = (f"a new client is registered at {auth.issuer}", f"{end}, when the grace is over")
        by_hand = None if deleted else f"delete the old client at {auth.issuer}"
        return Plan(keeps_old=True, steps=steps, needs=needs, by_hand=by_hand)

    def mint(self, case: Case, deadline: Deadline) -> Minted:
        """
        Register, and return the secret with the id that it belongs to.

        Raises:
            PolicyError: The server registers none.
        """
        outcome = _registered(case, deadline)
        if isinstance(outcome, McpVaultError):
            raise outcome
        secret, token = outcome.client_secret, outcome.registration_access_token
        assert secret is not None  # noqa: S101  it was registered for a method that has one
        return Minted(
            secret=secret,
            not_after=stamp(outcome.client_secret_expires_at) if outcome.client_secret_expires_at else None,
            client_id=outcome.client_id,
            client_uri=outcome.registration_client_uri,
            staged={} if token is None else {RAT: token},
        )

    def publish(self, case: Case, deadline: Deadline) -> None:
        """Do nothing: it is registered."""

    def revoke(self, case: Case, deadline: Deadline) -> str | None:
        """Delete the client that is no longer used."""
        journal = case.entry.rotation
        return _delete(case, "previous", journal.previous_client_uri if journal else None, deadline)

    def withdraw(self, case: Case, deadline: Deadline) -> str | None:
        """Delete the client that did not come into use."""
        journal = case.entry.rotation
        return _delete(case, "pending", journal.pending_client_uri if journal else None, deadline)


def _registered(case: Case, deadline: Deadline) -> Registration | McpVaultError:
    settings = case.settings
    assert settings is not None and case.reach is not None  # noqa: S101  an OAuth entry's
    try:
        server = case.discover(deadline)
        if server.registration_endpoint is None:
            return PolicyError(f"{case.place}: {server.issuer} registers no clients", server=case.entry.name)
        flow = registration.register(
            server,
            client_name=CLIENT_NAME,
            redirect_uris=(),
            scope=settings.scope,
            client_metadata_url=None,
            preregistered=None,
            software_version=VERSION,
            grant_types=("client_credentials",),
            methods=_METHODS,
            server_name=case.entry.name,
        )
        with case.reach(deadline) as ask:
            return drive(flow, ask)
    except McpVaultError as error:
        return error.with_traceback(None)


def _delete(case: Case, stage: str, uri: str | None, deadline: Deadline) -> str | None:
    if uri and uri == case.entry.auth.registration_client_uri:
        return f"nothing was deleted: the {stage} client is the one in use"
    told = f"delete the {stage} client at {case.entry.auth.issuer} by hand"
    problem: McpVaultError | None = None
    token: Secret | None = None
    try:
        token = case.open(RAT, stage=stage)
    except ConfigurationError:
        return f"{told}: its registration access token is not known"
    if not uri or case.reach is None:
        return f"{told}: the address of its registration is not known"
    known = Registration(issuer="", client_id="", source="dynamic", registration_client_uri=uri)
    request = registration.deletion(known.replaced(registration_access_token=token))
    assert request is not None  # noqa: S101  address and token are there
    try:
        with case.reach(deadline) as ask:
            answer = ask(request.replaced(discovered=True))
            problem = unavailable(answer, f"{case.place}: client deletion")
            # "If the client does not exist on this server, the server MUST respond with HTTP 401" -- RFC 7592 §2.3
            if problem is None and answer.status not in (200, 204, 404) and not disowned(answer):
                return f"{told}: its deletion was answered with {answer.status}"
    except McpVaultError as error:
        problem = error.with_traceback(None)
    if problem is not None:
        raise problem
    return None
