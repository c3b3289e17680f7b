"""OAuth without a vault: ``MCPClient`` and ``HttpConnector`` with mcp-use's ``oauth`` object, and a provider."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from library_house import Consenting

from mcpvault import AuthState, HttpConnector, MCPClient, OAuthProvider, Secret
from mcpvault.errors import AuthorizationRequiredError, ConfigurationError, UnresolvedReferenceError
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

SECRET = "s3cret-of-the-client-8Qw"
SPELLINGS = {
    "camel": {"clientId": "app", "clientSecret": SECRET, "scope": "openid profile email"},
    "snake": {"client_id": "app", "client_secret": SECRET, "scope": "openid profile email"},
}


@pytest.fixture
def server(
    fake_authorization_server: FakeAuthorizationServer, fake_mcp_servers: Callable[..., FakeMcpServer]
) -> FakeMcpServer:
    """A server that wants the tokens of ``fake_authorization_server``."""
    return fake_mcp_servers(authorization_server=fake_authorization_server)


def client_of(server: FakeMcpServer, *, env: dict[str, str] | None = None, **entry: Any) -> MCPClient:
    """Return a client whose server ``x`` is *server*."""
    return MCPClient({"mcpServers": {"x": {"url": server.url, **entry}}}, env=env)


def test_a_provider_is_an_auth(server: FakeMcpServer, fake_authorization_server: FakeAuthorizationServer) -> None:
    """Registration, consent and refresh happen by themselves; two sessions of one client share the grant."""
    person = Consenting()
    assert isinstance(person, OAuthProvider)
    events: list[AuthState] = []

    with client_of(server, auth=person) as client:
        assert 6 == len(client.session("x", on_event=events.append).list_tools())
        client.close_all()
        fake_authorization_server.advance(3600)
        assert 6 == len(client.session("x").list_tools())

    assert [AuthState.PENDING_AUTH, AuthState.AUTHENTICATING, AuthState.READY] == events
    assert (1, 1) == (len(person.visited), fake_authorization_server.redemptions)


def test_a_key_of_other_clients_is_refused_with_a_way_on() -> None:
    """``disabled`` stands in many files: who meets it is told what reads those."""
    with pytest.raises(ConfigurationError, match="disabled: unknown key") as caught:
        MCPClient({"mcpServers": {"x": {"url": "https://h.example/mcp", "disabled": False}}})

    assert "mcpvault import" in (caught.value.hint or "")


def test_a_connector_takes_a_provider(server: FakeMcpServer) -> None:
    """``HttpConnector(url, auth=provider)`` is all it takes."""
    with HttpConnector(server.url, auth=Consenting()) as connector:
        assert "a" == connector.session().call_tool("echo", {"message": "a"}).text()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_s72_s74_s77_a_client_that_is_registered_already(
    server: FakeMcpServer, fake_authorization_server: FakeAuthorizationServer, spelling: str
) -> None:
    """``clientId`` skips registration, ``clientSecret`` goes as the server advertises, ``scope`` is asked for."""
    fake_authorization_server.policy.auth_methods = ("client_secret_post",)
    fake_authorization_server.register("app", auth_method="client_secret_post", secret=SECRET)
    person = Consenting()
    oauth = {**SPELLINGS[spelling], "issuer": fake_authorization_server.issuer}

    with client_of(server) as client:
        client.add_server("y", url=server.url, oauth=oauth, auth=person)
        client.session("y").list_tools()

    assert ["openid profile email"] == parse_qs(urlsplit(person.visited[0]).query)["scope"]
    assert [] == fake_authorization_server.called("register")
    assert SECRET == fake_authorization_server.called("authorization_code")[0].form["client_secret"]


def test_s73_a_secret_needs_its_client_and_its_issuer(server: FakeMcpServer) -> None:
    """A secret goes to the issuer that it is for, so the issuer is named beside it; the server cannot choose."""
    for oauth, missing in (
        ({"clientSecret": SECRET}, "clientId"),
        ({"clientId": "a", "clientSecret": SECRET}, "issuer"),
    ):
        with pytest.raises(ConfigurationError, match=rf"mcpServers.x.oauth.{missing}: missing") as caught:
            client_of(server, oauth=oauth)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_without_a_person_the_error_says_what_to_call(
    server: FakeMcpServer, fake_authorization_server: FakeAuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no vault to log in to: the hint names the call, and no command is made up."""
    monkeypatch.setattr(sys, "stdin", None)
    with client_of(server, oauth=True) as client:
        session = client.session("x")
        for ask in (session.list_tools, session.authenticate):
            with pytest.raises(AuthorizationRequiredError) as caught:
                ask()
            assert "call session.authenticate(), or pass an OAuthProvider as auth" == caught.value.hint
            assert caught.value.login_command is None
        assert AuthState.PENDING_AUTH is session.state

        page = "http://127.0.0.1:8200/done"
        session.complete_authorization(fake_authorization_server.follow(session.authorization_url(page)))
        assert 6 == len(session.list_tools())


def test_s69_s70_s71_the_options_beside_the_object(server: FakeMcpServer) -> None:
    """``callbackUrl``, ``useRedirectFlow`` and ``preventAutoAuth`` stand beside ``oauth`` or in it."""
    for entry in (
        {"callbackUrl": "http://127.0.0.1:8300/oauth/callback", "useRedirectFlow": True, "preventAutoAuth": False},
        {"oauth": {"callback_port": 8300, "use_redirect_flow": True, "prevent_auto_auth": False, "scopes": ["a", "b"]}},
        {"auth": {"callback_port": 8300}},
    ):
        assert client_of(server, **entry).session("x")._authorization is not None
    url = client_of(server, callbackUrl="http://127.0.0.1:8300/oauth/callback").session("x").authorization_url()
    assert ["http://127.0.0.1:8300/oauth/callback"] == parse_qs(urlsplit(url).query)["redirect_uri"]


def test_a_file_refers_to_the_environment(
    server: FakeMcpServer, fake_authorization_server: FakeAuthorizationServer, tmp_path: Path
) -> None:
    """``${NAME}`` is filled in, in every text of the object; what is not set is named, all of it at once."""
    fake_authorization_server.register("app", auth_method="client_secret_basic", secret=SECRET)
    oauth = {"clientId": "${APP}", "clientSecret": "${APP_SECRET}", "issuer": fake_authorization_server.issuer}
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"x": {"url": server.url, "oauth": oauth}}}))

    with MCPClient(path, env={"APP": "app", "APP_SECRET": SECRET}) as client:
        client.add_server("y", url=server.url)
        url = client.session("x").authorization_url("http://127.0.0.1:8765/callback")
        client.session("x").complete_authorization(fake_authorization_server.follow(url))
        assert 6 == len(client.session("x").list_tools())
    with pytest.raises(UnresolvedReferenceError) as caught:
        MCPClient(path, env={})
    assert 2 == len(caught.value.missing)


def test_a_machine_needs_no_vault_either(
    fake_authorization_servers: Callable[..., FakeAuthorizationServer], fake_mcp_servers: Callable[..., FakeMcpServer]
) -> None:
    """``kind`` names another grant, as in a vault's entry."""
    issuer = fake_authorization_servers()
    issuer.register("robot", auth_method="client_secret_basic", secret=SECRET, grant_types=["client_credentials"])
    server = fake_mcp_servers(authorization_server=issuer)
    oauth = {"kind": "client_credentials", "clientId": "robot", "clientSecret": Secret(SECRET), "issuer": issuer.issuer}

    with HttpConnector(server.url, oauth=oauth) as connector:
        assert 6 == len(connector.session().list_tools())

    assert SECRET not in repr(oauth)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"oauth": {"clientID": "a", "client_id": "b"}}, r"oauth: clientId is said twice, and differs"),
        ({"oauth": {"clientIdd": "a"}}, r"oauth.clientIdd: unknown key"),
        ({"oauth": "yes"}, r"oauth: expected a table, true or false"),
        ({"oauth": {}, "authToken": "t0ken"}, r"oauth: does not go with authToken"),
        ({"oauth": {}, "auth": {}}, r"oauth: auth is a table as well"),
        ({"oauth": {}, "auth": lambda request: request}, r"oauth: does not go with auth"),
        ({"oauth": {"issuer": "ftp://x"}}, r"oauth.issuer: "),
        ({"oauth": {"callbackUrl": "http://example.com/cb"}}, r"oauth.redirectUri: "),
        ({"oauth": {"callbackPort": 0}}, r"oauth.callbackPort: expected a port"),
        ({"oauth": {"loginMethod": "telepathy"}}, r"oauth.loginMethod: "),
        ({"oauth": {"useRedirectFlow": "no"}}, r"oauth.useRedirectFlow: expected true or false"),
        ({"oauth": {"scope": 7}}, r"oauth.scope: expected text"),
        ({"timeout": float("inf")}, r"timeout: expected seconds, at most 86400"),
        ({"timeout": float("nan")}, r"timeout: expected seconds, at most 86400"),
        ({"timeout": 10**400}, r"timeout: expected seconds, at most 86400"),
        ({"timeout": 0}, r"timeout: expected seconds, at most 86400"),
        (
            {"oauth": {**SPELLINGS["camel"], "issuer": "https://i.example", "clientSecret": ""}},
            r"clientSecret: is empty",
        ),
        ({"oauth": {"kind": "bearer"}}, r"oauth"),
        ({"oauth": {"persist": "all"}}, r"oauth.persist: unknown key"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_meant_is_named(entry: dict[str, Any], message: str) -> None:
    """Every value is judged as in a vault, and the message has its place."""
    with pytest.raises(ConfigurationError, match=message):
        MCPClient({"mcpServers": {"x": {"url": "https://example.com/mcp", **entry}}})


def test_false_means_none(server: FakeMcpServer) -> None:
    """``oauth: false`` is no OAuth, whatever stands beside it."""
    session = client_of(server, oauth=False, callbackUrl="http://127.0.0.1:8300/cb").session("x")

    with pytest.raises(ConfigurationError, match="no authorization to obtain"):
        session.authenticate()


def test_sessions_of_two_clients_share_nothing(server: FakeMcpServer) -> None:
    """A grant lives in the client that got it, and in no file."""
    with client_of(server, auth=Consenting()) as one, client_of(server, oauth=True) as other:
        one.session("x").list_tools()
        with pytest.raises(AuthorizationRequiredError):
            other.session("x").list_tools()
    assert [] == [*Path.home().rglob("*")]
