"""
End to end against authorization servers that nobody here wrote: fastmcp's, and the MCP SDK's example with a login form.

Each guards a real MCP server. What both sides know is compared after every step.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from mcpvault import Vault
from mcpvault.errors import AuthorizationFailedError, AuthorizationRequiredError, InsufficientScopeError
from mcpvault.state.record import TokenRecord
from mcpvault.testing import user_agent

HERE = Path(__file__).parent
BROWSER = f"{sys.executable} -m mcpvault.testing.user_agent %s &"

pytestmark = pytest.mark.peer


class Headless:
    """A person who fills in the form as it stands and consents to everything; remembers where it was sent."""

    redirect_uri = "http://127.0.0.1:38471/callback"

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    def redirect(self, url: str) -> str:
        """Consent."""
        self.asked.append({name: value for name, (value,) in parse_qs(urlsplit(url).query).items()})
        return user_agent.follow(url)


class Peer(NamedTuple):
    """A guarded MCP server, and the authorization server that says what it knows."""

    url: str
    origin: str

    def known(self) -> Any:
        """Return the authorization server's clients and tokens."""
        with urllib.request.urlopen(f"{self.origin}/known", timeout=20) as answer:
            return json.load(answer)

    def tell(self, order: str, **how: Any) -> None:
        """Let it be another, or lose something."""
        urllib.request.urlopen(f"{self.origin}/{order}?{urlencode(how)}", data=b"", timeout=20).close()


@pytest.fixture(scope="module")
def _fastmcp(real_server: Callable[..., Any], peer_path: Callable[[str], str]) -> Peer:
    server = real_server([peer_path("fastmcp/bin/python"), str(HERE / "servers/fastmcp_server.py")])
    return Peer(server.url, server.url.removesuffix("/mcp"))


@pytest.fixture
def fastmcp(_fastmcp: Peer) -> Peer:
    """Return fastmcp's servers, which know nobody."""
    _fastmcp.tell("lose", what="clients")
    _fastmcp.tell("be", life=3600, scopes="read")
    return _fastmcp


@pytest.fixture
def simple(real_server: Callable[..., Any], peer_path: Callable[[str], str]) -> Callable[[str], str]:
    """Start the SDK's example, two processes, with the scope that its MCP server requires; return the endpoint."""
    python, path = peer_path("fastmcp/bin/python"), peer_path("simple-auth")

    def start(scope: str) -> str:
        def run(module: str, *words: str, path_of: str) -> int:
            command = ["sh", "-c", 'exec "$@" --port "$PORT"', "sh", python, "-m", f"mcp_simple_auth.{module}", *words]
            env = {"PYTHONPATH": path, "MCP_RESOURCE_MCP_SCOPE": scope}
            return int(real_server(command, env=env, path=path_of).port)

        issuer = f"http://localhost:{run('auth_server', path_of='/login')}"
        return f"http://localhost:{run('server', '--auth-server', issuer, path_of='/mcp')}/mcp"

    return start


@pytest.fixture
def vault_with(mcpvault: Callable[..., Any]) -> Callable[..., Vault]:
    """Make this test's vault with the OAuth entry ``peer``."""

    def make(url: str, **auth: str) -> Vault:
        mcpvault("init")
        vault = Vault.open(env=os.environ)
        with vault.change() as change:
            change.add_server("peer", {"url": url, "auth": {"kind": "oauth", **auth}})
        return vault

    return make


def call(vault: Vault, tool: str = "whoami", auth: Any = None) -> Any:
    """Call a tool in a session of its own; return what it says."""
    with vault.session("peer", auth=auth) as session:
        return session.call_tool(tool).structured_content


def held(vault: Vault) -> TokenRecord:
    """Return what this host knows of the grant."""
    record = vault.authorization("peer").store.read()
    assert record is not None
    return record


def agree(vault: Vault, peer: Peer) -> tuple[str, str]:
    """Compare what we hold with what fastmcp knows, value by value; return the access and the refresh token."""
    record, known = held(vault), peer.known()
    tokens, client = record.tokens, record.registration
    assert tokens is not None and tokens.refresh_token is not None and client is not None
    assert client.client_secret is not None and client.client_id in known["clients"]
    access, refresh = tokens.access_token.reveal(), tokens.refresh_token.reveal()
    theirs = known["clients"][client.client_id]
    assert client.client_secret.reveal() == theirs["client_secret"]
    assert [*client.redirect_uris] == theirs["redirect_uris"]
    assert client.token_endpoint_auth_method == theirs["token_endpoint_auth_method"]
    assert (tokens.scope or "").split() == known["access"][access]["scopes"] == known["refresh"][refresh]["scopes"]
    assert {client.client_id} == {
        known[kind][token]["client_id"] for kind, token in (("access", access), ("refresh", refresh))
    }
    return access, refresh


def test_login_call_refresh_logout(fastmcp: Peer, vault_with: Callable[..., Vault]) -> None:
    """A client registers itself, a person consents once, tokens rotate in the background, and logout revokes them."""
    vault, person = vault_with(fastmcp.url), Headless()
    with pytest.raises(AuthorizationRequiredError) as caught:
        call(vault)
    assert "mcpvault login peer" == caught.value.login_command
    assert {} == fastmcp.known()["clients"]

    said = call(vault, auth=person)
    first = agree(vault, fastmcp)
    assert [("read", fastmcp.url, "S256")] == [
        (each["scope"], each["resource"], each["code_challenge_method"]) for each in person.asked
    ]
    assert {"token": first[0], "client_id": person.asked[0]["client_id"], "scopes": ["read"]} == said

    fastmcp.tell("lose", what="access")
    said = call(vault)
    second = agree(vault, fastmcp)
    assert second[0] == said["token"]
    assert {*first}.isdisjoint(second), "both tokens are new"
    known = fastmcp.known()
    assert ([second[0]], [second[1]]) == ([*known["access"]], [*known["refresh"]]), "the old ones are gone"

    outcomes = vault.authorization("peer").logout(timeout=20)
    assert [("refresh_token", "revoked"), ("access_token", "revoked")] == [
        (each.token, each.outcome) for each in outcomes
    ]
    known = fastmcp.known()
    assert ({}, {}, 1) == (known["access"], known["refresh"], len(known["clients"]))
    with pytest.raises(AuthorizationRequiredError):
        call(vault)
    assert 1 == len(person.asked)


def test_an_expired_token_is_never_sent(fastmcp: Peer, vault_with: Callable[..., Vault]) -> None:
    """It is refreshed first: this server, like others, takes an expired token as a reason to end the whole grant."""
    vault, person = vault_with(fastmcp.url), Headless()
    fastmcp.tell("be", life=1, scopes="read")
    vault.session("peer", auth=person).authenticate()
    first = agree(vault, fastmcp)
    ends = held(vault).expires_at
    assert ends is not None
    while time.time() < ends:
        fastmcp.known()

    fastmcp.tell("be", life=3600, scopes="read")
    said = call(vault)

    second = agree(vault, fastmcp)
    assert second[0] == said["token"]
    assert {*first}.isdisjoint(second)
    assert second[0] == vault.token("peer").reveal() == call(vault)["token"], "and not again while it lives"
    assert 1 == len(person.asked)


def test_more_scope_is_asked_for(fastmcp: Peer, vault_with: Callable[..., Vault]) -> None:
    """403 ``insufficient_scope``: a script is told the command; a person consents to both scopes."""
    vault, person = vault_with(fastmcp.url), Headless()
    call(vault, auth=person)
    fastmcp.tell("be", life=3600, scopes="read write")

    with pytest.raises(InsufficientScopeError) as caught:
        call(vault)
    assert 'mcpvault login peer --scope "read write"' == caught.value.login_command
    said = call(vault, auth=person)

    access, _ = agree(vault, fastmcp)
    assert ["read", "read write"] == [each["scope"] for each in person.asked]
    assert {"token": access, "client_id": person.asked[1]["client_id"], "scopes": ["read", "write"]} == said
    assert access == call(vault)["token"]


def test_a_server_that_forgot_us(fastmcp: Peer, vault_with: Callable[..., Vault]) -> None:
    """After its restart the client is unknown: scripts are told to log in, and the login registers another client."""
    vault, person = vault_with(fastmcp.url), Headless()
    call(vault, auth=person)
    fastmcp.tell("lose", what="clients")

    with pytest.raises(AuthorizationFailedError, match="'invalid_client'") as caught:
        call(vault)
    assert "mcpvault login peer" == caught.value.login_command
    with vault.session("peer", auth=person) as session:
        session.authenticate()

    access, _ = agree(vault, fastmcp)
    assert access == call(vault)["token"]
    assert 2 == len({each["client_id"] for each in person.asked})


def test_from_the_command_line(fastmcp: Peer, mcpvault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """add, login through a browser and the loopback page, call, refresh, logout: real processes, one state."""
    monkeypatch.setenv("BROWSER", BROWSER)
    mcpvault("init")
    mcpvault("add", "peer", fastmcp.url, "--oauth")
    assert "mcpvault login peer" in mcpvault("call", "peer", "whoami", code=3).stderr

    said = json.loads(mcpvault("login", "peer", "--method", "loopback", "--json").stdout)
    vault = Vault.open(env=os.environ)
    first = agree(vault, fastmcp)
    assert ("read", "read", True) == (said["requested_scope"], said["scope"], said["refreshable"])
    assert 3590 < said["expires_in"] <= 3600
    assert first[0] in mcpvault("call", "peer", "whoami").stdout

    mcpvault("refresh", "peer")
    second = agree(vault, fastmcp)
    assert {*first}.isdisjoint(second)
    assert second[0] in mcpvault("call", "peer", "whoami").stdout

    said = json.loads(mcpvault("logout", "peer", "--json").stdout)
    assert [{"token": kind, "outcome": "revoked"} for kind in ("refresh_token", "access_token")] == said["tokens"]
    assert ({}, {}) == (fastmcp.known()["access"], fastmcp.known()["refresh"])
    mcpvault("call", "peer", "whoami", code=3)


def test_a_login_form_and_a_token_without_refresh(
    simple: Callable[[str], str], vault_with: Callable[..., Vault]
) -> None:
    """The SDK's example: a form is filled in, tokens are introspected, none refreshes, none is revoked."""
    vault, person = vault_with(simple("user")), Headless()

    said = call(vault, "get_time", auth=person)

    tokens = held(vault).tokens
    assert tokens is not None and tokens.refresh_token is None
    assert ("user", "user", "Bearer") == (person.asked[0]["scope"], tokens.scope, tokens.token_type)
    assert 3600 == round((tokens.expires_at or 0) - tokens.issued_at)
    assert said.keys() == call(vault, "get_time").keys() == {"current_time", "timezone", "timestamp", "formatted"}
    assert tokens.access_token.reveal() == vault.token("peer").reveal()
    (outcome,) = vault.authorization("peer").logout(timeout=20)
    assert "access_token" == outcome.token
    assert outcome.outcome.startswith("forgotten here; the server revokes nothing; it can be ended at http")
    with pytest.raises(AuthorizationRequiredError):
        call(vault, "get_time")


def test_a_scope_that_nobody_names(simple: Callable[[str], str], vault_with: Callable[..., Vault]) -> None:
    """The SDK's 403 does not say which scope it wants: the metadata does; what the issuer refuses costs no grant."""
    vault, person = vault_with(simple("admin"), scope="user"), Headless()

    with pytest.raises(AuthorizationFailedError, match="not registered with scope admin"):
        call(vault, "get_time", auth=person)

    before = held(vault)
    assert ["user", "user admin"] == [each["scope"] for each in person.asked]
    with pytest.raises(InsufficientScopeError) as caught:
        call(vault, "get_time")
    assert 'mcpvault login peer --scope "user admin"' == caught.value.login_command
    assert before == held(vault)
    assert (2, "user") == (before.generation, before.tokens.scope if before.tokens else None)
