"""
How an entry comes by a grant: discovery, registration, then a person's consent or the machine's own credentials.

Decides the order of the flows. Leaves what each asks to ``mcpvault.oauth``, sending to ``mcpvault.http``,
keeping the result to ``authorization``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from mcpvault._version import VERSION
from mcpvault.deadline import Deadline
from mcpvault.errors import AuthorizationFailedError, McpVaultError
from mcpvault.mcp import era, jsonrpc
from mcpvault.moved import Watched, elsewhere
from mcpvault.oauth import challenge as challenges
from mcpvault.oauth import discovery, flows, registration, scope
from mcpvault.oauth.authorization import Pending, answers, begin, check_pkce, code_from
from mcpvault.oauth.challenge import Challenge
from mcpvault.oauth.discovery import Discovery
from mcpvault.oauth.flows import Client
from mcpvault.oauth.identity_provider import identity_provider
from mcpvault.oauth.wire import Answer, Ask, ShowCode, Wait, drive
from mcpvault.oauth_client import preregistered, proof_of, still_good, with_keys
from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration, Settings, TokenSet

if TYPE_CHECKING:
    from mcpvault.http.asking import Asker
    from mcpvault.login import Way
    from mcpvault.oauth.dpop import ProofKey

CLIENT_NAME = "mcpvault"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"  # RFC 8628 §3.4


class Grant(NamedTuple):
    """What came of it: the tokens, and all that a later refresh needs to know."""

    tokens: TokenSet
    server: AuthorizationServer
    registration: Registration | None
    resource: str | None
    proof_key: ProofKey | None


class Known(NamedTuple):
    """What is remembered from an earlier grant, so that it need not be found out again."""

    server: AuthorizationServer | None = None
    registration: Registration | None = None
    resource: str | None = None
    requested_scope: str | None = None
    proof_key: ProofKey | None = None


class Grants:
    """
    The ways to a grant for one entry.

    Args:
        settings: The entry's ``auth``, secrets open.
        reach: Returns who carries out what a flow asks, within a deadline.
        allow_http: As in the entry.
        latest: Returns the settings as they are now: what they refer to, a workload's JWT above all, may have changed.
        registered: Is given a client that was registered just now, before anybody is asked to log in with it.
        now: Unix seconds.
    """

    def __init__(
        self,
        settings: Settings,
        reach: Callable[[Deadline], Asker],
        *,
        allow_http: bool = False,
        latest: Callable[[], Settings] | None = None,
        registered: Callable[[Client, Deadline], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._latest = latest or (lambda: settings)
        self.reach = reach
        self._allow_http = allow_http
        self._registered = registered or (lambda client, deadline: None)
        self._now = now

    def discover(self, seen: Challenge | None, deadline: Deadline) -> Discovery:
        """
        Find the authorization server; a challenge that nobody has seen yet is asked for first.

        Raises:
            McpVaultError: See ``mcpvault.oauth.discovery.discover``.
        """
        settings = self.settings
        with self.reach(deadline) as ask:
            if seen is None:
                answer = ask(first_request(settings.url))
                if answer.status in (401, 403):
                    seen = challenges.oauth(answer.headers.get("www-authenticate", ""))
            flow = discovery.discover(
                settings.url,
                challenge=seen,
                issuer=settings.issuer,
                strict_resource=settings.strict_resource,
                resource=settings.resource,
                assume_pkce_s256=settings.assume_pkce_s256,
                protocol_version=era.MODERN,
                allow_http=self._allow_http,
            )
            return drive(flow, ask)

    def client(
        self,
        found: Discovery,
        known: Known,
        redirect_uris: tuple[str, ...],
        deadline: Deadline,
        wanted: str | None,
        *,
        uri_by_hand: str | None = None,
    ) -> Client:
        """
        Return the client to ask as: the entry's own, the one that was registered before, or a new one.

        One that is to ask for more than it was registered for is registered anew, where that goes; where none can be,
        *uri_by_hand* is what a person is told to register, else *redirect_uris*.

        Raises:
            ConfigurationError: The server does not declare PKCE.
            PrivateAddressError: Its token endpoint is in a private network.
            McpVaultError: See ``mcpvault.oauth.registration.register``.
        """
        settings, server = self.settings, found.server
        if redirect_uris:
            check_pkce(server, assume=settings.assume_pkce_s256, name=settings.server)
        with self.reach(deadline) as ask:  # nobody registers, or consents, for a code that cannot be spent
            ask.check_visit(server.token_endpoint, purpose="token endpoint")
        asked = self.asked(found, wanted)
        held = known.registration
        if held is not None and not still_good(settings, held, server, redirect_uris, self._now()):
            held = None
        if held is not None:
            if scope.covers(held, asked):
                return with_keys(settings, server, held, known.proof_key)
            asked = scope.step_up(held.scope, asked)
        flow = registration.register(
            server,
            client_name=CLIENT_NAME,
            redirect_uris=redirect_uris,
            scope=asked,
            client_metadata_url=settings.client_metadata_url,
            preregistered=preregistered(settings, server, redirect_uris),
            software_version=VERSION,
            grant_types=registration.GRANT_TYPES if redirect_uris else (DEVICE_GRANT, "refresh_token"),
            server_name=settings.server,
            uri_by_hand=uri_by_hand,
        )
        with self.reach(deadline) as ask:
            try:
                held = drive(flow, ask)
            except AuthorizationFailedError:
                if held is None:
                    raise
        client = with_keys(settings, server, held, known.proof_key)
        if held.source == "dynamic":
            self._registered(client, deadline)
        return client

    def begin(self, found: Discovery, client: Client, redirect_uri: str, wanted: str | None) -> tuple[str, Pending]:
        """Return the URL for the person, and what the response will be judged by; *wanted* are the scopes, or None."""
        assert client.registration is not None  # noqa: S101  a person's client is always registered
        url, pending = begin(
            client.server,
            client.registration,
            resource=found.resource,
            scope=self.asked(found, wanted),
            redirect_uri=redirect_uri,
            now=self._now(),
            assume_pkce_s256=self.settings.assume_pkce_s256,
            dpop_jkt=client.proof_key.thumbprint if client.proof_key else None,
        )
        with self.reach(Deadline(None)) as ask:
            ask.check_visit(url, purpose="authorization endpoint")
        return url, pending

    def complete(self, client: Client, pending: Pending, redirected: Secret, deadline: Deadline) -> Grant:
        """
        Judge the response and spend its code.

        Raises:
            McpVaultError: See ``code_from`` and ``exchange_code_flow``.
        """
        code = code_from(pending, redirected, now=self._now(), server=self.settings.server)
        with self.reach(deadline) as ask:
            tokens = drive(flows.exchange_code_flow(client, pending, code, now=self._now()), ask)
        return Grant(tokens, client.server, client.registration, pending.resource, client.proof_key)

    def by_person(
        self, way: Way, known: Known, seen: Challenge | None, wanted: str | None, deadline: Deadline,
        *, uri_by_hand: str | None = None,
    ) -> Grant:  # fmt: skip
        """Take a person through consent, the *way* that was chosen; *uri_by_hand* as for ``client``."""
        found = self.discover(seen, deadline)
        client = self.client(found, known, (way.redirect_uri,), deadline, wanted, uri_by_hand=uri_by_hand)
        url, pending = self.begin(found, client, way.redirect_uri, wanted)
        redirected = Secret(way.visit(url, lambda address: answers(pending, address), deadline))
        return self.complete(client, pending, redirected, deadline)

    def by_device(
        self, show: Callable[[ShowCode], None], known: Known, seen: Challenge | None, wanted: str | None,
        deadline: Deadline,
    ) -> Grant:  # fmt: skip
        """Let a person enter a code on another device (RFC 8628)."""
        from mcpvault.oauth.device import device_flow

        found = self.discover(seen, deadline)
        client = self.client(found, known, (), deadline, wanted)
        flow = device_flow(client, scope=self.asked(found, wanted), resource=found.resource, clock=self._now)
        with self.reach(deadline) as ask:

            def carry_out(step: Ask | ShowCode | Wait) -> Answer | None:
                if isinstance(step, Ask):
                    return ask(step)
                if isinstance(step, ShowCode):
                    for url in filter(None, (step.verification_uri, step.verification_uri_complete)):
                        ask.check_visit(url, purpose="verification address")
                    show(step)
                else:
                    what = f"{client.name}: nobody has entered the code"
                    deadline.pause(step.seconds, what, server=client.name)
                return None

            tokens = drive(flow, carry_out)
        return Grant(tokens, client.server, client.registration, found.resource, client.proof_key)

    def by_machine(self, known: Known, seen: Challenge | None, wanted: str | None, deadline: Deadline) -> Grant:
        """Get a token in the entry's own name: client credentials, a workload's JWT, or an identity provider's word."""
        with deadline.governing():  # a reference may be a command
            settings = self.settings = self._latest()
        settings.check_issuer()
        server, resource, default = known.server, known.resource, settings.scope or known.requested_scope
        if server is None or seen is not None:
            found = self.discover(seen, deadline)
            server, resource, default = found.server, found.resource, self._first_scope(found, refresh=False)
        settings.check_issuer(server)
        asked: Mapping[str, Any] = {"scope": wanted or default, "resource": resource, "now": self._now()}
        failure: McpVaultError | None = None
        with self.reach(deadline) as ask:
            client = with_keys(settings, server, preregistered(settings, server), known.proof_key)
            watched = Watched(ask, server)
            try:
                tokens = self._machines_tokens(client, watched, asked)
            except McpVaultError as error:
                failure = error
            if failure is not None:
                now = self.elsewhere(server, deadline) if watched.missed and server is known.server else None
                if now is None:
                    raise failure
                client = with_keys(settings, now, preregistered(settings, now), client.proof_key)
                tokens = self._machines_tokens(client, ask, asked)
        return Grant(tokens, client.server, client.registration, resource, client.proof_key)

    def _machines_tokens(self, client: Client, ask: Callable[[Ask], Answer], asked: Mapping[str, Any]) -> TokenSet:
        settings = self.settings
        if settings.kind == "client_credentials":
            return drive(flows.client_credentials_flow(client, **asked), ask)
        if settings.kind == "jwt_bearer":
            assert settings.assertion is not None  # noqa: S101  the schema requires it
            return drive(flows.jwt_bearer_flow(client, settings.assertion, **asked), ask)
        assert settings.subject_token is not None  # noqa: S101  the schema requires it
        flow = flows.id_jag_flow(
            drive(identity_provider(settings, allow_http=self._allow_http), ask),
            client,
            subject_token=settings.subject_token,
            subject_token_type=settings.subject_token_type,
            **asked,
        )
        return drive(flow, ask)

    def elsewhere(self, server: AuthorizationServer, deadline: Deadline) -> AuthorizationServer | None:
        """Return what the issuer of *server* says now, where its token endpoint has moved; else None."""
        discovered = server.issuer != self.settings.issuer
        with self.reach(deadline) as ask:
            return elsewhere(server, ask, allow_http=self._allow_http, discovered=discovered)

    def as_client(self, server: AuthorizationServer, held: Registration | None, proof_key: ProofKey | None) -> Client:
        """Return the client of an earlier grant, to refresh or to revoke with."""
        return with_keys(self.settings, server, preregistered(self.settings, server) or held, proof_key)

    def proof(self, held: Registration | None) -> str:
        """Return the fingerprint of what the client, or the one that is *held*, proves itself with."""
        return proof_of(self.settings, held)

    def asked(self, found: Discovery, wanted: str | None) -> str | None:
        """Return the scopes that are asked for first: *wanted*, else what entry, challenge or metadata say."""
        return wanted if wanted is not None else self._first_scope(found)

    def _first_scope(self, found: Discovery, *, refresh: bool = True) -> str | None:
        return scope.initial(
            configured=self.settings.scope,
            challenge_scope=found.challenge_scope,
            resource_scopes=found.scopes_supported,
            server=found.server,
            wants_refresh=refresh,
        )


def first_request(url: str) -> Ask:
    """Return a request that every MCP server answers, or answers with the challenge that we want to see."""
    params = era.modern_params(None)
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        **era.modern_headers("server/discover", params),
    }
    body = jsonrpc.request(1, "server/discover", params)
    return Ask(method="POST", url=url, purpose="first request", headers=headers, body=body, discovered=False, safe=True)
