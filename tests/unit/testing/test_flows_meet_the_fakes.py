"""Our OAuth flows against the strict server: every way to a token, carried out by ``requests`` alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import requests

from mcpvault.errors import AuthorizationFailedError, IssuerMismatchError
from mcpvault.oauth import authorization, challenge, discovery, flows, registration, revocation, scope
from mcpvault.oauth.device import device_flow
from mcpvault.oauth.dpop import ProofKey
from mcpvault.oauth.jwt import ClientKey
from mcpvault.oauth.wire import Answer, Ask, ShowCode, Wait, drive
from mcpvault.secret import Secret
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer, SigningKey
from mcpvault.testing.authorization.clients import Client as Known
from mcpvault.testing.authorization.policy import GRANTS
from mcpvault.tokens import Registration, TokenSet

REDIRECT = "http://127.0.0.1:8765/callback"
Starter = Callable[..., FakeAuthorizationServer]


def send(ask: Ask) -> Answer:
    """Carry out one request."""
    answer = requests.request(
        ask.method, ask.url, data=ask.body, headers=dict(ask.headers), timeout=10, allow_redirects=False
    )
    return Answer(
        status=answer.status_code,
        headers={name.lower(): value for name, value in answer.headers.items()},
        body=answer.content,
    )


def found(server: FakeMcpServer) -> discovery.Discovery:
    """Discover from the server's own 401."""
    header = requests.post(server.url, json={}, timeout=10).headers.get("WWW-Authenticate", "")
    return drive(discovery.discover(server.url, challenge=challenge.bearer(header)), send)


def registered(known: discovery.Discovery, wanted: str | None, **options: Any) -> Registration:
    """Register, or take what there is."""
    told = {"client_metadata_url": None, "preregistered": None, **options}
    flow = registration.register(
        known.server, client_name="mcpvault", redirect_uris=[REDIRECT], scope=wanted, software_version="1", **told
    )
    return drive(flow, send)


def log_in(issuer: FakeAuthorizationServer, server: FakeMcpServer, key: ProofKey | None = None) -> TokenSet:
    """Go the whole way: discover, register, authorize, spend the code."""
    known = found(server)
    wanted = scope.initial(
        configured=None,
        challenge_scope=known.challenge_scope,
        resource_scopes=known.scopes_supported,
        server=known.server,
        wants_refresh=True,
    )
    own = registered(known, wanted)
    url, pending = authorization.begin(
        known.server,
        own,
        resource=known.resource,
        scope=wanted,
        redirect_uri=REDIRECT,
        now=issuer.now(),
        dpop_jkt=key.thumbprint if key else None,
    )
    code = authorization.code_from(pending, issuer.follow(url), now=issuer.now())
    client = flows.Client(name="fake", server=known.server, registration=own, proof_key=key)
    return drive(flows.exchange_code_flow(client, pending, code, now=issuer.now()), send)


def opens(server: FakeMcpServer, tokens: TokenSet) -> bool:
    """Tell whether the server takes the access token."""
    headers = {"Authorization": f"Bearer {tokens.access_token.reveal()}"}
    return requests.post(server.url, json=[], headers=headers, timeout=10).status_code == 400


@pytest.mark.parametrize(
    ("policy", "protection"),
    [
        ({}, {}),
        ({"path": "/t1"}, {"metadata_at": "root", "announced": False}),
        ({"path": "/t1", "well_known": ["openid-configuration appended"]}, {"metadata_at": "/custom/m.json"}),
        ({"well_known": ["openid-configuration"]}, {"scopes": ["a", "b"]}),
        ({"scopes": ["a", "offline_access"], "refresh_tokens": "offline_access"}, {"scopes": ["a"]}),
        ({"consent": "page", "announce_iss": False, "send_iss": False}, {"challenge_scope": "a b"}),
        ({"auth_methods": ["client_secret_basic"]}, {}),
        ({"auth_methods": ["client_secret_post"]}, {}),
        ({"substituted": {"token_endpoint_auth_method": "client_secret_basic"}}, {}),
        ({"access_token_jwt": True, "say_scope": False, "say_expires_in": False}, {}),
    ],
)
def test_a_login_succeeds(
    fake_authorization_servers: Starter,
    fake_mcp_servers: Callable[..., FakeMcpServer],
    policy: dict[str, Any],
    protection: dict[str, Any],
) -> None:
    """Wherever the documents are and however the client authenticates, the tokens open the server."""
    issuer = fake_authorization_servers(**policy)
    server = fake_mcp_servers(authorization_server=issuer, **protection)

    tokens = log_in(issuer, server)

    assert opens(server, tokens)
    assert tokens.refresh_token is not None


def test_a_login_at_a_server_of_2025_03_26() -> None:
    """Without any metadata the endpoints are that revision's, and no resource is sent."""
    with (
        FakeMcpServer() as server,
        FakeAuthorizationServer(at=server, well_known=[], resource_required=False) as issuer,
    ):
        server.protect(issuer, metadata_at=None, audience_checked=False)

        assert opens(server, log_in(issuer, server))
        assert "resource" not in issuer.called("token")[0].form


@pytest.mark.parametrize("policy", [{"iss": "https://evil.example"}, {"send_iss": False}])
def test_a_mixed_up_issuer_is_noticed(
    fake_authorization_servers: Starter, fake_mcp_servers: Callable[..., FakeMcpServer], policy: dict[str, Any]
) -> None:
    """A wrong or missing ``iss`` ends the login before the code goes anywhere (RFC 9207)."""
    issuer = fake_authorization_servers(**policy)
    server = fake_mcp_servers(authorization_server=issuer)

    with pytest.raises(IssuerMismatchError):
        log_in(issuer, server)
    assert [] == issuer.called("token")


@pytest.mark.parametrize("nonce", [False, True])
def test_a_login_with_dpop(
    fake_authorization_servers: Starter, fake_mcp_servers: Callable[..., FakeMcpServer], nonce: bool
) -> None:
    """The tokens are bound to the key, with one more request where the server wants a nonce."""
    issuer = fake_authorization_servers(dpop="required", dpop_nonce=nonce)
    server = fake_mcp_servers(authorization_server=issuer)
    key = ProofKey.generate()

    tokens = log_in(issuer, server, key)

    assert "DPoP" == tokens.token_type
    assert key.thumbprint == issuer.introspect(tokens.access_token.reveal())["cnf"]["jkt"]
    assert (2 if nonce else 1) == len(issuer.called("token"))


def known_client(issuer: FakeAuthorizationServer, client: Known, **options: Any) -> flows.Client:
    """Return our side of a client that the server knows."""
    place = f"{issuer.origin}/.well-known/oauth-authorization-server"
    assert 200 == requests.get(place, timeout=10).status_code
    own = Registration(
        issuer=issuer.issuer,
        client_id=client.client_id,
        source="preregistered",
        token_endpoint_auth_method=client.auth_method,
        client_secret=Secret(client.secret) if client.secret else None,
    )
    metadata = drive(discovery.metadata_of(issuer.issuer), send)
    return flows.Client(name="fake", server=metadata, registration=own, **options)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_client_credentials_with_a_secret(fake_authorization_server: FakeAuthorizationServer, method: str) -> None:
    """A secret with every awkward letter is sent right."""
    client = known_client(fake_authorization_server, fake_authorization_server.register(auth_method=method))

    flow = flows.client_credentials_flow(client, scope="a", resource="https://mcp.example", now=0.0)

    assert "a" == drive(flow, send).scope


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256", "EdDSA"])
def test_client_credentials_with_a_key(fake_authorization_server: FakeAuthorizationServer, algorithm: str) -> None:
    """A client assertion holds, and each request has its own."""
    server, key = fake_authorization_server, SigningKey(algorithm, kid="k-1")
    server.policy.assertion_algorithms = [algorithm]
    known = server.register(auth_method="private_key_jwt", keys=[key.jwk])
    client = known_client(server, known, key=ClientKey(Secret(key.pem), kid="k-1"))

    for _ in range(2):
        flow = flows.client_credentials_flow(client, scope=None, resource="https://mcp.example", now=server.now())
        assert "Bearer" == drive(flow, send).token_type


def test_a_workloads_token(fake_authorization_servers: Starter) -> None:
    """Workload identity federation needs no client; a rejected assertion is sent once."""
    issuer, key = fake_authorization_servers(grant_types=GRANTS), SigningKey("RS256")
    issuer.trust("https://ci.example", key.jwk)
    client = known_client(issuer, issuer.register()).replaced(registration=None)
    claims = {"iss": "https://ci.example", "sub": "job", "aud": issuer.url("token"), "exp": int(issuer.now()) + 60}

    for changes, requests_made in (({}, 1), ({"aud": "https://other.example"}, 2)):
        assertion = Secret(key.sign({**claims, **changes}))
        flow = flows.jwt_bearer_flow(client, assertion, scope=None, resource="https://m.example", now=issuer.now())
        if changes:
            with pytest.raises(AuthorizationFailedError):
                drive(flow, send)
        else:
            assert "Bearer" == drive(flow, send).token_type
        assert requests_made == len(issuer.called("token"))


def test_enterprise_managed_authorization(fake_authorization_servers: Starter) -> None:
    """Both legs, with a client at each of the two servers."""
    idp, issuer = (fake_authorization_servers(grant_types=GRANTS) for _ in range(2))
    issuer.trust(idp)
    at_idp = known_client(idp, idp.register("desk", auth_method="client_secret_basic"))
    at_issuer = known_client(issuer, issuer.register("desk", auth_method="client_secret_basic"))

    flow = flows.id_jag_flow(
        at_idp,
        at_issuer,
        subject_token=Secret(idp.id_token("ada", "desk")),
        subject_token_type="id_token",
        scope="a",
        resource="https://mcp.example/mcp",
        now=issuer.now(),
    )
    tokens = drive(flow, send)

    known = issuer.introspect(tokens.access_token.reveal())
    assert ("ada", ["https://mcp.example/mcp"], "a") == (known["sub"], known["aud"], known["scope"])


def test_a_device(fake_authorization_server: FakeAuthorizationServer) -> None:
    """The flow waits as long as it is told to, slows down when told to, and ends with tokens."""
    server = fake_authorization_server
    client = known_client(server, server.register())
    server.misbehave("oauth-error", on="token", times=1, error="slow_down")
    waits = []
    polls = itertools.count()

    def step(wanted: Ask | ShowCode | Wait) -> Answer | None:
        if isinstance(wanted, Ask):
            return send(wanted)
        if isinstance(wanted, Wait):
            waits.append(wanted.seconds)
            server.advance(wanted.seconds)
            if next(polls) == 2:
                server.approve()
        return None

    flow = device_flow(client, scope="a", resource="https://mcp.example", clock=server.now)
    tokens: TokenSet = drive(flow, step)

    assert "a" == tokens.scope
    assert [5, 10, 10] == waits


def test_tokens_and_registrations_are_given_back(
    fake_authorization_servers: Starter, fake_mcp_servers: Callable[..., FakeMcpServer]
) -> None:
    """Revocation ends the family, and deletion the client."""
    issuer = fake_authorization_servers()
    server = fake_mcp_servers(authorization_server=issuer)
    tokens = log_in(issuer, server)
    known = found(server)
    own = registered(known, None)
    client_id = issuer.called("token")[0].form["client_id"]
    client = flows.Client(name="fake", server=known.server, registration=own.replaced(client_id=client_id))

    told = drive(revocation.revocations(client, tokens, now=issuer.now()), send)
    deletion = registration.deletion(own)

    assert [("refresh_token", None), ("access_token", None)] == [(one.token_type_hint, one.error) for one in told]
    assert not opens(server, tokens)
    assert deletion is not None
    assert 204 == send(deletion).status
