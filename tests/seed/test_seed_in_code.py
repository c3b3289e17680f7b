"""The seed's lines that a script meets, shown through the public API against a server on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from requests.auth import AuthBase

from mcpvault import AuthState, HttpConnector, MCPClient
from mcpvault.errors import ConfigurationError, CredentialRejectedError, UnresolvedReferenceError
from mcpvault.testing import FakeMcpServer

TOKEN = "seed-token-6Yt2Rw9q"


@pytest.fixture
def server() -> Iterator[FakeMcpServer]:
    """A server that demands a bearer token."""
    with FakeMcpServer(token=TOKEN) as fake:
        yield fake


def test_s13_s14_a_session_discovers_and_is_ready(server: FakeMcpServer) -> None:
    """A session is ``discovering`` until its first call, then ``ready``, and has tools."""
    seen: list[AuthState] = []
    client = MCPClient({"mcpServers": {"x": {"url": server.url, "authToken": TOKEN}}})
    session = client.session("x", on_event=seen.append)

    assert AuthState.DISCOVERING is session.state
    tools = session.list_tools()

    assert AuthState.READY is session.state
    assert [AuthState.READY] == seen
    assert 6 == len(tools)
    client.close_all()


def test_s15_a_session_that_fails_says_why(server: FakeMcpServer) -> None:
    """A refused token is a typed error, and the session's state is not ``ready``."""
    with HttpConnector(server.url, auth_token="not-the-token-at-all") as connector:
        session = connector.session()

        with pytest.raises(CredentialRejectedError) as caught:
            session.list_tools()

    assert session.state in (AuthState.PENDING_AUTH, AuthState.FAILED)
    assert caught.value.hint
    assert "not-the-token-at-all" not in str(caught.value)


def test_s20_an_authentication_that_is_given_replaces_the_token(server: FakeMcpServer) -> None:
    """A caller's own ``AuthBase`` is used directly instead of the built-in one."""

    class Own(AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {TOKEN}"
            return request

    with HttpConnector(server.url, auth=Own()) as connector:
        assert "x" == connector.session().call_tool("echo", {"message": "x"}).text()


def test_s21_headers_in_code_are_sent(server: FakeMcpServer) -> None:
    """A connector sends the headers that it was given, the credential among them."""
    headers = {"Authorization": f"Bearer {TOKEN}", "X-API-Version": "2024-01-01", "X-Custom-Header": "y"}
    with HttpConnector(server.url, headers=headers) as connector:
        connector.session().list_tools()

    sent = server.requests[-1].headers
    assert headers == {name: sent[name.lower()] for name in headers}


def test_s22_a_connector_takes_a_token(server: FakeMcpServer) -> None:
    """``auth_token`` becomes the Authorization header."""
    with HttpConnector(server.url, auth_token=TOKEN) as connector:
        connector.session().list_tools()

    assert f"Bearer {TOKEN}" == server.requests[-1].headers["authorization"]


@pytest.mark.parametrize("key", ["authToken", "auth_token"])
def test_s25_s26_s64_s65_a_client_from_a_dict(server: FakeMcpServer, key: str) -> None:
    """``mcpServers`` is taken as mcp-use writes it, in both spellings."""
    with MCPClient.from_dict({"mcpServers": {"my-server": {"url": server.url, key: TOKEN}}}) as client:
        assert "x" == client.session("my-server").call_tool("echo", {"message": "x"}).text()


def test_s65_both_spellings_that_differ_are_refused(server: FakeMcpServer) -> None:
    """``authToken`` and ``auth_token`` with different values are an error, not a guess."""
    with pytest.raises(ConfigurationError, match="authToken and auth_token differ"):
        MCPClient({"mcpServers": {"x": {"url": server.url, "authToken": TOKEN, "auth_token": "another"}}})


def test_s27_s33_a_token_from_the_environment(server: FakeMcpServer) -> None:
    """``${API_KEY}`` and ``${env:API_KEY}`` are filled in, in a token and in a header."""
    shape = {
        "mcpServers": {
            "one": {"url": server.url, "authToken": "${API_KEY}"},
            "two": {"url": server.url, "headers": {"Authorization": "Bearer ${env:API_KEY}"}},
        }
    }
    with MCPClient(shape, env={"API_KEY": TOKEN}) as client:
        assert {"one", "two"} == {name for name, session in client.sessions().items() if session.list_tools()}


def test_s27_a_missing_variable_is_an_error_and_never_no_token(server: FakeMcpServer) -> None:
    """An unset variable is named, and no request is sent without the credential."""
    with pytest.raises(UnresolvedReferenceError, match="API_KEY"):
        MCPClient({"mcpServers": {"x": {"url": server.url, "authToken": "${API_KEY}"}}}, env={})

    assert [] == server.requests


@pytest.mark.parametrize("key", ["authToken", "auth_token"])
@pytest.mark.parametrize("said", ["", "${API_KEY:-}"])
def test_s27_an_empty_token_is_an_error_and_never_no_token(server: FakeMcpServer, key: str, said: str) -> None:
    """The common ``os.environ.get("T", "")`` is refused by the setting's name, beside a good token as well."""
    for entry in ({key: said}, {"authToken": TOKEN, "auth_token": TOKEN, key: said}):
        with pytest.raises(ConfigurationError, match=rf"mcpServers.x.{key}: is empty") as caught:
            MCPClient({"mcpServers": {"x": {"url": server.url, **entry}}}, env={})
        assert 8 == caught.value.exit_code
    with pytest.raises(ConfigurationError, match="auth_token: is empty"):
        HttpConnector(server.url, auth_token=said)

    assert [] == server.requests


def test_s27_no_token_is_said_by_none() -> None:
    """None, JSON's null and a variable that may be missing send no credential."""
    with FakeMcpServer() as open_server:
        for entry in ({"authToken": None}, {"auth_token": "${API_KEY?}"}, {}):
            with MCPClient({"mcpServers": {"x": {"url": open_server.url, **entry}}}, env={}) as client:
                assert client.session("x").list_tools()
        with HttpConnector(open_server.url, auth_token=None) as connector:
            assert connector.session().list_tools()

        assert open_server.requests
        assert not [each for each in open_server.requests if "authorization" in each.headers]


def test_s29_s30_a_client_from_a_file(server: FakeMcpServer, tmp_path: Path) -> None:
    """The path of a JSON file stands for its content."""
    path = tmp_path / "mcp-config.json"
    path.write_text(json.dumps({"mcpServers": {"x": {"url": server.url, "authToken": TOKEN}}}))

    for config in (path, str(path)):
        with MCPClient(config) as client:
            assert client.session("x").list_tools()


def test_s63_a_url_is_required() -> None:
    """An entry without URL and command, or with a URL that carries a password, is refused."""
    for url in ("", "https://user:password@example.com/mcp", "ftp://example.com/mcp"):
        with pytest.raises(ConfigurationError, match="mcpServers.x"):
            MCPClient({"mcpServers": {"x": {"url": url}}})


def test_s67_a_misspelt_key_is_named() -> None:
    """An unknown key is an error with a suggestion, because a token under it would not be sent."""
    with pytest.raises(ConfigurationError, match="authTokn: unknown key") as caught:
        MCPClient({"mcpServers": {"x": {"url": "https://example.com/mcp", "authTokn": "y"}}})

    assert "did you mean 'authToken'?" == caught.value.hint


def test_s68_a_server_is_added_later(server: FakeMcpServer) -> None:
    """``add_server`` takes what an entry of the file takes."""
    with MCPClient() as client:
        client.add_server("late", url=server.url, auth_token=TOKEN)
        assert client.session("late").list_tools()


def test_s84_a_refused_token_does_not_change_the_transport(server: FakeMcpServer) -> None:
    """After a 401 nothing older is tried: one refused request is all that the server sees."""
    connector = HttpConnector(server.url, auth_token="not-the-token-at-all")

    with connector, pytest.raises(CredentialRejectedError):
        connector.session().list_tools()

    assert ["POST"] == [request.method for request in server.requests]


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_s89_a_client_says_who_it_is(era: str) -> None:
    """The server is told name and version of the client, in both eras."""
    with FakeMcpServer(era=era) as fake, HttpConnector(fake.url) as connector:
        connector.session().list_tools()

    assert any('"mcpvault"' in request.body.decode() for request in fake.requests)


def test_s90_a_lost_legacy_session_is_begun_anew() -> None:
    """When the server has forgotten the session, a read begins another one and succeeds."""
    with FakeMcpServer(era="legacy") as fake, HttpConnector(fake.url) as connector:
        session = connector.session()
        session.list_tools()
        fake.sessions.clear()

        assert session.list_tools()
        assert 2 == len(fake.called("initialize"))
