"""
Attack: make OAuth's secrets appear: tokens, codes, verifiers, client secrets, assertions, the keys of proofs.

Whatever the authorization server answers, the exception that comes out, the logs at DEBUG, and every file but those
that hold them sealed are searched for windows of all that was given out and of all that was sent.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from threat_house import Person, Victim, issued_by, leaks
from walking import findings

from mcpvault.errors import McpVaultError
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer, SigningKey

Fake = FakeAuthorizationServer
SECRET = "secret-Wv58mQx21LrTs7Gh"
_SENT = ("code", "code_verifier", "client_secret", "client_assertion", "assertion", "subject_token", "refresh_token")

# What the token endpoint does, and with what: nothing of a request or a proper answer may come out of any of it.
ANSWERS: dict[str, dict[str, Any]] = {
    "bad-gateway": {},
    "redirect": {"to": "http://127.0.0.1:9/", "status": 307},
    "invalid-utf8": {},
    "deep-json": {},
    "close-before-answer": {},
    "close-mid-answer": {},
    "oauth-error": {"error": "invalid_grant", "description": "no\x1b[31m such\r\ngrant"},
    "members": {"token_type": "mac"},
}


def sent_to(*servers: Fake) -> list[str]:
    """Return the secrets in the requests that *servers* were sent, headers included."""
    requests = [request for server in servers for request in server.requests]
    forms = [text for request in requests for name in _SENT if (text := request.form.get(name))]
    return forms + [text for request in requests if (text := request.headers.get("authorization"))]


def clean(victim: Victim, error: BaseException | None, log: str, *issuers: Fake) -> None:
    """Look for all that was ever given out or sent: in the error, in the log, in every file of the home."""
    secrets = [SECRET, *(each for each in {*issued_by(*issuers), *sent_to(*issuers)} if len(each) >= 16)]
    assert len(secrets) > 1
    if error is not None:
        assert [] == findings(error, *secrets)
    assert [] == leaks(log, secrets)
    assert [] == [(str(path), found) for path, text in victim.files() if (found := leaks(text, secrets))]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("dpop", [False, True], ids=["bearer", "dpop"])
def test_a_login_shows_nothing(
    victim: Victim, server: FakeMcpServer, good: Fake, caplog: pytest.LogCaptureFixture, answer: str, dpop: bool
) -> None:
    """The code, its verifier, the client's secret and what came for them, whatever the token endpoint answers."""
    caplog.set_level(logging.DEBUG)
    good.policy.auth_methods = ("client_secret_post",)
    good.policy.dpop = "required" if dpop else "off"
    victim.add(server.url, dpop=dpop)
    good.misbehave(answer, on="authorization_code", **ANSWERS[answer])

    with pytest.raises(McpVaultError) as caught:
        victim.session(auth=Person()).authenticate()

    clean(victim, caught.value, caplog.text, good)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", f"{caught.value.message}{caught.value.hint}")


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_refresh_shows_nothing(
    victim: Victim, server: FakeMcpServer, good: Fake, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    """Both refresh tokens, the old and the one in the answer that could not be used."""
    caplog.set_level(logging.DEBUG)
    victim.add(server.url)
    victim.log_in()
    good.advance(7200)
    good.misbehave(answer, on="refresh_token", **ANSWERS[answer])

    with pytest.raises(McpVaultError) as caught:
        victim.vault.authorization("x").renew(expiring=None, adopt=False, timeout=10)

    clean(victim, caught.value, caplog.text, good)


def secret(good: Fake) -> dict[str, Any]:
    """Return an entry with a client secret, which is sent in the head."""
    good.register("robot", auth_method="client_secret_basic", secret=SECRET, grant_types=["client_credentials"])
    return {"kind": "client_credentials", "client_id": "robot", "secrets": {"client_secret": SECRET}}


def assertion(good: Fake) -> dict[str, Any]:
    """Return an entry with a workload's own JWT."""
    return {"kind": "jwt_bearer", "secrets": {"assertion": f"eyJhbGciOiJFUzI1NiJ9.{SECRET}.c2lnbmF0dXJl"}}


def key(good: Fake) -> dict[str, Any]:
    """Return an entry with a private key."""
    pem = SigningKey("ES256").pem
    return {"kind": "client_credentials", "client_id": "robot", "secrets": {"private_key": pem}}


@pytest.mark.parametrize("answer", ["bad-gateway", "close-before-answer", "oauth-error", "members"])
@pytest.mark.parametrize("proof", [secret, assertion, key])
def test_a_machine_shows_nothing(
    victim: Victim,
    server: FakeMcpServer,
    good: Fake,
    caplog: pytest.LogCaptureFixture,
    answer: str,
    proof: Callable[[Fake], dict[str, Any]],
) -> None:
    """What proves who the machine is, in the head or the body, whatever the token endpoint answers."""
    caplog.set_level(logging.DEBUG)
    entry = proof(good)
    victim.add(server.url, issuer=good.issuer, **entry)
    good.misbehave(answer, on="token", **ANSWERS[answer])

    with pytest.raises(McpVaultError) as caught:
        victim.session().list_tools()

    pem = entry["secrets"].get("private_key", "")
    assert [] == leaks(caplog.text, [line for line in pem.splitlines() if len(line) > 40])
    clean(victim, caught.value, caplog.text, good)


def test_a_whole_life_shows_nothing(
    victim: Victim, server: FakeMcpServer, good: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    """Login, call, expiry, refresh, another, logout: nothing is in the log, and on disk all is sealed."""
    caplog.set_level(logging.DEBUG)
    good.policy.auth_methods = ("client_secret_basic",)
    victim.add(server.url)
    victim.log_in()
    good.advance(7200)
    assert 6 == len(victim.session().list_tools())
    victim.vault.authorization("x").renew(expiring=None, adopt=False, timeout=10)
    clean(victim, None, caplog.text, good)
    assert 2 == good.redemptions

    assert ["revoked", "revoked"] == [each.outcome for each in victim.vault.authorization("x").logout(timeout=10)]
    clean(victim, None, caplog.text, good)
