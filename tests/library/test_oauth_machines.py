"""Grants in a machine's own name: client credentials, a workload's JWT, an identity provider's word."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from library_house import House

from mcpvault import AuthState, Secret, Vault
from mcpvault.errors import AuthorizationFailedError, AuthorizationRequiredError, UnresolvedReferenceError
from mcpvault.oauth import jwt
from mcpvault.opened import headers_of, opened
from mcpvault.testing import FakeAuthorizationServer
from mcpvault.testing.authorization.jose import SigningKey

JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
MACHINES = ("client_credentials", JWT)


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """A house without entries, whose authorization server takes machines only."""
    return build(policy={"grant_types": MACHINES}, scopes=["read"], tool_scopes={"echo": "write"})


def robot(house: House, *, secrets: dict[str, str], **auth: str | bool) -> None:
    """Add ``x``: client credentials of the client ``robot``."""
    house.add(kind="client_credentials", client_id="robot", issuer=house.issuer.issuer, secrets=secrets, **auth)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_client_credentials_with_a_secret(house: House, method: str) -> None:
    """The secret goes the way that the server advertises, in one request for both runs; no person, no registration."""
    secret = "s%: é+/&="
    house.issuer.policy.auth_methods = (method,)
    house.issuer.register("robot", auth_method=method, secret=secret, grant_types=["client_credentials"])
    robot(house, secrets={"client_secret": secret})

    assert [6, 6] == [len(house.session().list_tools()) for _ in range(2)]

    assert ["oauth-authorization-server", "client_credentials"] == house.asked()
    assert [AuthState.READY] * 2 == house.events


def test_a_private_key_signs_every_request_anew(house: House) -> None:
    """``private_key_jwt``: an assertion for the issuer, another for each token request."""
    key = SigningKey("ES256", kid="one")
    house.issuer.register("robot", auth_method="private_key_jwt", keys=[key.jwk], grant_types=["client_credentials"])
    robot(house, secrets={"private_key": key.pem}, key_id="one", dpop=True)
    house.issuer.policy.dpop, house.issuer.policy.dpop_nonce = "required", True
    house.server.protection.dpop_nonce = True  # type: ignore[union-attr]

    house.session().list_tools()
    house.age(3600, at_server=False)
    house.session().list_tools()

    sent = [request.form["client_assertion"] for request in house.issuer.called("client_credentials")]
    claims = [jwt.unverified_claims(Secret(each)) for each in sent]
    assert {house.issuer.issuer} == {each["aud"] for each in claims}
    assert 4 == len({each["jti"] for each in claims})  # both were answered with a nonce first


def test_an_assertion_may_be_for_the_token_endpoint(house: House) -> None:
    """``auth.assertion_audience`` is the ``aud`` for servers that go by the older rule."""
    key, house.issuer.policy.assertion_audience = SigningKey("ES256"), "token_endpoint"
    house.issuer.register("robot", auth_method="private_key_jwt", keys=[key.jwk], grant_types=["client_credentials"])
    robot(house, secrets={"private_key": key.pem}, assertion_audience=house.issuer.url("token"))

    assert 6 == len(house.session().list_tools())


def list_tools(vault: Vault) -> None:
    """Open a session, and use it."""
    with vault.session("x") as session:
        session.list_tools()


GIVEN = {
    "session": list_tools,
    "token": lambda vault: vault.token("x"),
    "headers": lambda vault: vault.headers("x"),
    "for programs": lambda vault: opened(vault, "x", purpose="token"),
    "headers for a while": lambda vault: headers_of(vault, "x", min_ttl=60),
}


@pytest.mark.parametrize("ask", GIVEN.values(), ids=GIVEN)
def test_a_command_is_run_once(house: House, home: Path, ask: Callable[[Vault], object]) -> None:
    """However a token is asked for, what the entry refers to is looked up once: a command may cost time, or a touch."""
    house.issuer.register(
        "robot", auth_method="client_secret_basic", secret="of-a-command", grant_types=["client_credentials"]
    )
    house.allow_commands()
    script = f"open({str(home / 'runs')!r}, 'a').write('x'); print('of-a-command')"
    robot(house, secrets={}, client_secret=f"${{cmd:{json.dumps([sys.executable, '-c', script])}}}")

    ask(Vault.open(env=house.env))

    assert "x" == (home / "runs").read_text()


def test_a_wrong_secret_is_the_clients_fault(house: House) -> None:
    """``invalid_client`` is an error of ours that quotes it; and the next run does not hammer."""
    house.issuer.register("robot", auth_method="client_secret_basic", grant_types=["client_credentials"])
    robot(house, secrets={"client_secret": "not-the-secret-at-all"})

    with pytest.raises(AuthorizationFailedError, match="invalid_client") as caught:
        house.session().list_tools()

    assert "not-the-secret-at-all" not in f"{caught.value} {caught.value.hint}"
    assert AuthState.FAILED is house.events[-1]
    with pytest.raises(AuthorizationFailedError, match="invalid_client") as later:
        house.session().list_tools()
    assert caught.value.hint == later.value.hint
    assert 1 == len(house.issuer.called("client_credentials"))


def test_a_corrected_secret_is_tried_at_once(house: House) -> None:
    """The pause after a refusal is for the secret that was refused, and ends with the change of the vault."""
    client = house.issuer.register("robot", auth_method="client_secret_basic", grant_types=["client_credentials"])
    robot(house, secrets={"client_secret": "not-the-secret-at-all"})
    for _ in range(2):
        with pytest.raises(AuthorizationFailedError):
            house.session().list_tools()

    with house.vault.change() as change:
        change.set_secret("x", "auth.client_secret", Secret(str(client.secret)))

    assert 6 == len(house.session().list_tools())
    assert 2 == len(house.issuer.called("client_credentials"))


def test_a_machine_steps_up_by_itself(house: House) -> None:
    """A 403 ``insufficient_scope`` is answered with a token that has more scope; nobody is asked."""
    client = house.issuer.register("robot", auth_method="client_secret_basic", grant_types=["client_credentials"])
    robot(house, secrets={"client_secret": str(client.secret)})

    assert "a" == house.session().call_tool("echo", {"message": "a"}).text()

    assert ["read", "read write"] == [each.form["scope"] for each in house.issuer.called("client_credentials")]


def test_a_machine_whose_tokens_are_refused_does_not_ask_for_ever(house: House) -> None:
    """One more token is tried; then the error says that it was refused too, and its hint is not a login."""
    client = house.issuer.register("robot", auth_method="client_secret_basic", grant_types=["client_credentials"])
    robot(house, secrets={"client_secret": str(client.secret)})
    house.server.required = {"x-never": "sent"}

    for _ in range(3):
        with pytest.raises(AuthorizationRequiredError, match="refuses a token") as caught:
            house.session().list_tools()

    assert caught.value.login_command is None
    assert "mcpvault refresh x" in str(caught.value.hint)
    assert 2 == len(house.issuer.called("client_credentials"))


# A workload's JWT


def workload(house: House, key: SigningKey, number: int) -> str:
    """Return the JWT that a platform gives a workload."""
    now = int(time.time())
    claims = {"iss": "https://ci.example", "sub": f"job-{number}", "aud": house.issuer.url("token"), "exp": now + 300}
    return key.sign({**claims, "iat": now})


@pytest.mark.parametrize("reference", ["file", "env", "cmd"])
def test_an_assertion_is_read_again_when_the_token_is_renewed(house: House, home: Path, reference: str) -> None:
    """A session that outlives its first JWT reads file, variable or command once more; each JWT is sent once."""
    key, place = SigningKey("ES256"), home / "jwt"
    house.issuer.trust("https://ci.example", key.jwk)
    place.touch(0o600)
    text = {
        "file": f"${{file:{place}}}",
        "env": "${env:CI_JWT}",
        "cmd": f"${{cmd:{json.dumps([sys.executable, '-c', f'print(open({str(place)!r}).read(), end=str())'])}}}",
    }[reference]
    if reference == "cmd":
        house.allow_commands()

    def give(number: int) -> None:
        house.env["CI_JWT"] = workload(house, key, number)
        place.write_text(house.env["CI_JWT"] + "\n")

    give(1)
    house.add(kind="jwt_bearer", issuer=house.issuer.issuer, assertion=text)
    session = house.session()
    session.list_tools()
    for number in (2, 3):
        house.age(60, at_server=False)
        give(number)
        house.issuer.ledger.revoke_client(f"job-{number - 1}")
        session.list_tools()

    sent = [request.form["assertion"] for request in house.issuer.called(JWT)]
    assert ["job-1", "job-2", "job-3"] == [jwt.unverified_claims(Secret(each))["sub"] for each in sent]


class IdentityProvider(BaseHTTPRequestHandler):
    """What GitHub Actions gives a job: an address that makes a JWT for whoever has the job's token."""

    def do_GET(self) -> None:  # noqa: D102  http.server's name
        assert "bearer token-of-the-job" == self.headers["Authorization"]
        body = json.dumps({"value": self.server.jwt}).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


FETCH = """
import json, os, urllib.request
headers = {"Authorization": "bearer " + os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]}
asked = urllib.request.Request(os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] + "&audience=mcp", headers=headers)
print(json.load(urllib.request.urlopen(asked))["value"])
"""


def test_a_job_asks_for_its_own_identity(house: House) -> None:
    """A command of ``jwt_bearer`` has the two variables with which GitHub Actions gives a job its JWT."""
    key = SigningKey("ES256")
    house.issuer.trust("https://ci.example", key.jwk)
    house.allow_commands()
    with ThreadingHTTPServer(("127.0.0.1", 0), IdentityProvider) as provider:
        provider.jwt = workload(house, key, 1)  # type: ignore[attr-defined]
        serving = threading.Thread(target=provider.serve_forever)
        serving.start()
        house.env["ACTIONS_ID_TOKEN_REQUEST_URL"] = f"http://127.0.0.1:{provider.server_port}/?api-version=2.0"
        house.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "token-of-the-job"
        assertion = f"${{cmd:{json.dumps([sys.executable, '-c', FETCH])}}}"
        house.add(kind="jwt_bearer", issuer=house.issuer.issuer, assertion=assertion)
        try:
            assert 6 == len(house.session().list_tools())
        finally:
            provider.shutdown()
            serving.join()


def test_other_commands_learn_nothing_of_a_jobs_identity(house: House) -> None:
    """Where no JWT is wanted, a command does not get what makes one."""
    house.allow_commands()
    house.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "token-of-the-job"
    script = "import os; print('secret' + os.environ.get('ACTIONS_ID_TOKEN_REQUEST_TOKEN', ''))"
    robot(house, secrets={}, client_secret=f"${{cmd:{json.dumps([sys.executable, '-c', script])}}}")

    resolved = Vault.open(env=house.env).resolve("x").oauth
    assert resolved is not None and Secret("secret") == resolved.client_secret


def test_a_reference_that_has_gone_is_named_when_it_is_needed(house: House) -> None:
    """A variable that was unset meanwhile is exit 8 with its name; a token that still works needs it not."""
    key = SigningKey("ES256")
    house.issuer.trust("https://ci.example", key.jwk)
    house.env["CI_JWT"] = workload(house, key, 1)
    house.add(kind="jwt_bearer", issuer=house.issuer.issuer, assertion="${env:CI_JWT}")
    session = house.session()
    session.list_tools()
    house.age(60, at_server=False)
    del house.env["CI_JWT"]

    session.list_tools()
    house.issuer.ledger.revoke_client("job-1")
    with pytest.raises(UnresolvedReferenceError, match="CI_JWT"):
        session.list_tools()


@pytest.mark.parametrize("verb", [("logout", "x"), ("remove", "x", "--yes")], ids=["logout", "remove"])
def test_a_grant_is_given_back_without_what_it_was_asked_for_with(house: House, verb: tuple[str, ...]) -> None:
    """The workload's JWT has gone with its job: its token is revoked all the same."""
    key = SigningKey("ES256")
    house.issuer.trust("https://ci.example", key.jwk)
    house.env["CI_JWT"] = workload(house, key, 1)
    house.add(kind="jwt_bearer", issuer=house.issuer.issuer, assertion="${env:CI_JWT}")
    house.session().list_tools()
    del house.env["CI_JWT"]

    done = subprocess.run(
        [sys.executable, "-m", "mcpvault", *verb], env=house.env, capture_output=True, text=True, timeout=60
    )

    assert (0, True) == (done.returncode, "access_token: " in done.stdout), done.stdout + done.stderr
    assert 1 == len(house.issuer.called("revoke"))


def test_a_refused_assertion_is_sent_once(house: House) -> None:
    """An assertion that nobody trusts is one request, and the error says what the server said."""
    house.env["CI_JWT"] = workload(house, SigningKey("ES256"), 1)
    house.add(kind="jwt_bearer", issuer=house.issuer.issuer, assertion="${env:CI_JWT}")

    with pytest.raises(AuthorizationFailedError, match="invalid_grant"):
        house.session().list_tools()

    assert 1 == len(house.issuer.called(JWT))


# An identity provider's word


def test_an_id_jag_for_each_token(
    build: Callable[..., House], fake_authorization_servers: Callable[..., FakeAuthorizationServer]
) -> None:
    """Enterprise-managed authorization: the subject token goes to the identity provider, its ID-JAG to the issuer."""
    provider = fake_authorization_servers(grant_types=(EXCHANGE,))
    at_provider = provider.register("sso", auth_method="client_secret_basic", grant_types=[EXCHANGE])
    provider.elsewhere["sso"] = "robot"
    house = build(policy={"grant_types": (JWT,)})
    house.issuer.trust(provider)
    client = house.issuer.register("robot", auth_method="client_secret_post", grant_types=[JWT])
    subject = provider.id_token("alice", "sso")
    house.add(
        kind="id_jag",
        client_id="robot",
        token_endpoint_auth_method="client_secret_post",
        issuer=house.issuer.issuer,
        idp_issuer=provider.issuer,
        idp_client_id="sso",
        secrets={
            "client_secret": str(client.secret),
            "idp_client_secret": str(at_provider.secret),
            "subject_token": subject,
        },
    )

    house.session().list_tools()
    house.age(3600, at_server=False)
    house.session().list_tools()

    assert 2 == len(provider.called(EXCHANGE))
    assert 2 == len({request.form["assertion"] for request in house.issuer.called(JWT)})
    assert not any(subject.encode() in request.body for request in [*house.issuer.requests, *house.server.requests])
