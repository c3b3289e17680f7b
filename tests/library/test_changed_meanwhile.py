"""An entry that is changed while a session goes on: what is there now is for another server, and is not sent by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from library_house import House

from mcpvault import Secret, Vault
from mcpvault.deadline import Deadline
from mcpvault.errors import AuthorizationFailedError, BindingMismatchError, IssuerMismatchError
from mcpvault.grants import Known
from mcpvault.interop.adapters.carried import Carried
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer
from mcpvault.testing.authorization.jose import SigningKey
from mcpvault.tokens import AuthorizationServer

JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MACHINES = ("client_credentials", JWT)
OLD, NEW = "old-token-9fXk21mQ", "new-token-4tRb77zL"


@pytest.fixture
def static(home: Path, fake_mcp_servers: Callable[..., FakeMcpServer]) -> Iterator[House]:
    """A house whose entry ``x`` has a sealed token for its server."""
    with FakeAuthorizationServer() as nobody:
        house = House(home, nobody, fake_mcp_servers(token=OLD))
        with house.closing:
            with house.vault.change() as change:
                change.add_server("x", {"url": house.server.url, "auth": {"kind": "bearer"}})
                change.set_secret("x", "auth.token", Secret(OLD))
            yield house


def by_session(vault: Vault, url: str) -> Callable[[], object]:
    """Open an MCP session; return a call on it."""
    return vault.session("x").list_tools


def by_requests(vault: Vault, url: str) -> Callable[[], object]:
    """Open a session for any API; return a call on it."""
    session = vault.requests_session("x")
    return lambda: session.get(url)


def by_another_library(vault: Vault, url: str) -> Callable[[], object]:
    """Let another library carry the credential; return a call."""
    carried = Carried(vault, "x")

    def call() -> None:
        request = SimpleNamespace(method="POST", url=url, headers={}, read=bytes)
        flow = carried.sync_auth_flow(request)
        next(flow)
        while True:
            flow.send(requests.post(url, headers=request.headers, timeout=10))

    return call


@pytest.mark.parametrize("path", ["", "/another/mcp"], ids=["origin", "path"])
@pytest.mark.parametrize("carry", [by_session, by_requests, by_another_library])
def test_a_token_for_a_new_place_is_not_sent_to_the_old_one(
    static: House,
    fake_mcp_servers: Callable[..., FakeMcpServer],
    carry: Callable[[Vault, str], Callable[[], object]],
    path: str,
) -> None:
    """The old server refuses what it knows, to be sent what has come into the vault for another origin, or path."""
    old = static.server
    call = carry(Vault.open(env=static.env), old.url)
    new = old.url.replace("/mcp", path) if path else fake_mcp_servers(token=NEW).url
    with static.vault.change() as change:
        change.set_plain("x", "url", new, rebind=True)
        change.set_secret("x", "auth.token", Secret(NEW))
    old.misbehave("unauthorized")

    with pytest.raises(BindingMismatchError, match="its url was changed"):
        call()

    assert {f"Bearer {OLD}"} == {request.headers["authorization"] for request in old.requests}


# A machine's grants


@pytest.fixture
def issuers(
    build: Callable[..., House], fake_authorization_servers: Callable[..., FakeAuthorizationServer]
) -> tuple[House, FakeAuthorizationServer]:
    """A house without entries whose issuer takes machines only, and another such issuer."""
    return build(policy={"grant_types": MACHINES}), fake_authorization_servers(grant_types=MACHINES)


def register(issuer: FakeAuthorizationServer, name: str) -> str:
    """Register a machine; return its secret."""
    client = issuer.register(name, auth_method="client_secret_basic", grant_types=["client_credentials"])
    return str(client.secret)


def robot(house: House) -> None:
    """Add ``x``: client credentials of ``robot``."""
    secret = register(house.issuer, "robot")
    house.add(
        kind="client_credentials", client_id="robot", issuer=house.issuer.issuer, secrets={"client_secret": secret}
    )


def test_a_token_of_a_new_place_is_not_sent_to_the_old_one(
    issuers: tuple[House, FakeAuthorizationServer], fake_mcp_servers: Callable[..., FakeMcpServer]
) -> None:
    """The old server refuses its token: no other is obtained of the entry's new issuer, for its new server."""
    house, there = issuers
    new = fake_mcp_servers(authorization_server=there)
    secret = register(there, "robot-2")
    robot(house)
    session = house.session()
    session.list_tools()
    with house.vault.change() as change:
        change.set_plain("x", "url", new.url, rebind=True)
        change.set_plain("x", "auth.issuer", there.issuer, rebind=True)
        change.set_plain("x", "auth.client_id", "robot-2")
        change.set_secret("x", "auth.client_secret", Secret(secret))
    house.issuer.ledger.revoke_client("robot")
    house.server.protection.challenge = "Bearer"  # type: ignore[union-attr]

    with pytest.raises(BindingMismatchError, match="its url was changed.*since this session was opened"):
        session.list_tools()

    assert [] == there.called("token")
    house.vault = Vault.open(env=house.env)
    assert 6 == len(house.session().list_tools())


def test_a_session_whose_issuer_was_changed_says_so(issuers: tuple[House, FakeAuthorizationServer]) -> None:
    """It is told as a change of the vault, and not as one of the server; a new session works at once."""
    house, there = issuers
    secret = register(there, "robot")
    robot(house)
    session = house.session()
    session.list_tools()
    with house.vault.change() as change:
        change.set_plain("x", "auth.issuer", there.issuer, rebind=True)
        change.set_secret("x", "auth.client_secret", Secret(secret))
    house.server.protection.issuer = there  # type: ignore[union-attr]
    there.resources.add(house.server.url)

    with pytest.raises(BindingMismatchError, match=r"its auth\.issuer was changed") as caught:
        session.list_tools()

    assert ("open a new session", 1) == (caught.value.hint, len(house.issuer.called("token")))
    assert 6 == len(house.session().list_tools())


@pytest.mark.parametrize("refusal", [None, "invalid_client"], ids=["after a while", "client refused"])
def test_an_assertion_for_another_issuer_is_not_sent(
    issuers: tuple[House, FakeAuthorizationServer], refusal: str | None
) -> None:
    """The old issuer gets no assertion that has come into the entry for the new one, whatever it answers."""
    house, there = issuers
    key = SigningKey("ES256")
    house.issuer.trust("https://ci.example", key.jwk)
    house.env["OLD"], house.env["NEW"] = (workload(key, each) for each in (house.issuer, there))
    house.add(kind="jwt_bearer", issuer=house.issuer.issuer, assertion="${env:OLD}")
    house.session().list_tools()
    house.age(3600, at_server=False)
    session = house.session()
    if refusal is None:
        session.list_tools()
        house.age(3600, at_server=False)
        house.issuer.ledger.revoke_client("job")
    else:
        house.issuer.misbehave("oauth-error", on="token", error=refusal)
    with house.vault.change() as change:
        change.set_plain("x", "auth.issuer", there.issuer, rebind=True)
        change.set_plain("x", "auth.assertion", "${env:NEW}")

    with pytest.raises((BindingMismatchError, AuthorizationFailedError)):
        session.list_tools()

    assert {house.env["OLD"]} == {request.form["assertion"] for request in house.issuer.called("token")}


def test_an_assertion_goes_to_the_issuer_that_it_is_for(issuers: tuple[House, FakeAuthorizationServer]) -> None:
    """What is remembered of another authorization server is no place to send one to."""
    house, there = issuers
    house.env["OLD"] = workload(SigningKey("ES256"), house.issuer)
    house.add(kind="jwt_bearer", issuer=house.issuer.issuer, assertion="${env:OLD}")
    server = AuthorizationServer(
        issuer=there.issuer, authorization_endpoint=there.url("authorize"), token_endpoint=there.url("token")
    )

    with pytest.raises(IssuerMismatchError, match="does not go to"):
        house.vault.authorization("x").grants.by_machine(Known(server=server), None, None, Deadline(10))

    assert [] == there.requests


def test_a_persons_grant_outlives_a_change_of_the_issuer(
    build: Callable[..., House], fake_authorization_servers: Callable[..., FakeAuthorizationServer]
) -> None:
    """The old issuer refuses the client in the middle: the new one's secret is not tried there, and nothing is lost."""
    house, there = build(), fake_authorization_servers()
    house.issuer.register("web", auth_method="client_secret_basic", secret="of-the-old-issuer")
    house.add(client_id="web", issuer=house.issuer.issuer, secrets={"client_secret": "of-the-old-issuer"})
    house.log_in()
    house.age(3600)
    session = house.session()
    with house.vault.change() as change:
        change.set_plain("x", "auth.issuer", there.issuer, rebind=True)
        change.set_secret("x", "auth.client_secret", Secret("of-the-new-issuer"))
    house.issuer.misbehave("oauth-error", on="token", error="invalid_client", status=401)

    with pytest.raises(AuthorizationFailedError, match="invalid_client"):
        session.list_tools()

    assert ["refresh_token"] == house.asked()
    with house.vault.change() as change:
        change.set_plain("x", "auth.issuer", house.issuer.issuer, rebind=True)
        change.set_secret("x", "auth.client_secret", Secret("of-the-old-issuer"))
    house.issuer.behave()
    assert 1 == house.record().generation
    house.vault.authorization("x").renew(expiring=None, adopt=False, timeout=10)
    assert (1, 0) == (house.issuer.redemptions, house.issuer.reuse_detected)


def workload(key: SigningKey, issuer: FakeAuthorizationServer) -> str:
    """Return the JWT of a workload, for *issuer*."""
    now = int(time.time())
    claims = {"iss": "https://ci.example", "sub": "job", "aud": issuer.url("token"), "exp": now + 300, "iat": now}
    return key.sign(claims)
