"""DPoP at the token endpoint of the fake authorization server: proofs, bound tokens, nonces (RFC 9449)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plain_client import MCP, code_of, jkt, post, proof, redeem

from mcpvault.testing import FakeAuthorizationServer, SigningKey

Servers = Callable[..., FakeAuthorizationServer]


@pytest.mark.parametrize(
    "changes",
    [
        {"htm": "GET"},
        {"htu": "https://as.example/token"},
        {"iat": 1},
        {"iat": None},
        {"jti": None},
    ],
    ids=str,
)
def test_faulty_proofs_are_refused(fake_authorization_servers: Servers, changes: dict[str, Any]) -> None:
    """Method, URL, time and id are checked before the code is spent (RFC 9449 §4.3)."""
    server, key = fake_authorization_servers(dpop="required"), SigningKey()
    server.register()
    code = code_of(server)
    form = {"grant_type": "authorization_code", "client_id": "client-1", "code": code}

    refused = post(server, headers=proof(key, server, **changes), **form)

    assert (400, "invalid_dpop_proof") == (refused.status_code, refused.json()["error"])
    assert "invalid_dpop_proof" == redeem(server, code).json()["error"]
    assert code in server.ledger.codes
    assert not server.ledger.codes[code].used


def dpop(server: FakeAuthorizationServer, headers: dict[str, str], **form: Any) -> dict[str, Any]:
    """Post a token request of client-1 with a proof."""
    return dict(post(server, headers=headers, client_id="client-1", resource=MCP, **form).json())


def test_tokens_are_bound_to_the_key(fake_authorization_servers: Servers) -> None:
    """With a proof the token is of type DPoP; a public client refreshes with the same key only."""
    server, key = fake_authorization_servers(dpop="accepted"), SigningKey()
    server.register()
    told = server.grant(resource=MCP, jkt=jkt(key))
    form = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}

    assert "invalid_grant" == dpop(server, {}, **form)["error"]
    assert "invalid_grant" == dpop(server, proof(SigningKey(), server), **form)["error"]
    headers = proof(key, server)
    answer = dpop(server, headers, **form)
    assert ("DPoP", jkt(key)) == (
        answer["token_type"],
        server.introspect(answer["access_token"])["cnf"]["jkt"],
    )
    assert "invalid_dpop_proof" == dpop(server, headers, **form)["error"]  # the same proof again


def test_a_code_is_bound_to_the_announced_key(fake_authorization_servers: Servers) -> None:
    """``dpop_jkt`` of the authorization request names the key that must redeem (RFC 9449 §10)."""
    server, key = fake_authorization_servers(dpop="accepted"), SigningKey()
    server.register()
    code = code_of(server, dpop_jkt=jkt(key))

    assert "invalid_grant" == redeem(server, code).json()["error"]


def test_proofs_need_the_servers_nonce(fake_authorization_servers: Servers) -> None:
    """Without it or with an old one the answer is ``use_dpop_nonce`` and the nonce; nothing is spent."""
    server, key = fake_authorization_servers(dpop="required", dpop_nonce=True), SigningKey()
    server.register()
    form = {"grant_type": "refresh_token", "client_id": "client-1", "resource": MCP}
    token = server.grant(resource=MCP, jkt=jkt(key))["refresh_token"]

    refused = post(server, headers=proof(key, server), refresh_token=token, **form)
    nonce = refused.headers["DPoP-Nonce"]
    granted = post(server, headers=proof(key, server, nonce=nonce), refresh_token=token, **form)
    server.renew_nonce()
    old = post(server, headers=proof(key, server, nonce=nonce), refresh_token="x", **form)

    assert (400, "use_dpop_nonce") == (refused.status_code, refused.json()["error"])
    assert (200, nonce) == (granted.status_code, granted.headers["DPoP-Nonce"])
    assert "use_dpop_nonce" == old.json()["error"]
    assert nonce != old.headers["DPoP-Nonce"]


def test_a_private_key_in_a_proof_is_refused(fake_authorization_servers: Servers) -> None:
    """The header's ``jwk`` is public; a key of another kind than the algorithm is refused too."""
    server, key = fake_authorization_servers(dpop="required"), SigningKey()
    server.register()
    claims = {"htm": "POST", "htu": server.url("token"), "iat": int(server.now()), "jti": "once"}

    for jwk, typ in (({**key.jwk, "d": "x"}, "dpop+jwt"), (SigningKey("EdDSA").jwk, "dpop+jwt"), (key.jwk, "JWT")):
        headers = {"DPoP": key.sign(claims, typ=typ, jwk=jwk)}
        assert "invalid_dpop_proof" == dpop(server, headers, grant_type="refresh_token")["error"]
