"""
Attack: make a client bring what it holds for one authorization server to another.

What is sought: client secrets, private keys' signatures, assertions, subject tokens, refresh tokens, codes.
"""

from __future__ import annotations

import subprocess
from typing import Any
from urllib.parse import quote

import pytest
from threat_house import Person, Victim, holding, issued_by, naming

from mcpvault.errors import (
    AuthorizationRequiredError,
    ConfigurationError,
    InsufficientScopeError,
    IssuerMismatchError,
    RemoteProtocolError,
)
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer, SigningKey

SECRET = "secret-Tq73mVx51LrBs9Gh"
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
Fake = FakeAuthorizationServer


def machines(good: Fake) -> dict[str, dict[str, Any]]:
    """Return entries that hold a proof for *good*."""
    key = SigningKey("ES256")
    return {
        "a person's client": {"client_id": "c", "secrets": {"client_secret": SECRET}},
        "client secret": {"kind": "client_credentials", "client_id": "c", "secrets": {"client_secret": SECRET}},
        "private key": {"kind": "client_credentials", "client_id": "c", "secrets": {"private_key": key.pem}},
        "assertion": {"kind": "jwt_bearer", "secrets": {"assertion": TOKEN}},
        "subject token": {
            "kind": "id_jag",
            "client_id": "c",
            "idp_issuer": good.issuer,
            "idp_client_id": "i",
            "secrets": {"client_secret": SECRET, "subject_token": TOKEN},
        },
    }


@pytest.mark.parametrize("kind", ["a person's client", "client secret", "private key", "assertion", "subject token"])
@pytest.mark.parametrize("ways", ["alone", "2025-03-26"])
def test_a_server_cannot_have_a_secret_sent_to_its_own_issuer(
    victim: Victim, good: Fake, evil: Fake, server: FakeMcpServer, kind: str, ways: str
) -> None:
    """Neither metadata that names another issuer than the entry's, nor the lack of any, moves a secret anywhere."""
    victim.add(server.url, issuer=good.issuer, **machines(good)[kind])
    if ways == "alone":
        naming(server, evil, evil.issuer)
    else:
        good.policy.well_known = ()  # nothing but the server's own word would be left
        naming(server, evil, metadata_at=None, announced=False)

    with pytest.raises(IssuerMismatchError if ways == "alone" else RemoteProtocolError):
        victim.session(auth=Person()).authenticate()

    assert [] == evil.requests
    assert [] == holding(server.requests, SECRET, TOKEN)
    assert [] == good.called("token")


def test_an_assertion_without_an_issuer_goes_nowhere(victim: Victim, evil: Fake) -> None:
    """A machine's proof without an issuer is exit 8 before anything is asked: the server would choose who gets it."""
    victim.env["CI_JWT"] = TOKEN
    with FakeMcpServer(authorization_server=evil) as server:
        victim.add(server.url, kind="jwt_bearer", assertion="${env:CI_JWT}")
        victim.add(
            server.url,
            name="y",
            kind="id_jag",
            idp_issuer="https://idp.example",
            idp_client_id="i",
            subject_token="${env:CI_JWT}",
        )

        for name in ("x", "y"):
            with pytest.raises(ConfigurationError, match=r"auth\.issuer is missing") as caught:
                victim.session(name).list_tools()
            assert f"run: mcpvault set {name} auth.issuer URL" == caught.value.hint

        assert [] == evil.requests
        assert [] == holding(server.requests, TOKEN)


def test_a_server_that_moves_gets_nothing_of_what_is_there(
    victim: Victim, good: Fake, evil: Fake, server: FakeMcpServer
) -> None:
    """A server that names another issuer later has no refresh token and no registration brought there."""
    good.policy.auth_methods = ("client_secret_basic",)  # so that the registration has a secret
    victim.add(server.url)
    victim.log_in()
    held = issued_by(good)
    good.advance(7200)
    naming(server, evil, evil.issuer)

    with pytest.raises(AuthorizationRequiredError):
        victim.session().list_tools()
    assert [] == evil.requests
    assert 1 == good.redemptions  # the refresh went where it belongs, and did not help

    victim.log_in()
    assert 6 == len(victim.session().list_tools())
    assert [] == holding(evil.requests, *held)
    assert {client.client_id for client in good.clients}.isdisjoint(client.client_id for client in evil.clients)


@pytest.mark.parametrize("said", ["another", "another, with an error", "none at all"])
def test_a_response_of_another_issuer_is_discarded(
    victim: Victim, good: Fake, server: FakeMcpServer, said: str
) -> None:
    """RFC 9207: ``iss`` is judged before anything else; the code stays unspent, the mixer's words are not shown."""

    def twist(address: str) -> str:
        honest = f"iss={quote(good.issuer, safe='')}"
        assert honest in address
        if said == "none at all":
            return address.replace(f"&{honest}", "")
        mixed = address.replace(honest, "iss=https%3A%2F%2Fevil.example")
        return mixed if said == "another" else mixed.replace("code=", "error=Visit-evil.example-now&code=")

    victim.add(server.url)

    with pytest.raises(IssuerMismatchError) as caught:
        victim.session(auth=Person(twist)).authenticate()

    assert "Visit" not in f"{caught.value.message} {caught.value.hint}"
    assert [] == good.called("token")
    assert not victim.vault.authorization("x").has_grant()


@pytest.mark.parametrize("issuer", ["https://evil.example", "{issuer}/", "{issuer}/.", "HTTP{tail}"])
def test_metadata_of_another_issuer_is_not_used(
    victim: Victim, good: Fake, evil: Fake, server: FakeMcpServer, issuer: str
) -> None:
    """RFC 8414 §3.3: the document has to name the very issuer that it was asked for, character by character."""
    other = issuer.format(issuer=good.issuer, tail=good.issuer.removeprefix("http"))
    good.policy.metadata = {"issuer": other, "token_endpoint": evil.url("token")}
    victim.add(server.url)

    with pytest.raises(IssuerMismatchError, match="the metadata names issuer"):
        victim.session(auth=Person()).authenticate()

    assert [] == evil.requests
    assert [] == good.called("register")


@pytest.mark.parametrize(
    "resource",
    ["https://bank.example/mcp", "{origin}/other", "{origin}/mc", "{origin}@bank.example/", "{origin}/mcp/below", "x"],
)
def test_metadata_for_another_resource_is_not_used(
    victim: Victim, good: Fake, server: FakeMcpServer, resource: str
) -> None:
    """RFC 9728 §3.3: a server cannot ask for a token for somebody else; nobody is asked for consent."""
    naming(server, good, good.issuer, metadata={"resource": resource.format(origin=server.url.removesuffix("/mcp"))})
    victim.add(server.url)
    person = Person()

    with pytest.raises(IssuerMismatchError, match="the metadata is for resource"):
        victim.session(auth=person).authenticate()

    assert [] == person.visited
    assert [] == good.requests


def test_a_strict_entry_wants_its_own_name(victim: Victim, good: Fake, server: FakeMcpServer) -> None:
    """``strict_resource``: not even the server's origin will do, whose token would be good for its neighbours."""
    naming(server, good, good.issuer, metadata={"resource": server.url.removesuffix("/mcp")})
    victim.add(server.url, strict_resource=True)

    with pytest.raises(IssuerMismatchError):
        victim.session(auth=Person()).authenticate()


# What a server asks for


def robot(victim: Victim, good: Fake, server: FakeMcpServer, **auth: Any) -> None:
    """Give the victim an entry of a machine's own."""
    client = good.register("robot", auth_method="client_secret_basic", grant_types=["client_credentials"])
    secrets = {"client_secret": str(client.secret)}
    victim.add(server.url, kind="client_credentials", client_id="robot", issuer=good.issuer, secrets=secrets, **auth)


def test_a_server_cannot_widen_what_the_vault_grants_a_machine(
    victim: Victim, good: Fake, server: FakeMcpServer
) -> None:
    """With a scope in the entry no challenge makes a machine ask for more: no person is there who could say no."""
    robot(victim, good, server, scope="read")
    naming(server, good, good.issuer, challenge_scope="read admin", tool_scopes={"echo": "admin"})

    session = victim.session()
    session.list_tools()
    with pytest.raises(InsufficientScopeError, match="asks for 'read admin'") as caught:
        session.call_tool("echo", {"message": "a"})

    assert {"read"} == {request.form["scope"] for request in good.called("client_credentials")}
    assert 'run: mcpvault set x auth.scope "read admin"' == caught.value.hint


@pytest.mark.parametrize("scope", ["x$(echo${IFS}a|cat)", "`echo`", "a;echo", "'$(echo)'", "a\tb!!"])
def test_a_scope_does_not_become_a_command(victim: Victim, good: Fake, server: FakeMcpServer, scope: str) -> None:
    """The command that an error proposes is one command: whatever the server's words, a shell reads one word."""
    victim.add(server.url)
    victim.log_in()
    naming(server, good, good.issuer, tool_scopes={"echo": scope})

    with pytest.raises(InsufficientScopeError) as caught:
        victim.session().call_tool("echo", {"message": "a"})

    said = subprocess.run(
        ["/bin/sh", "-c", f"mcpvault() {{ printf '%s\n' \"$@\"; }}; {caught.value.login_command}"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/nowhere"},
    )
    assert ["login", "x", "--scope", " ".join(scope.split())] == said.stdout.splitlines()
