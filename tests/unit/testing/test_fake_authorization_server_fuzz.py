"""Whatever is sent to the fake authorization server, it answers: an error of its own would hide the client's."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_client import MCP, REDIRECT

from mcpvault.testing import Recorded, SigningKey
from mcpvault.testing.authorization import routes
from mcpvault.testing.authorization.clients import Client
from mcpvault.testing.authorization.issuer import PATHS, Issuer
from mcpvault.testing.authorization.policy import GRANTS, Policy

FORM = {"content-type": "application/x-www-form-urlencoded"}
_KEY = SigningKey("EdDSA")
_KEYS = st.text(max_size=5) | st.just("keys")
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from([MCP, REDIRECT, "http://[", "https://a:b/"])
)
_JSON = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner))
_MEMBERS = ["redirect_uris", "grant_types", "response_types", "jwks", "scope", "application_type", "client_name"]
_CLAIMS = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "resource", "scope"]
_signed = st.builds(
    lambda claims, typ: _KEY.sign(claims, typ=typ),
    st.dictionaries(st.sampled_from(_CLAIMS), _JSON | st.sampled_from(["https://ci.example", "c"])),
    st.sampled_from(["JWT", "oauth-id-jag+jwt", "dpop+jwt"]),
)
_NAMES = [
    "grant_type",
    "client_id",
    "client_secret",
    "code",
    "refresh_token",
    "device_code",
    "scope",
    "resource",
    "redirect_uri",
]
_NAMES += ["assertion", "client_assertion", "client_assertion_type", "subject_token", "token", "request", "user_code"]
_values = (
    st.sampled_from([*GRANTS, "c", MCP, "S256", "code", "", "http://[", "http://127.0.0.1:99999/x"])
    | st.text(max_size=12)
    | _signed
)
_forms = st.dictionaries(st.sampled_from(_NAMES), _values)
_headers = st.dictionaries(st.sampled_from(["authorization", "dpop", "cookie"]), st.text(max_size=12) | _signed)


def issuer() -> Issuer:
    """Return a server that does everything, with one client."""
    made = Issuer("", Policy(grant_types=GRANTS, dpop="accepted", client_id_metadata=True), lambda: 1000.0)
    made.origin = "http://127.0.0.1:1"
    made.trusted["https://ci.example"] = [_KEY.jwk]
    metadata = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [_KEY.jwk]}, "grant_types": [*GRANTS]}
    made.clients.add(Client("c", {**metadata, "redirect_uris": ["http://127.0.0.1/cb", "https://app.example/cb"]}))
    return made


def body(form: dict[str, str]) -> bytes:
    """Return *form* urlencoded."""
    from urllib.parse import urlencode

    return urlencode(form, errors="replace").encode()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(place=st.sampled_from(sorted(PATHS.values())), form=_forms, headers=_headers)
def test_no_form_breaks_the_server(place: str, form: dict[str, str], headers: dict[str, str]) -> None:
    """Every endpoint answers every form with a status of its own."""
    answer = routes.answer(issuer(), Recorded("POST", place, {**FORM, **headers}, body(form)))

    assert 200 <= answer.status < 500


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from(sorted(PATHS.values())), st.sampled_from(["GET", "POST", "PUT"]))
def test_no_bytes_break_the_server(data: bytes, place: str, method: str) -> None:
    """Neither does a body that is no form."""
    answer = routes.answer(issuer(), Recorded(method, place + "?a=%ff", FORM, data))

    assert 200 <= answer.status < 500


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(_MEMBERS), _JSON) | _JSON)
def test_no_registration_breaks_the_server(document: object) -> None:
    """A registration with members of the wrong types is refused."""
    kind = {"content-type": "application/json"}
    answer = routes.answer(issuer(), Recorded("POST", "/register", kind, json.dumps(document).encode()))

    assert answer.status in (201, 400)
