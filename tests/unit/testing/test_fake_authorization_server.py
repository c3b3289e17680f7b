"""The authorization code flow of the fake authorization server, from its metadata to its consent page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from plain_client import MCP, REDIRECT, authorization_url, basic, code_of, post, redeem, redirected

from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer, user_agent

Servers = Callable[..., FakeAuthorizationServer]


def get(url: str) -> requests.Response:
    """Get a document."""
    return requests.get(url, timeout=10, allow_redirects=False)


def test_a_code_becomes_tokens(fake_authorization_server: FakeAuthorizationServer) -> None:
    """The whole flow: consent, code, verifier, tokens for the resource that was asked for."""
    server = fake_authorization_server
    server.register()

    back = redirected(server, scope="notes:read notes:write")
    answer = redeem(server, back["code"])

    assert ("state-0123456789", server.issuer) == (back["state"], back["iss"])
    assert 200 == answer.status_code
    assert "no-store" == answer.headers["Cache-Control"]
    told = answer.json()
    assert ("Bearer", 3600, "notes:read notes:write") == (told["token_type"], told["expires_in"], told["scope"])
    known = server.introspect(told["access_token"])
    assert (True, [MCP], "client-1") == (known["active"], known["aud"], known["client_id"])
    assert told["refresh_token"] in server.ledger.refresh


@pytest.mark.parametrize(
    ("path", "well_known", "places"),
    [
        ("", ["oauth-authorization-server"], ["/.well-known/oauth-authorization-server"]),
        ("", ["openid-configuration appended"], ["/.well-known/openid-configuration"]),
        ("/t1", ["oauth-authorization-server"], ["/.well-known/oauth-authorization-server/t1"]),
        ("/t1", ["openid-configuration"], ["/.well-known/openid-configuration/t1"]),
        ("/t1", ["openid-configuration appended"], ["/t1/.well-known/openid-configuration"]),
        ("/t1", [], []),
    ],
)
def test_metadata_is_where_the_policy_says(
    fake_authorization_servers: Servers, path: str, well_known: list[str], places: list[str]
) -> None:
    """Of all well-known places, those of the policy answer, and the others are 404."""
    server = fake_authorization_servers(path=path, well_known=well_known)
    every = {
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/t1",
        "/.well-known/openid-configuration/t1",
        "/t1/.well-known/openid-configuration",
    }

    found = {place: get(server.origin + place) for place in every}

    assert set(places) == {place for place, answer in found.items() if answer.status_code == 200}
    assert {404} == {answer.status_code for place, answer in found.items() if place not in places}
    assert {f"{server.origin}{path}"} >= {found[place].json()["issuer"] for place in places}


def test_metadata_says_what_the_policy_says(fake_authorization_servers: Servers) -> None:
    """Members follow the policy, and ``metadata`` replaces them or leaves them out."""
    server = fake_authorization_servers(
        registration=False,
        announce_iss=False,
        dpop="accepted",
        metadata={"issuer": "https://evil.example", "code_challenge_methods_supported": None},
    )

    told = get(f"{server.origin}/.well-known/oauth-authorization-server").json()

    assert "https://evil.example" == told["issuer"]
    assert ["ES256"] == told["dpop_signing_alg_values_supported"]
    absent = {"registration_endpoint", "code_challenge_methods_supported"}
    assert not absent & told.keys()
    assert "authorization_response_iss_parameter_supported" not in told
    assert server.url("token") == told["token_endpoint"]


@pytest.mark.parametrize(
    ("policy", "iss"),
    [({}, "the issuer"), ({"send_iss": False}, None), ({"iss": "https://evil.example"}, "https://evil.example")],
)
def test_iss_is_sent_as_the_policy_says(
    fake_authorization_servers: Servers, policy: dict[str, Any], iss: str | None
) -> None:
    """The authorization response names the issuer, another one or none, in success and in failure (RFC 9207)."""
    server = fake_authorization_servers(**policy)
    server.register()
    expected = server.issuer if iss == "the issuer" else iss

    assert expected == redirected(server).get("iss")
    assert expected == redirected(server, code_challenge_method="plain").get("iss")


@pytest.mark.parametrize(("allow", "member"), [(True, "code"), (False, "error")])
def test_a_person_decides_on_the_page(fake_authorization_servers: Servers, allow: bool, member: str) -> None:
    """With ``consent="page"`` a form comes first; its answer is valid once and only with its cookie."""
    server = fake_authorization_servers(consent="page")
    server.register(client_name="<Notes & Co>")
    url = authorization_url(server)

    page = get(url)
    back = server.follow(url, user="ada", allow=allow)

    assert "&lt;Notes &amp; Co&gt;" in page.text
    assert member in urlsplit(back).query
    number = page.text.split('name="request" value="')[1].partition('"')[0]
    assert 400 == post(server, "consent", request=number, decision="allow").status_code


def test_a_refusal_by_policy_reaches_the_client(fake_authorization_servers: Servers) -> None:
    """With ``consent="deny"`` the client gets ``access_denied`` with its state."""
    server = fake_authorization_servers(consent="deny")
    server.register()

    back = redirected(server)

    assert ("access_denied", "state-0123456789") == (back["error"], back["state"])


def test_following_an_error_page_says_what_it_says(fake_authorization_server: FakeAuthorizationServer) -> None:
    """A request that must not be redirected ends in a page, and ``follow`` quotes it."""
    with pytest.raises(ValueError, match="answered 400: .*no such client"):
        fake_authorization_server.follow(authorization_url(fake_authorization_server))


def test_the_user_agent_calls_the_client(fake_authorization_server: FakeAuthorizationServer) -> None:
    """Run as a program, the user-agent opens the URL and calls the address that it is sent to."""
    with FakeMcpServer() as client:
        address = f"http://127.0.0.1:{client.port}/callback"
        fake_authorization_server.register(redirect_uris=[address])
        url = authorization_url(fake_authorization_server, redirect_uri=address)
        subprocess.run([sys.executable, "-m", user_agent.__name__, url], check=True, timeout=60)

    assert ["/callback"] == [request.place for request in client.requests]
    assert {"code", "state", "iss"} == client.requests[0].query.keys()


def test_clients_register_themselves(fake_authorization_server: FakeAuthorizationServer) -> None:
    """A public client registers, uses its id, reads and deletes its registration (RFC 7591, 7592)."""
    server = fake_authorization_server
    asked = {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "application_type": "native"}

    answer = requests.post(server.url("register"), json=asked, timeout=10)
    told = answer.json()
    headers = {"Authorization": f"Bearer {told['registration_access_token']}"}
    code = code_of(server, client_id=told["client_id"])

    assert 201 == answer.status_code
    assert "client_secret" not in told
    assert 200 == redeem(server, code, client_id=told["client_id"]).status_code
    uri = told["registration_client_uri"]
    assert told["client_id"] == requests.get(uri, headers=headers, timeout=10).json()["client_id"]
    assert 401 == requests.delete(uri, timeout=10).status_code
    assert 204 == requests.delete(uri, headers=headers, timeout=10).status_code
    assert 401 == requests.get(uri, headers=headers, timeout=10).status_code
    assert 401 == redeem(server, code, client_id=told["client_id"]).status_code


def test_a_client_need_not_be_native_on_request(fake_authorization_servers: Servers) -> None:
    """Without ``application_type_checked`` loopback redirect URIs are for everybody, as with many real servers."""
    server = fake_authorization_servers(application_type_checked=False)

    assert 201 == requests.post(server.url("register"), json={"redirect_uris": [REDIRECT]}, timeout=10).status_code


def test_a_registered_secret_expires(fake_authorization_servers: Servers) -> None:
    """With ``secret_lifetime`` the answer says when, and afterwards the secret is wrong; an update renews it."""
    server = fake_authorization_servers(secret_lifetime=100, renew_secrets=True)
    asked = {"grant_types": ["client_credentials"], "response_types": []}
    told = requests.post(server.url("register"), json=asked, timeout=10).json()
    form = {"grant_type": "client_credentials", "resource": MCP}
    headers = {"Authorization": f"Bearer {told['registration_access_token']}"}

    assert int(server.now()) <= told["client_secret_expires_at"] <= server.now() + 100
    server.advance(101)
    assert 401 == post(server, headers=basic(told["client_id"], told["client_secret"]), **form).status_code
    update = {**asked, "client_id": told["client_id"]}
    renewed = requests.put(told["registration_client_uri"], json=update, headers=headers, timeout=10).json()
    assert 200 == post(server, headers=basic(renewed["client_id"], renewed["client_secret"]), **form).status_code
    assert 401 == requests.get(told["registration_client_uri"], headers=headers, timeout=10).status_code


def test_the_server_substitutes_what_it_likes(fake_authorization_servers: Servers) -> None:
    """Members of ``substituted`` take the place of the client's, in the answer and in judgement."""
    server = fake_authorization_servers(substituted={"token_endpoint_auth_method": "client_secret_post"})
    asked = {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "application_type": "native"}

    told = requests.post(server.url("register"), json=asked, timeout=10).json()
    code = code_of(server, client_id=told["client_id"])

    assert "client_secret_post" == told["token_endpoint_auth_method"]
    assert 401 == redeem(server, code, client_id=told["client_id"]).status_code
    form = {"client_id": told["client_id"], "client_secret": told["client_secret"]}
    assert 200 == redeem(server, code, **form).status_code


def test_a_client_may_ask_for_the_scope_of_its_registration(fake_authorization_servers: Servers) -> None:
    """Others are refused, or left out where unknown ones are; without ``registered_scope_binds`` they are free."""
    server = fake_authorization_servers(substituted={"scope": "read"})
    asked = {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "application_type": "native"}
    told = requests.post(server.url("register"), json={**asked, "scope": "read write"}, timeout=10).json()
    client_id = told["client_id"]

    def granted() -> str:
        code = code_of(server, client_id=client_id, scope="read write")
        return str(redeem(server, code, client_id=client_id).json()["scope"])

    assert "read" == told["scope"]
    refused = server.follow(authorization_url(server, client_id=client_id, scope="read write"))
    assert "error=invalid_scope" in refused
    server.policy.drop_unknown_scopes = True
    assert "read" == granted()
    server.policy.drop_unknown_scopes, server.policy.registered_scope_binds = False, False
    assert "read write" == granted()


def test_a_client_is_the_url_of_its_document(fake_authorization_servers: Servers) -> None:
    """A client ID metadata document is taken from ``documents``, or fetched from this machine; https elsewhere."""
    server = fake_authorization_servers(client_id_metadata=True)
    near, far = f"{server.origin}/client.json", "https://client.example/me.json"
    document = {"client_name": "me", "redirect_uris": [REDIRECT], "grant_types": ["authorization_code"]}
    server.documents["/client.json"] = {**document, "client_id": near}
    server.clients.documents[far] = {**document, "client_id": far}

    for client_id in (near, far):
        assert 200 == redeem(server, code_of(server, client_id=client_id), client_id=client_id).status_code
    server.documents["/other.json"] = {**document, "client_id": near}
    with pytest.raises(ValueError, match="own URL"):
        server.follow(authorization_url(server, client_id=f"{server.origin}/other.json"))
    with pytest.raises(ValueError, match="https and has a path"):
        server.follow(authorization_url(server, client_id="http://client.example/me.json"))


def test_an_authorization_server_lives_in_the_mcp_server() -> None:
    """With ``at`` the MCP server's origin is the issuer, as in 2025-03-26, and no metadata is a 404."""
    with FakeMcpServer() as mcp, FakeAuthorizationServer(at=mcp, well_known=[], resource_required=False) as server:
        mcp.protect(server, metadata_at=None, audience_checked=False)
        server.register()

        assert f"http://127.0.0.1:{mcp.port}" == server.issuer
        for place in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server"):
            assert 404 == get(server.origin + place).status_code
        told = redeem(server, code_of(server, resource=None), resource=None).json()
        headers = {"Authorization": f"Bearer {told['access_token']}"}
        assert 400 == requests.post(mcp.url, json=[], headers=headers, timeout=10).status_code
        assert 401 == requests.post(mcp.url, json=[], timeout=10).status_code


def test_importing_the_package_loads_no_server() -> None:
    """The names are lazy: importing ``mcpvault.testing`` loads neither http.server nor cryptography."""
    code = "import sys, mcpvault.testing; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    started = "import sys; from mcpvault.testing import FakeAuthorizationServer as F; F().close(); print(*sys.modules)"
    running = subprocess.run([sys.executable, "-c", started], capture_output=True, text=True, check=True).stdout.split()

    assert set() == {"http.server", "cryptography"} & set(loaded)
    assert "cryptography" not in running


def test_a_fault_of_the_server_itself_is_not_silent() -> None:
    """What breaks inside the server drops the connection, and leaving the context raises it."""
    with pytest.raises(TypeError, match="not JSON serializable"), FakeAuthorizationServer() as server:
        server.documents["/broken.json"] = {"member": object()}
        with pytest.raises(requests.exceptions.ConnectionError):
            get(f"{server.origin}/broken.json")


def test_a_server_without_pkce(fake_authorization_servers: Servers) -> None:
    """With ``pkce=False`` it says so, takes requests without a challenge, and no verifier that nobody announced."""
    server = fake_authorization_servers(pkce=False)
    server.register()
    bare = {"code_challenge": None, "code_challenge_method": None}

    told = get(f"{server.origin}/.well-known/oauth-authorization-server").json()

    assert "code_challenge_methods_supported" not in told
    assert 200 == redeem(server, code_of(server, **bare), code_verifier=None).status_code
    assert 400 == redeem(server, code_of(server, **bare)).status_code
    assert 400 == redeem(server, code_of(server), code_verifier=None).status_code
