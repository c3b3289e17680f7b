"""Refresh, rotation, reuse, revocation, and the ways in which the token endpoint fails on demand."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from plain_client import MCP, basic, code_of, post, redeem, refresh

from mcpvault.testing import FakeAuthorizationServer
from mcpvault.testing.authorization.jose import Jws

Servers = Callable[..., FakeAuthorizationServer]


def granted(server: FakeAuthorizationServer, **options: Any) -> dict[str, Any]:
    """Register client-1 and grant it tokens out of hand."""
    server.register()
    return server.grant(**{"resource": MCP, **options})


def test_each_refresh_makes_another_token(fake_authorization_server: FakeAuthorizationServer) -> None:
    """The successor works once more, the access tokens of before stay good, and redemptions are counted."""
    server = fake_authorization_server
    first = granted(server, scope="a b")

    second = refresh(server, first["refresh_token"]).json()
    third = refresh(server, second["refresh_token"]).json()

    assert 3 == len({told["refresh_token"] for told in (first, second, third)})
    assert "a b" == third["scope"]
    assert [True] * 3 == [server.introspect(told["access_token"])["active"] for told in (first, second, third)]
    assert (2, 0, 0) == (server.redemptions, server.reuse_detected, server.families_revoked)
    assert 1 == server.ledger.redeemed[first["refresh_token"]]


def test_a_reused_token_ends_the_family(fake_authorization_server: FakeAuthorizationServer) -> None:
    """A rotated token that comes again takes the successor and the access tokens with it."""
    server = fake_authorization_server
    first = granted(server)
    second = refresh(server, first["refresh_token"]).json()

    again = refresh(server, first["refresh_token"])

    assert (400, "invalid_grant") == (again.status_code, again.json()["error"])
    assert 400 == refresh(server, second["refresh_token"]).status_code
    assert not server.introspect(second["access_token"])["active"]
    assert (1, 1, 1) == (server.redemptions, server.reuse_detected, server.families_revoked)


@pytest.mark.parametrize(
    ("policy", "seconds", "reused", "after", "detected"),
    [
        ({"reuse": "refuse"}, 0, 400, 200, 1),
        ({"reuse": "ignore"}, 9999, 200, 200, 0),
        ({"grace": 30}, 29, 200, 200, 0),
        ({"grace": 30}, 31, 400, 400, 1),
        ({"rotation": False}, 9999, 200, None, 0),
    ],
)
def test_reuse_is_as_the_policy_says(
    fake_authorization_servers: Servers,
    policy: dict[str, Any],
    seconds: float,
    reused: int,
    after: int | None,
    detected: int,
) -> None:
    """It ends the family, or is refused, or accepted, or accepted for the seconds of grace."""
    server = fake_authorization_servers(**policy)
    first = granted(server)["refresh_token"]
    second = refresh(server, first).json().get("refresh_token")
    server.advance(seconds)

    assert reused == refresh(server, first).status_code
    assert after == (refresh(server, second).status_code if second else None)
    assert detected == server.reuse_detected


def test_one_of_many_wins(fake_authorization_servers: Servers) -> None:
    """Of twenty simultaneous redemptions exactly one succeeds, and the others are noticed."""
    server = fake_authorization_servers(reuse="refuse")
    token = granted(server)["refresh_token"]

    with ThreadPoolExecutor(20) as pool:
        statuses = [*pool.map(lambda _: refresh(server, token).status_code, range(20))]

    assert [200] + [400] * 19 == sorted(statuses)
    assert (1, 19) == (server.redemptions, server.reuse_detected)


def test_an_answer_is_lost_after_the_rotation(fake_authorization_server: FakeAuthorizationServer) -> None:
    """With ``carried_out`` the server has rotated before the connection drops; without it, nothing has happened."""
    server = fake_authorization_server
    token = granted(server)["refresh_token"]

    for carried_out, redemptions in ((False, 0), (True, 1)):
        server.misbehave("close-before-answer", on="refresh_token", times=1, carried_out=carried_out)
        with pytest.raises(requests.exceptions.ConnectionError):
            refresh(server, token)
        assert redemptions == server.redemptions
    assert (400, 1) == (refresh(server, token).status_code, server.families_revoked)


def test_one_in_so_many_answers_fails(fake_authorization_servers: Servers) -> None:
    """``one_in`` spares all but every n-th request of those concerned."""
    server = fake_authorization_servers(rotation=False)
    token = granted(server)["refresh_token"]
    server.misbehave("bad-gateway", on="token", one_in=3)

    assert [200, 200, 502] * 2 == [refresh(server, token).status_code for _ in range(6)]
    server.behave()
    assert 200 == refresh(server, token).status_code


@pytest.mark.parametrize(
    ("name", "options", "status", "header"),
    [
        ("too-many-requests", {"retry_after": "17"}, 429, ("Retry-After", "17")),
        ("bad-gateway", {}, 502, ("Content-Type", "text/html")),
        ("html", {}, 200, ("Content-Type", "text/html")),
        ("status", {"code": 503, "Retry_After": "9"}, 503, ("Retry-After", "9")),
        ("redirect", {"to": "http://127.0.0.1:1/token"}, 307, ("Location", "http://127.0.0.1:1/token")),
        ("oauth-error", {"error": "invalid_client", "status": 401}, 401, ("Content-Type", "application/json")),
    ],
)
def test_the_token_endpoint_fails_on_demand(
    fake_authorization_server: FakeAuthorizationServer,
    name: str,
    options: dict[str, Any],
    status: int,
    header: tuple[str, str],
) -> None:
    """A failure concerns the requests that it names, and leaves the refresh token as it was."""
    server = fake_authorization_server
    token = granted(server)["refresh_token"]
    server.misbehave(name, on="token", times=1, **options)

    assert 200 == requests.get(f"{server.origin}/.well-known/oauth-authorization-server", timeout=10).status_code
    answer = refresh(server, token)

    assert (status, header[1]) == (answer.status_code, answer.headers[header[0]])
    assert 0 == server.redemptions
    assert 200 == refresh(server, token).status_code


def test_members_of_an_answer_change_on_demand(fake_authorization_server: FakeAuthorizationServer) -> None:
    """``members`` replaces members of the proper answer or leaves them out, and keeps its status."""
    server = fake_authorization_server
    token = granted(server)["refresh_token"]
    server.misbehave("members", on="token", token_type="mac", expires_in="3600", refresh_token=None)
    server.misbehave("members", on="register", client_secret="surprise")

    told = refresh(server, token).json()
    asked = {"grant_types": ["client_credentials"], "response_types": []}
    registered = requests.post(server.url("register"), json=asked, timeout=10)

    assert ("mac", "3600") == (told["token_type"], told["expires_in"])
    assert "refresh_token" not in told
    assert (201, "surprise") == (registered.status_code, registered.json()["client_secret"])


def test_a_late_answer_is_the_proper_one(fake_authorization_server: FakeAuthorizationServer) -> None:
    """``late`` answers properly after a while; a client that went away finds its token spent."""
    server = fake_authorization_server
    token = granted(server)["refresh_token"]
    server.misbehave("late", on="token", times=1, seconds=0.05)

    assert 200 == refresh(server, token).status_code
    assert 1 == server.redemptions


def test_scope_narrows(fake_authorization_servers: Servers) -> None:
    """A refresh may ask for less and not for more; ``granted_scope`` narrows whatever was asked for."""
    server = fake_authorization_servers(say_scope=False)
    token = granted(server, scope="a b c")["refresh_token"]

    same = refresh(server, token).json()
    less = refresh(server, same["refresh_token"], scope="a c").json()
    wider = refresh(server, less["refresh_token"], scope="a d")
    server.policy.granted_scope = "b"
    narrowed = refresh(server, less["refresh_token"]).json()

    assert "scope" not in same
    assert "a c" == server.introspect(less["access_token"])["scope"]
    assert (400, "invalid_scope") == (wider.status_code, wider.json()["error"])
    assert "b" == narrowed["scope"]
    assert "b" == redeem(server, code_of(server, scope="a b")).json()["scope"]


def test_tokens_expire_and_grants_are_withdrawn(fake_authorization_servers: Servers) -> None:
    """Access and refresh tokens end with their time, and all with the grant."""
    server = fake_authorization_servers(
        access_lifetime=100, refresh_lifetime=1000, say_refresh_lifetime="refresh_token_expires_in"
    )
    told = granted(server)

    assert 100 == told["expires_in"]
    server.advance(100)
    assert not server.introspect(told["access_token"])["active"]
    other = refresh(server, told["refresh_token"]).json()
    assert 1000 == other["refresh_token_expires_in"]
    server.withdraw()
    assert 400 == refresh(server, other["refresh_token"]).status_code
    last = server.grant(resource=MCP)["refresh_token"]
    server.advance(1000)
    assert "expired" in refresh(server, last).json()["error_description"]


def test_not_everybody_gets_a_refresh_token(fake_authorization_servers: Servers) -> None:
    """It takes the policy, the client's registration and, where the policy says so, ``offline_access``."""
    server = fake_authorization_servers(refresh_tokens="offline_access", scopes=["a", "offline_access"])
    server.register()
    server.register("client-2", grant_types=["authorization_code"])

    def got(scope: str, client_id: str = "client-1") -> bool:
        code = code_of(server, scope=scope, client_id=client_id)
        return "refresh_token" in redeem(server, code, client_id=client_id).json()

    assert [False, True, False] == [got("a"), got("a offline_access"), got("a offline_access", "client-2")]
    server.policy.refresh_tokens = "never"
    assert not got("a offline_access")


def test_a_code_is_good_once(fake_authorization_server: FakeAuthorizationServer) -> None:
    """A second redemption is refused and ends what the first one granted; so does time (RFC 6749 §4.1.2)."""
    server = fake_authorization_server
    server.register()
    code = code_of(server)
    told = redeem(server, code).json()

    assert 400 == redeem(server, code).status_code
    assert (False, 1) == (server.introspect(told["access_token"])["active"], server.families_revoked)
    late = code_of(server)
    server.advance(61)
    assert 400 == redeem(server, late).status_code


def test_tokens_are_revoked(fake_authorization_server: FakeAuthorizationServer) -> None:
    """An access token alone, a refresh token with its family; unknown ones are 200, others' are refused."""
    server = fake_authorization_server
    told, other = granted(server), server.grant("client-1", resource=MCP)
    server.register("client-2")

    def revoke(token: str, client_id: str = "client-1") -> int:
        return post(server, "revoke", client_id=client_id, token=token).status_code

    assert [400, 200, 200] == [
        revoke(told["access_token"], "client-2"),
        revoke("nonsense"),
        revoke(told["access_token"]),
    ]
    assert 200 == refresh(server, told["refresh_token"]).status_code
    assert 200 == revoke(other["refresh_token"])
    assert not server.introspect(other["access_token"])["active"]
    assert 400 == refresh(server, other["refresh_token"]).status_code


def test_introspection_is_for_confidential_clients(fake_authorization_server: FakeAuthorizationServer) -> None:
    """The endpoint tells an authenticated client what a token is good for, and a public one nothing."""
    server = fake_authorization_server
    told = granted(server, scope="a")
    secret = server.register("mcp", auth_method="client_secret_basic").secret or ""

    assert 401 == post(server, "introspect", client_id="client-1", token=told["access_token"]).status_code
    known = post(server, "introspect", basic("mcp", secret), token=told["access_token"]).json()
    assert (True, "a", [MCP]) == (known["active"], known["scope"], known["aud"])
    assert {"active": False} == post(server, "introspect", basic("mcp", secret), token="nonsense").json()


def test_access_tokens_are_jwts_on_request(fake_authorization_servers: Servers) -> None:
    """With ``access_token_jwt`` they are signed with the published key (RFC 9068)."""
    server = fake_authorization_servers(access_token_jwt=True)
    token = Jws.parse(granted(server, scope="a")["access_token"])
    (key,) = requests.get(server.url("jwks"), timeout=10).json()["keys"]

    token.verify(key, ["ES256"])

    assert ("at+jwt", MCP, server.issuer) == (token.header["typ"], token.claims["aud"], token.claims["iss"])


def test_every_request_is_recorded(fake_authorization_server: FakeAuthorizationServer) -> None:
    """Requests are found by endpoint and by grant type, with their forms."""
    server = fake_authorization_server
    token = granted(server)["refresh_token"]
    redeem(server, code_of(server))
    refresh(server, token)

    assert [1, 2, 1, 0] == [len(server.called(n)) for n in ("authorize", "token", "refresh_token", "register")]
    assert token == server.called("refresh_token")[0].form["refresh_token"]
    assert "S256" == server.called("authorize")[0].query["code_challenge_method"]
    assert None is server.called("token")[0].message
    assert "client-1" in json.dumps(server.called("token")[0].form)
