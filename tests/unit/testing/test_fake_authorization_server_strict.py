"""What a strict server refuses: one row per fault of a client, and the error that it must get."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
import requests
from plain_client import MCP, REDIRECT, authorization_url, basic, code_of, post, redeem, redirected, refresh

from mcpvault.testing import FakeAuthorizationServer

Servers = Callable[..., FakeAuthorizationServer]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"state": "short"}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "A" * 42}, "invalid_request"),
        ({"code_challenge": "A" * 43 + "="}, "invalid_request"),
        ({"resource": None}, "invalid_target"),
        ({"resource": "/mcp"}, "invalid_target"),
        ({"resource": MCP + "#part"}, "invalid_target"),
        ({"resource": MCP + "/"}, "invalid_target"),
        ({"scope": "a  b"}, "invalid_scope"),
        ({"scope": 'a "b"'}, "invalid_scope"),
        ({"scope": "a offline_access"}, "invalid_scope"),
        ({"client_id": "no-codes"}, "unauthorized_client"),
    ],
)
def test_faulty_authorization_requests_go_back(
    fake_authorization_servers: Servers, changes: dict[str, Any], error: str
) -> None:
    """Once client and redirect URI hold, the client is told what is wrong (RFC 6749 §4.1.2.1)."""
    server = fake_authorization_servers(scopes=["a", "b"])
    server.register()
    server.register("no-codes", grant_types=["client_credentials"])
    server.resources.add(MCP)

    assert error == redirected(server, **changes)["error"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"client_id": None}, "client_id is missing"),
        ({"client_id": "nobody"}, "no such client"),
        ({"redirect_uri": REDIRECT + "/"}, "not registered"),
        ({"redirect_uri": "http://127.0.0.1:8766/callback"}, "not registered"),
        ({"redirect_uri": "http://localhost:8765/callback"}, "not registered"),
        ({"state": ["state-0123456789", "state-0123456789"]}, "more than once"),
    ],
)
def test_unsafe_authorization_requests_end_in_a_page(
    fake_authorization_server: FakeAuthorizationServer, changes: dict[str, Any], why: str
) -> None:
    """Where the answer might go to the wrong place, nothing is redirected."""
    fake_authorization_server.register()

    answer = requests.get(authorization_url(fake_authorization_server, **changes), timeout=10, allow_redirects=False)

    assert (400, True) == (answer.status_code, why in answer.text.replace("&#x27;", "'"))


def test_the_port_of_a_loopback_address_is_free_on_request(fake_authorization_servers: Servers) -> None:
    """With ``any_loopback_port`` the port does not count, the rest does (RFC 8252 §7.3)."""
    server = fake_authorization_servers(any_loopback_port=True)
    server.register()

    assert "code" in redirected(server, redirect_uri="http://127.0.0.1:9/callback")
    with pytest.raises(ValueError, match="not registered"):
        redirected(server, redirect_uri="http://127.0.0.1:9/other")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"code": None}, "invalid_request"),
        ({"code": ""}, "invalid_request"),
        ({"code": "nonsense"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_grant"),
        ({"code_verifier": "A" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"redirect_uri": REDIRECT + "?"}, "invalid_grant"),
        ({"resource": None}, "invalid_target"),
        ({"resource": "https://other.example/mcp"}, "invalid_target"),
        ({"client_id": "client-2"}, "invalid_grant"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": None}, "invalid_request"),
        ({"client_secret": "made-up"}, "invalid_client"),
        ({"client_id": ["client-1", "client-1"]}, "invalid_request"),
    ],
)
def test_faulty_token_requests_are_refused(
    fake_authorization_server: FakeAuthorizationServer, changes: dict[str, Any], error: str
) -> None:
    """Each fault has its error, and none of them spends the code."""
    server = fake_authorization_server
    server.register()
    server.register("client-2")
    code = code_of(server)

    answer = redeem(server, **{"code": code, **changes})

    assert (error, True) == (answer.json()["error"], answer.status_code in (400, 401))
    assert 200 == redeem(server, code).status_code


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"resource": None}, "invalid_target"),
        ({"resource": "https://other.example/mcp"}, "invalid_target"),
        ({"client_id": "client-2"}, "invalid_grant"),
        ({"scope": "a b"}, "invalid_scope"),
        ({"refresh_token": None}, "invalid_request"),
    ],
)
def test_faulty_refreshes_are_refused(
    fake_authorization_server: FakeAuthorizationServer, changes: dict[str, Any], error: str
) -> None:
    """A refresh repeats client and resource and does not widen the scope; a fault does not spend the token."""
    server = fake_authorization_server
    server.register()
    server.register("client-2")
    token = server.grant(resource=MCP, scope="a")["refresh_token"]

    answer = refresh(server, **{"token": token, **changes})

    assert (error, 0) == (answer.json()["error"], server.redemptions)
    assert 200 == refresh(server, token).status_code


def test_a_token_request_is_a_form_in_a_post(fake_authorization_server: FakeAuthorizationServer) -> None:
    """Neither JSON nor GET nor secrets in the query nor another path will do."""
    server = fake_authorization_server
    server.register()
    token = server.grant(resource=MCP)["refresh_token"]
    form = {"grant_type": "refresh_token", "client_id": "client-1", "refresh_token": token, "resource": MCP}

    asked = requests.post(server.url("token"), json=form, timeout=10)
    assert (400, "invalid_request") == (asked.status_code, asked.json()["error"])
    assert 400 == requests.post(server.url("token"), params=form, headers=FORM, timeout=10).status_code
    got = requests.get(server.url("token"), params=form, timeout=10)
    assert (405, "POST") == (got.status_code, got.headers["Allow"])
    assert 400 == requests.post(server.url("token"), data=b"\xff=1", headers=FORM, timeout=10).status_code
    assert 404 == requests.post(server.url("token") + "/", data=form, timeout=10).status_code
    assert 0 == server.redemptions


def unencoded(client_id: str, secret: str) -> dict[str, str]:
    """Return the Authorization header without the form-urlencoding of RFC 6749 §2.3.1."""
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def test_basic_needs_form_urlencoding(fake_authorization_server: FakeAuthorizationServer) -> None:
    """Made-up secrets hold letters that a client must encode; 401 comes with a challenge."""
    server = fake_authorization_server
    secret = server.register(auth_method="client_secret_basic").secret or ""
    form = {"grant_type": "client_credentials", "resource": MCP}

    assert 200 == post(server, headers=basic("client-1", secret), **form).status_code
    for headers in (unencoded("client-1", secret), basic("client-1", "wrong"), {"Authorization": "Bearer x"}):
        refused = post(server, headers=headers, **form)
        assert (401, "invalid_client") == (refused.status_code, refused.json()["error"])
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")


def test_one_way_of_authentication_at_a_time(fake_authorization_server: FakeAuthorizationServer) -> None:
    """Two ways are refused, and so is another one than the client is registered for."""
    server = fake_authorization_server
    secret = server.register(auth_method="client_secret_post").secret or ""
    form = {"grant_type": "client_credentials", "resource": MCP}
    body = {"client_id": "client-1", "client_secret": secret}

    assert 200 == post(server, **form, **body).status_code
    assert "invalid_request" == post(server, headers=basic("client-1", secret), **form, **body).json()["error"]
    assert "invalid_client" == post(server, headers=basic("client-1", secret), **form).json()["error"]
    assert "invalid_client" == post(server, **form, client_id="client-1").json()["error"]
    server.policy.auth_methods = ["none"]
    assert "invalid_client" == post(server, **form, **body).json()["error"]


def test_a_public_client_has_no_credentials(fake_authorization_server: FakeAuthorizationServer) -> None:
    """The client credentials grant is for confidential clients (RFC 6749 §4.4)."""
    fake_authorization_server.register()
    form = {"grant_type": "client_credentials", "resource": MCP, "client_id": "client-1"}

    assert "unauthorized_client" == post(fake_authorization_server, **form).json()["error"]


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ([], "invalid_client_metadata"),
        ({}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": REDIRECT}, "invalid_client_metadata"),
        ({"redirect_uris": ["/callback"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [REDIRECT]}, "invalid_redirect_uri"),  # no application_type: web
        ({"redirect_uris": ["http://app.example/cb"], "application_type": "native"}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"], "application_type": "native"}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/cb"], "scope": "a  b"}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://app.example/cb"], "response_types": []}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://app.example/cb"], "application_type": "cli"}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://app.example/cb"], "client_name": 7}, "invalid_client_metadata"),
        (
            {"redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "private_key_jwt"},
            "invalid_client_metadata",
        ),
        (
            {"redirect_uris": ["https://app.example/cb"], "jwks": {"keys": [{"kty": "EC", "d": "x"}]}},
            "invalid_client_metadata",
        ),
        (
            {"redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "tls_client_auth"},
            "invalid_client_metadata",
        ),
    ],
)
def test_faulty_registrations_are_refused(
    fake_authorization_server: FakeAuthorizationServer, document: object, error: str
) -> None:
    """Client metadata is checked before a client comes of it (RFC 7591 §3.2.2)."""
    answer = requests.post(fake_authorization_server.url("register"), json=document, timeout=10)

    assert (400, error) == (answer.status_code, answer.json()["error"])
    assert 0 == len(fake_authorization_server.clients)


def test_registering_takes_what_the_policy_says(fake_authorization_servers: Servers) -> None:
    """An initial access token where it is needed, and nothing at all where it is off."""
    server = fake_authorization_servers(initial_access_token="let-me-register")
    document = {"grant_types": ["client_credentials"], "response_types": []}

    assert 401 == requests.post(server.url("register"), json=document, timeout=10).status_code
    headers = {"Authorization": "Bearer let-me-register"}
    told = requests.post(server.url("register"), json=document, headers=headers, timeout=10).json()
    assert 0 == told["client_secret_expires_at"]
    server.policy.registration = False
    assert 404 == requests.post(server.url("register"), json=document, headers=headers, timeout=10).status_code
