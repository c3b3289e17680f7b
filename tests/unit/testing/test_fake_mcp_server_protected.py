"""``FakeMcpServer`` with an authorization server: what it tells, which token opens what, which challenge refuses."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest
import requests
from plain_client import ath, jkt

from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer, SigningKey

Starters = tuple[Callable[..., FakeAuthorizationServer], Callable[..., FakeMcpServer]]
META = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}


@pytest.fixture
def start(
    fake_authorization_servers: Callable[..., FakeAuthorizationServer], fake_mcp_servers: Callable[..., FakeMcpServer]
) -> Callable[..., tuple[FakeAuthorizationServer, FakeMcpServer]]:
    """Start an authorization server, and an MCP server that demands its tokens."""

    def both(policy: dict[str, Any] | None = None, **protection: Any) -> tuple[FakeAuthorizationServer, FakeMcpServer]:
        issuer = fake_authorization_servers(**(policy or {}))
        issuer.register()
        return issuer, fake_mcp_servers(authorization_server=issuer, **protection)

    return both


Start = Callable[..., tuple[FakeAuthorizationServer, FakeMcpServer]]


def call(server: FakeMcpServer, token: str | None, tool: str = "echo", **headers: str) -> requests.Response:
    """Call a tool as a 2026-07-28 client does."""
    params = {"name": tool, "arguments": {"message": "hi", "a": 1, "b": 2}, **META}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    told = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": tool}
    bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
    return requests.post(server.url, json=message, headers={**told, **bearer, **headers}, timeout=10)


def token(issuer: FakeAuthorizationServer, server: FakeMcpServer, scope: str = "", **options: Any) -> str:
    """Return an access token for the server."""
    return str(issuer.grant(scope=scope, resource=options.pop("resource", server.url), **options)["access_token"])


@pytest.mark.parametrize(
    ("metadata_at", "place"),
    [
        ("path", "/.well-known/oauth-protected-resource/mcp"),
        ("root", "/.well-known/oauth-protected-resource"),
        ("/custom/location.json", "/custom/location.json"),
        (None, None),
    ],
)
def test_metadata_is_at_one_place(start: Start, metadata_at: str | None, place: str | None) -> None:
    """The document is where it was asked to be, the challenge names that place, and the others are 404."""
    issuer, server = start(metadata_at=metadata_at, scopes=["a"])
    origin = server.url.removesuffix("/mcp")
    every = ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"]

    challenge = call(server, None).headers["WWW-Authenticate"]

    assert (f'resource_metadata="{origin}{place}"' in challenge) is (place is not None)
    assert {404} >= {requests.get(origin + one, timeout=10).status_code for one in every if one != place}
    if place:
        told = requests.get(origin + place, timeout=10).json()
        assert (server.url, [issuer.issuer], ["a"]) == (
            told["resource"],
            told["authorization_servers"],
            told["scopes_supported"],
        )


def test_metadata_may_lie(start: Start) -> None:
    """Resource, issuers and any other member are what the test says."""
    _, server = start(
        resource="https://other.example", authorization_servers=["https://evil.example"], metadata={"x": 1}
    )

    told = requests.get(server.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"), timeout=10).json()

    assert ("https://other.example", ["https://evil.example"], 1) == (
        told["resource"],
        told["authorization_servers"],
        told["x"],
    )


def test_metadata_fails_on_demand(start: Start) -> None:
    """Misbehaviour on ``metadata`` concerns these documents and nothing else."""
    issuer, server = start()
    server.misbehave("status", on="metadata", code=503)

    assert (
        503
        == requests.get(server.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"), timeout=10).status_code
    )
    assert 200 == call(server, token(issuer, server)).status_code


def test_an_unprotected_server_has_no_metadata(fake_mcp_server: FakeMcpServer) -> None:
    """Well-known documents of a server without authorization are 404."""
    place = fake_mcp_server.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")

    assert 404 == requests.get(place, timeout=10).status_code


def test_a_good_token_opens(start: Start) -> None:
    """A token for this resource is good until it expires or is withdrawn."""
    issuer, server = start()
    first, second = token(issuer, server), token(issuer, server)

    assert [200, 200] == [call(server, one).status_code for one in (first, second)]
    issuer.advance(3600)
    assert 401 == call(server, first).status_code
    third = token(issuer, server)
    issuer.withdraw()
    assert 401 == call(server, third).status_code


def test_a_token_for_another_resource_does_not_open(start: Start) -> None:
    """The audience is compared as a string; ``audience_checked`` switches that off."""
    issuer, server = start()
    other = token(issuer, server, resource=server.url + "/")

    refused = call(server, other)

    assert (401, True) == (refused.status_code, 'error="invalid_token"' in refused.headers["WWW-Authenticate"])
    assert server.protection is not None
    server.protection.audience_checked = False
    assert 200 == call(server, other).status_code


def test_challenges_are_as_told(start: Start) -> None:
    """Without a token no error is named; scope comes on request; a whole header can be given, or none."""
    _, server = start(challenge_scope="a b", announced=False)
    assert server.protection is not None

    plain = call(server, None).headers["WWW-Authenticate"]
    server.protection.challenge = 'Newauth realm="x", Bearer scope="c"'
    given = call(server, None).headers["WWW-Authenticate"]
    server.protection.challenge = ""

    assert 'Bearer realm="fake", scope="a b"' == plain
    assert 'Newauth realm="x", Bearer scope="c"' == given
    assert "WWW-Authenticate" not in call(server, None).headers


def test_a_token_in_the_query_is_refused(start: Start) -> None:
    """Tokens do not belong into the query, good or not."""
    issuer, server = start()

    answer = requests.post(f"{server.url}?access_token={token(issuer, server)}", json={}, timeout=10)

    assert (400, True) == (answer.status_code, "invalid_request" in answer.headers["WWW-Authenticate"])


def test_tools_need_scopes(start: Start) -> None:
    """A tool beyond the token's scope is 403 with all that the request needs; others are not concerned."""
    issuer, server = start(required_scope="base", tool_scopes={"add": "sums base"})
    narrow, wide = token(issuer, server, "base"), token(issuer, server, "base sums")

    refused = call(server, narrow, "add")

    challenge = refused.headers["WWW-Authenticate"]
    assert (403, True) == (refused.status_code, 'error="insufficient_scope"' in challenge)
    assert 'scope="base sums"' in challenge
    assert "resource_metadata=" in challenge
    assert [200, 200, 403] == [
        call(server, one, tool).status_code
        for one, tool in ((narrow, "echo"), (wide, "add"), (token(issuer, server), "echo"))
    ]


def proof(server: FakeMcpServer, key: SigningKey, access: str, now: float, **changes: Any) -> dict[str, str]:
    """Return the headers of a proper request with a bound token; *changes* replace claims."""
    claims = {"htm": "POST", "htu": server.url, "iat": int(now), "jti": secrets.token_urlsafe(), "ath": ath(access)}
    signed = key.sign({**claims, **changes}, typ="dpop+jwt", jwk=key.jwk)
    return {"Authorization": f"DPoP {access}", "DPoP": signed}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"ath": "x"}, "invalid_dpop_proof"),
        ({"htu": "http://127.0.0.1:1/mcp"}, "invalid_dpop_proof"),
        ({"htm": "GET"}, "invalid_dpop_proof"),
        ({"iat": 1}, "invalid_dpop_proof"),
    ],
    ids=str,
)
def test_faulty_proofs_are_refused(start: Start, changes: dict[str, Any], error: str) -> None:
    """A bound token opens with a proof for this very request only (RFC 9449 §7)."""
    issuer, server = start({"dpop": "required"})
    key = SigningKey()
    access = token(issuer, server, jkt=jkt(key))

    refused = call(server, None, **proof(server, key, access, issuer.now(), **changes))

    assert (401, True) == (refused.status_code, f'error="{error}"' in refused.headers["WWW-Authenticate"])
    assert refused.headers["WWW-Authenticate"].startswith('DPoP algs="ES256"')


def test_bound_tokens_are_no_bearer_tokens(start: Start) -> None:
    """Scheme, key and proof all count; each proof is good once."""
    issuer, server = start({"dpop": "accepted"})
    key = SigningKey()
    bound, unbound = token(issuer, server, jkt=jkt(key)), token(issuer, server)
    headers = proof(server, key, bound, issuer.now())

    assert [200, 401] == [call(server, None, **headers).status_code for _ in range(2)]
    assert 401 == call(server, bound).status_code
    assert 401 == call(server, None, **proof(server, SigningKey(), bound, issuer.now())).status_code
    assert 401 == call(server, None, **proof(server, key, unbound, issuer.now())).status_code
    assert 200 == call(server, unbound).status_code
    challenge = call(server, None).headers["WWW-Authenticate"]
    assert challenge.index("DPoP algs=") < challenge.index("Bearer realm=")


def test_the_resource_server_has_a_nonce_of_its_own(start: Start) -> None:
    """``dpop_nonce`` asks for one that the authorization server's does not satisfy."""
    issuer, server = start({"dpop": "required"}, dpop_nonce=True)
    key = SigningKey()
    access = token(issuer, server, jkt=jkt(key))

    refused = call(server, None, **proof(server, key, access, issuer.now(), nonce=issuer.proofs.nonce))
    nonce = refused.headers["DPoP-Nonce"]

    assert 'error="use_dpop_nonce"' in refused.headers["WWW-Authenticate"]
    assert 200 == call(server, None, **proof(server, key, access, issuer.now(), nonce=nonce)).status_code


def test_the_authorization_server_changes(start: Start, fake_authorization_server: FakeAuthorizationServer) -> None:
    """``protect`` moves the server to another issuer: old tokens are refused, the metadata names the new one."""
    issuer, server = start()
    old = token(issuer, server)
    server.protect(fake_authorization_server, scopes=["b"])
    place = server.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")

    assert 401 == call(server, old).status_code
    assert [fake_authorization_server.issuer] == requests.get(place, timeout=10).json()["authorization_servers"]
    assert 200 == call(server, token(fake_authorization_server, server)).status_code


def test_protection_needs_an_authorization_server() -> None:
    """An option of ``Protection`` without an authorization server, or one that does not exist, is a TypeError."""
    with pytest.raises(TypeError, match="scopes: only with"):
        FakeMcpServer(scopes=["a"]).close()
    with FakeAuthorizationServer() as issuer, pytest.raises(TypeError, match="scoops"):
        FakeMcpServer(authorization_server=issuer, scoops=["a"]).close()
