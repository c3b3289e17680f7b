"""What each grant sends: the members that its specification names, and no others."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_peers import CALLBACK, ISSUER, RESOURCE

from mcpvault.oauth import grants
from mcpvault.oauth.wire import Form, form_encoded
from mcpvault.secret import Secret

URN = "urn:ietf:params:oauth"


def sent(form: Form) -> dict[str, str]:
    """Return what a server reads of *form*."""
    return dict(parse_qsl(form_encoded(form).decode("ascii"), keep_blank_values=True, strict_parsing=True))


def test_an_authorization_code_goes_with_its_verifier_and_redirect_uri() -> None:
    """RFC 6749 §4.1.3, RFC 7636 §4.5, RFC 8707 §2.2."""
    form = grants.authorization_code(
        Secret("SplxlOBeZQQYbYS6WxSbIA"), code_verifier=Secret("dBjft"), redirect_uri=CALLBACK, resource=RESOURCE
    )

    assert {
        "grant_type": "authorization_code",
        "code": "SplxlOBeZQQYbYS6WxSbIA",
        "code_verifier": "dBjft",
        "redirect_uri": CALLBACK,
        "resource": RESOURCE,
    } == sent(form)


def test_client_credentials_are_asked_for_by_name() -> None:
    """RFC 6749 §4.4.2 and C2; without a scope there is no scope member."""
    assert {"grant_type": "client_credentials", "scope": "mcp:read", "resource": RESOURCE} == sent(
        grants.client_credentials(scope="mcp:read", resource=RESOURCE)
    )
    assert {"grant_type": "client_credentials"} == sent(grants.client_credentials(scope=None, resource=None))


def test_a_workloads_jwt_is_the_assertion() -> None:
    """RFC 7523 §2.1: the grant type is a URN, the JWT the assertion, and no client is named."""
    assert {"grant_type": f"{URN}:grant-type:jwt-bearer", "assertion": "a.b.c", "resource": RESOURCE} == sent(
        grants.jwt_bearer(Secret("a.b.c"), scope=None, resource=RESOURCE)
    )


def test_a_device_code_is_asked_for_and_presented() -> None:
    """RFC 8628 §3.1 and §3.4."""
    assert {"scope": "example_scope", "resource": RESOURCE} == sent(
        grants.device_authorization(scope="example_scope", resource=RESOURCE)
    )
    assert {
        "grant_type": f"{URN}:grant-type:device_code",
        "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
    } == (sent(grants.device_code(Secret("GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS"), resource=None)))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("id_token", f"{URN}:token-type:id_token"),
        ("refresh_token", f"{URN}:token-type:refresh_token"),
        ("saml2", f"{URN}:token-type:saml2"),
        (f"{URN}:token-type:jwt", f"{URN}:token-type:jwt"),
    ],
)
def test_an_id_jag_is_asked_for_with_audience_and_resource(kind: str, expected: str) -> None:
    """E1: the audience is the authorization server's issuer, and the resource always goes with it."""
    form = grants.token_exchange(Secret("e.y.J"), kind, audience=ISSUER, resource=RESOURCE, scope="chat.read")

    assert {
        "grant_type": f"{URN}:grant-type:token-exchange",
        "requested_token_type": f"{URN}:token-type:id-jag",
        "audience": ISSUER,
        "resource": RESOURCE,
        "scope": "chat.read",
        "subject_token": "e.y.J",
        "subject_token_type": expected,
    } == sent(form)


def test_a_request_is_a_form_that_does_not_show_itself() -> None:
    """RFC 6749 §3.2: a POST of a form; what is secret in it stays out of its repr."""
    ask = grants.post(
        f"{ISSUER}/token",
        {"code": Secret("SplxlOBe")},
        {"Authorization": Secret("Basic eDp5")},
        purpose="token request",
    )

    assert ("POST", f"{ISSUER}/token", b"code=SplxlOBe") == (ask.method, ask.url, ask.body)
    assert {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Basic eDp5",
    } == ask.headers
    assert "SplxlOBe" not in repr(ask)
    assert "eDp5" not in repr(ask)


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=5))
def test_a_form_arrives_as_it_was(members: dict[str, str]) -> None:
    """Whatever a value holds, secret or not, it is decoded as it was encoded."""
    form: Form = {name: Secret(value) if len(value) % 2 else value for name, value in members.items()}

    assert members == dict(parse_qsl(form_encoded(form).decode("ascii"), keep_blank_values=True))


def test_a_value_that_is_no_text_raises_nothing() -> None:
    """A lone surrogate out of an environment variable would raise an error that carries the secret."""
    assert b"assertion=a%3Fb" == form_encoded({"assertion": Secret("a\udc80b")})
