"""Devices, client assertions and foreign assertions at the fake authorization server."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest
import requests
from plain_client import MCP, authorization_url, code_of, post, redeem, redirected, refresh

from mcpvault.testing import FakeAuthorizationServer, SigningKey
from mcpvault.testing.authorization.assertion_grants import ID_JAG, ID_TOKEN
from mcpvault.testing.authorization.client_judge import ASSERTION_TYPE
from mcpvault.testing.authorization.policy import DEVICE_CODE, GRANTS, JWT_BEARER, TOKEN_EXCHANGE

Servers = Callable[..., FakeAuthorizationServer]


# Devices


def device(server: FakeAuthorizationServer) -> dict[str, Any]:
    """Begin the flow of a device."""
    server.register()
    return dict(post(server, "device", client_id="client-1", scope="a", resource=MCP).json())


def poll(server: FakeAuthorizationServer, told: dict[str, Any]) -> str:
    """Poll once; return the error or the scope."""
    form = {"grant_type": DEVICE_CODE, "client_id": "client-1", "device_code": told["device_code"], "resource": MCP}
    answer = post(server, **form).json()
    return str(answer.get("error") or answer.get("scope"))


def test_a_device_waits_for_the_person(fake_authorization_server: FakeAuthorizationServer) -> None:
    """Polls are pending until the person agrees, and the code is good once (RFC 8628)."""
    server = fake_authorization_server
    told = device(server)

    assert "authorization_pending" == poll(server, told)
    server.advance(5)
    server.approve(told["user_code"].lower().replace("-", " "))
    assert ["a", "invalid_grant"] == [poll(server, told), poll(server, told)]


def test_impatient_devices_are_slowed_down(fake_authorization_server: FakeAuthorizationServer) -> None:
    """A poll before its time adds five seconds to the interval, for ever."""
    server = fake_authorization_server
    told = device(server)

    assert "authorization_pending" == poll(server, told)
    assert "slow_down" == poll(server, told)
    server.advance(9)
    assert "slow_down" == poll(server, told)
    server.advance(15)
    assert "authorization_pending" == poll(server, told)


def test_devices_are_refused_and_expire(fake_authorization_server: FakeAuthorizationServer) -> None:
    """A refusal and the end of its time are told to the device; nobody else can be let in."""
    server = fake_authorization_server
    told = device(server)
    server.deny()

    assert "access_denied" == poll(server, told)
    late = device(server)
    server.advance(late["expires_in"])
    assert "expired_token" == poll(server, late)
    with pytest.raises(LookupError, match="0 devices"):
        server.approve()


def test_a_person_types_the_code_on_the_page(fake_authorization_server: FakeAuthorizationServer) -> None:
    """The page of ``verification_uri_complete`` has the code filled in; its form decides."""
    server = fake_authorization_server
    told = device(server)

    page = requests.get(told["verification_uri_complete"], timeout=10)
    wrong = post(server, "verify", user_code="XXXX-XXXX", decision="allow")
    right = post(server, "verify", user_code=told["user_code"], decision="allow", user="ada")

    assert f'value="{told["user_code"]}"' in page.text
    assert (400, 200) == (wrong.status_code, right.status_code)
    assert "a" == poll(server, told)


# Client assertions


def assertion(server: FakeAuthorizationServer, key: SigningKey, **changes: Any) -> dict[str, str]:
    """Return the form fields of a proper client assertion; *changes* replace claims, None leaves one out."""
    now = int(server.now())
    claims = {
        "iss": "client-1",
        "sub": "client-1",
        "aud": server.issuer,
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_urlsafe(),
        **changes,
    }
    signed = key.sign({name: value for name, value in claims.items() if value is not None})
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}


def credentials(server: FakeAuthorizationServer, fields: dict[str, str]) -> str:
    """Ask for a token with the client credentials grant; return the error, or "granted"."""
    answer = post(server, grant_type="client_credentials", resource=MCP, **fields).json()
    return str(answer.get("error", "granted"))


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS256", "EdDSA"])
def test_a_client_signs(fake_authorization_server: FakeAuthorizationServer, algorithm: str) -> None:
    """``private_key_jwt`` works with every algorithm, once per assertion (RFC 7523 §3)."""
    server, key = fake_authorization_server, SigningKey(algorithm, kid="k1")
    server.register(auth_method="private_key_jwt", keys=[SigningKey(kid="k0").jwk, key.jwk])
    fields = assertion(server, key)

    assert ["granted", "invalid_client"] == [credentials(server, fields), credentials(server, fields)]


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "the token endpoint"},
        {"aud": ["the issuer", "https://other.example"]},
        {"iss": "client-2"},
        {"sub": "client-2"},
        {"jti": None},
        {"exp": None},
        {"exp": 0},
        {"exp": 2**40},
        {"iat": 2**40},
    ],
    ids=str,
)
def test_faulty_client_assertions_are_refused(
    fake_authorization_server: FakeAuthorizationServer, changes: dict[str, Any]
) -> None:
    """Audience, issuer, subject, times and id are all checked."""
    server, key = fake_authorization_server, SigningKey()
    server.register(auth_method="private_key_jwt", keys=[key.jwk])
    places = {"the token endpoint": server.url("token"), "the issuer": server.issuer}
    aud = changes.get("aud")
    if isinstance(aud, list):
        changes = {"aud": [places.get(one, one) for one in aud]}
    elif aud:
        changes = {"aud": places[aud]}

    assert "invalid_client" == credentials(server, assertion(server, key, **changes))


def test_client_assertions_need_the_key_and_the_algorithm(fake_authorization_server: FakeAuthorizationServer) -> None:
    """Another key, an algorithm that the server does not list, or another type of assertion is refused."""
    server, key = fake_authorization_server, SigningKey()
    server.register(auth_method="private_key_jwt", keys=[key.jwk])
    proper = assertion(server, key)

    assert "invalid_client" == credentials(server, assertion(server, SigningKey()))
    assert "invalid_client" == credentials(server, {**proper, "client_assertion_type": "urn:other"})
    assert "invalid_client" == credentials(server, {**proper, "client_assertion": "a.b.c"})
    assert "invalid_request" == credentials(server, {**proper, "client_secret": "and-this"})
    server.policy.assertion_algorithms = ["RS256"]
    assert "invalid_client" == credentials(server, proper)
    server.policy.assertion_algorithms = ["ES256"]
    assert "granted" == credentials(server, proper)


# Foreign assertions


def workload(server: FakeAuthorizationServer, key: SigningKey, **changes: Any) -> requests.Response:
    """Ask for a token with the token of a platform."""
    now = int(server.now())
    claims = {"iss": "https://ci.example", "sub": "job-7", "aud": server.url("token"), "exp": now + 60, **changes}
    return post(server, grant_type=JWT_BEARER, assertion=key.sign(claims), resource=MCP)


def test_a_workload_needs_no_client(fake_authorization_servers: Servers) -> None:
    """A platform's token for the token endpoint is taken from trusted issuers, while it lasts."""
    server, key = fake_authorization_servers(grant_types=GRANTS), SigningKey("RS256")

    assert "invalid_grant" == workload(server, key).json()["error"]
    server.trust("https://ci.example", key.jwk)
    told = workload(server, key).json()
    assert "refresh_token" not in told
    assert "job-7" == server.introspect(told["access_token"])["sub"]
    for changes in ({"aud": server.issuer}, {"exp": 1}, {"sub": ""}, {"nbf": 2**40}):
        assert "invalid_grant" == workload(server, key, **changes).json()["error"]
    assert "invalid_grant" == workload(server, SigningKey("RS256")).json()["error"]


def exchange(idp: FakeAuthorizationServer, target: str, **changes: Any) -> requests.Response:
    """Ask the identity provider for an ID-JAG."""
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "client_id": "desk",
        "client_secret": "desk-secret",
        "requested_token_type": ID_JAG,
        "audience": target,
        "resource": MCP,
        "scope": "a",
        "subject_token": idp.id_token("ada", "desk"),
        "subject_token_type": ID_TOKEN,
        **changes,
    }
    return post(idp, **form)


def test_both_legs_of_enterprise_managed_authorization(fake_authorization_servers: Servers) -> None:
    """An ID token becomes an ID-JAG, the ID-JAG an access token, once."""
    idp, server = (fake_authorization_servers(grant_types=GRANTS) for _ in range(2))
    idp.register("desk", auth_method="client_secret_post", secret="desk-secret")
    server.register("desk-at-mcp", auth_method="client_secret_post", secret="mcp-secret")
    idp.elsewhere["desk"] = "desk-at-mcp"
    server.trust(idp)
    own = {"client_id": "desk-at-mcp", "client_secret": "mcp-secret"}

    told = exchange(idp, server.issuer).json()
    form = {"grant_type": JWT_BEARER, "assertion": told["access_token"]}
    answers = [post(server, **form, **own).json() for _ in range(2)]

    assert (ID_JAG, "N_A") == (told["issued_token_type"], told["token_type"])
    known = server.introspect(answers[0]["access_token"])
    assert ("ada", [MCP], "a") == (known["sub"], known["aud"], known["scope"])
    assert "invalid_grant" == answers[1]["error"]
    assert "urn:ietf:params:oauth:grant-profile:id-jag" in (
        requests.get(f"{server.origin}/.well-known/oauth-authorization-server", timeout=10)
        .json()["authorization_grant_profiles_supported"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": None}, "invalid_client"),
        ({"requested_token_type": None}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:access_token"}, "invalid_request"),
        ({"audience": None}, "invalid_request"),
        ({"resource": None}, "invalid_target"),
        ({"subject_token": "x.y.z"}, "invalid_grant"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "invalid_request"),
    ],
)
def test_faulty_exchanges_are_refused(fake_authorization_servers: Servers, changes: dict[str, Any], error: str) -> None:
    """The identity provider authenticates its client and wants every parameter of the profile."""
    idp = fake_authorization_servers(grant_types=GRANTS)
    idp.register("desk", auth_method="client_secret_post", secret="desk-secret")

    assert error == exchange(idp, "https://as.example", **changes).json()["error"]


def test_an_id_jag_is_for_one_client_and_one_issuer(fake_authorization_servers: Servers) -> None:
    """Another client's, another issuer's or an unauthenticated one is refused."""
    idp, server = (fake_authorization_servers(grant_types=GRANTS) for _ in range(2))
    idp.register("desk", auth_method="client_secret_post", secret="desk-secret")
    server.register("desk", auth_method="client_secret_post", secret="s-1")
    server.register("other", auth_method="client_secret_post", secret="s-2")
    server.trust(idp)

    def spend(audience: str, **own: str) -> str:
        jag = exchange(idp, audience).json()["access_token"]
        return str(post(server, grant_type=JWT_BEARER, assertion=jag, **own).json().get("error", "granted"))

    assert "granted" == spend(server.issuer, client_id="desk", client_secret="s-1")
    assert "invalid_grant" == spend(server.issuer, client_id="other", client_secret="s-2")
    assert "invalid_grant" == spend(server.url("token"), client_id="desk", client_secret="s-1")
    assert "invalid_request" == spend(server.issuer)


def test_an_id_token_comes_with_openid(fake_authorization_server: FakeAuthorizationServer) -> None:
    """With the scope ``openid`` there is an ID token, which an exchange takes."""
    server = fake_authorization_server
    server.register()

    told = redeem(server, code_of(server, scope="openid", nonce="n-1")).json()

    assert 3 == len(told["id_token"].split("."))
    assert "id_token" not in redeem(server, code_of(server, scope="a")).json()
    assert "id_token" not in refresh(server, told["refresh_token"]).json()


def test_a_prompt_of_none_meets_no_page(fake_authorization_servers: Servers) -> None:
    """A client that forbids pages is told that one is needed."""
    server = fake_authorization_servers(consent="page")
    server.register()

    assert "interaction_required" == redirected(server, prompt="none")["error"]
    assert "Allow client-1?" in requests.get(authorization_url(server), timeout=10).text
