"""``probe``: what an unknown server wants, and the command that adds it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oauth_house import BROWSER, OAuthHouse, oauth_house

from mcpvault.testing import FakeMcpServer


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home whose vault names a server that wants OAuth."""
    with oauth_house(tmp_path) as made:
        yield made


def report(house: OAuthHouse, url: str, code: int = 0) -> dict[str, Any]:
    """Return what ``probe --json`` says."""
    found: dict[str, Any] = json.loads(house.run("probe", url, "--json", code=code).stdout)
    return found


def test_what_the_probe_says_can_be_run(house: OAuthHouse) -> None:
    """Challenge, metadata, grants, PKCE, registration are told; the commands at the end add the server and log in."""
    done = house.run("probe", house.server.url, MCPVAULT_FILE="/nonexistent")

    said = done.stdout
    assert f"{house.server.url}: wants OAuth (401)\n" == said.splitlines(keepends=True)[0]
    for line in (
        f"  authorization server: {house.issuer.issuer}",
        f"  resource: {house.server.url}",
        "  scopes asked for: mcp:read mcp:write",
        "  PKCE: S256",
        "  registration: dynamic registration",
    ):
        assert f"{line}\n" in said
    assert not [request for request in house.issuer.requests if request.method != "GET"]

    add, login = (shlex.split(line)[1:] for line in said.splitlines()[-2:])
    house.run(*add)
    house.run(*login, "--method", "loopback", BROWSER=BROWSER)
    assert "hello\n" == house.run("call", add[1], "echo", '{"message": "hello"}').stdout


def test_a_server_without_registration(house: OAuthHouse) -> None:
    """Where no client registers itself the command has the issuer, and a place for the client id."""
    house.issuer.policy.registration = False
    house.issuer.policy.metadata = {"code_challenge_methods_supported": None}

    found = report(house, house.server.url)

    assert [] == found["registration"]
    assert [
        f"mcpvault add server {house.server.url} --oauth --client-id ID --issuer {house.issuer.issuer}",
        "mcpvault set server auth.assume_pkce_s256 true   # if you know that it works",
        "mcpvault login server",
    ] == found["commands"]
    assert "  PKCE: is not declared\n" in house.run("probe", house.server.url).stdout


def test_a_server_that_offers_pkce_by_plain_only(house: OAuthHouse) -> None:
    """Nothing is proposed that would be refused: no login in a browser; one on another device needs no PKCE."""
    house.issuer.policy.metadata = {
        "code_challenge_methods_supported": ["plain"], "device_authorization_endpoint": None
    }  # fmt: skip
    found = report(house, house.server.url)
    assert ([], True) == (found["commands"], "ask who runs it" in found["problem"])

    house.issuer.policy.metadata = {"code_challenge_methods_supported": ["plain"]}
    assert "mcpvault login server --method device" == report(house, house.server.url)["commands"][-1]


def test_a_server_for_machines_only(house: OAuthHouse) -> None:
    """Where nobody can log in, the command is that of a machine's own grant."""
    house.issuer.policy.metadata = {
        "grant_types_supported": ["client_credentials"], "authorization_endpoint": None,
        "device_authorization_endpoint": None,
    }  # fmt: skip
    known = f"--client-credentials --client-id ID --client-secret-stdin --issuer {house.issuer.issuer}"

    assert [f"mcpvault add server {house.server.url} {known}"] == report(house, house.server.url)["commands"]


def test_a_server_that_wants_dpop(house: OAuthHouse) -> None:
    """A server that takes bound tokens only is added with --dpop."""
    house.issuer.policy.dpop = "required"

    assert f"mcpvault add server {house.server.url} --oauth --dpop" == report(house, house.server.url)["commands"][0]


def test_servers_without_oauth(house: OAuthHouse) -> None:
    """A server that is open, and one that takes a token or a password, are told from one that wants OAuth."""
    with FakeMcpServer() as free, FakeMcpServer(token="t" * 20) as static:
        assert ("answers without a credential", [f"mcpvault add server {free.url}"]) == tuple(
            report(house, free.url)[key] for key in ("verdict", "commands")
        )
        found = report(house, static.url)
    assert ("wants a credential (401)", [f"mcpvault add server {static.url} --bearer-prompt"]) == (
        *(found["verdict"], found["commands"]),
    )
    house.server.protection.challenge = 'Basic realm="x"'  # type: ignore[union-attr]
    house.server.protection.metadata_at = None  # type: ignore[union-attr]
    assert [f"mcpvault add server {house.server.url} --basic USER"] == report(house, house.server.url)["commands"]


def test_metadata_that_cannot_be_used_is_told(house: OAuthHouse) -> None:
    """A server whose metadata is of another issuer is reported, not believed; an outage is exit 4."""
    house.issuer.policy.metadata = {"issuer": "https://other.example.com"}
    found = report(house, house.server.url)
    assert ("other.example.com" in found["problem"], []) == (True, found["commands"])

    house.issuer.misbehave("bad-gateway", on="metadata")
    assert "the server answered 502" in house.refused("probe", house.server.url, code=4)


def test_what_cannot_be_probed(house: OAuthHouse) -> None:
    """Nobody there is exit 4; what is no URL of a server is exit 8."""
    house.server.close()

    refusal = house.refused("probe", house.server.url, code=4)
    assert ("is it up" in refusal, "mcpvault doctor" in refusal) == (True, False)
    house.refused("probe", "mcp.example.com", code=8)
    assert "run: mcpvault probe http://192.0.2.1/mcp --allow-http" in house.refused(
        "probe", "http://192.0.2.1/mcp", code=8
    )
