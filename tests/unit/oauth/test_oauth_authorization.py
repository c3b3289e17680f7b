"""The authorization URL: what it says, and to whom nobody is sent."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_peers import CALLBACK, ISSUER, NOW, RESOURCE, begun, pending, registration, server

from mcpvault.errors import ConfigurationError, IssuerMismatchError, RemoteProtocolError
from mcpvault.oauth import authorization

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
# RFC 7636 appendix B
OCTETS = bytes.fromhex("7418dfb49799e0254ffa607dd8adbbba16d4254d69d6bff05b58055853848d79")


def test_the_url_says_all_that_a_request_needs() -> None:
    """RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2: nothing more, nothing twice."""
    url, request = begun()

    assert f"{ISSUER}/authorize" == url.partition("?")[0]
    assert [
        ("response_type", "code"),
        ("client_id", "s6BhdRkqt3"),
        ("redirect_uri", CALLBACK),
        ("scope", "read"),
        ("state", request.state.reveal()),
        ("code_challenge", parse_qsl(url)[5][1]),
        ("code_challenge_method", "S256"),
        ("resource", RESOURCE),
    ] == parse_qsl(urlsplit(url).query, strict_parsing=True)
    assert (ISSUER, RESOURCE, "read", NOW, False) == (
        request.issuer,
        request.resource,
        request.scope,
        request.created_at,
        request.iss_required,
    )


def test_the_challenge_is_the_one_of_rfc_7636() -> None:
    """Appendix B: its octets become its verifier and its challenge."""
    url, request = begun(random_bytes=lambda size: OCTETS[:size])

    assert "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" == request.code_verifier.reveal()
    assert "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" == dict(parse_qsl(url))["code_challenge"]


def test_state_and_verifier_are_fresh_and_long() -> None:
    """A70, A73: 256 bits each, other ones for every request, and the verifier is not in the URL."""
    made = [begun() for _ in range(20)]

    values = {secret.reveal() for _, request in made for secret in (request.state, request.code_verifier)}
    assert 40 == len(values)
    assert {32} == {len(base64.urlsafe_b64decode(value + "=")) for value in values}
    assert not any(request.code_verifier.reveal() in url for url, request in made)


@given(client_id=TEXT, scope=TEXT, resource=TEXT, extra=st.dictionaries(st.text("xyz", min_size=1), TEXT, max_size=3))
def test_what_is_asked_for_arrives(client_id: str, scope: str, resource: str, extra: dict[str, str]) -> None:
    """Whatever the values hold, a server decodes them as they were, and nothing changes another parameter."""
    client = registration(client_id=client_id)

    url, _ = begun(registration=client, scope=scope, resource=resource, extra=extra)

    told = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True))
    assert {"client_id": client_id, "scope": scope, "resource": resource, **extra}.items() <= told.items()
    assert url.isascii()
    assert " " not in url


def test_what_is_not_known_is_not_sent() -> None:
    """A100: no scope, no parameter; a server of 2025-03-26 gets no resource."""
    told = dict(parse_qsl(begun(scope=None, resource=None)[0]))

    assert set() == {"scope", "resource", "prompt", "dpop_jkt"} & told.keys()


def test_what_the_client_is_not_registered_for_is_not_asked_for() -> None:
    """The request remembers what was wanted; a consent page is asked for only on account of what is sent."""
    client = registration(scope="read write offline_access", granted_scope="write read")

    url, request = begun(registration=client, scope="read offline_access write")

    told = dict(parse_qsl(urlsplit(url).query))
    assert ("read write", None, "read offline_access write") == (told["scope"], told.get("prompt"), request.scope)


def test_the_endpoints_own_query_is_kept() -> None:
    """RFC 6749 §3.1: what the endpoint's URL already says stays, byte for byte."""
    url, _ = begun(server=server(authorization_endpoint=f"{ISSUER}/authorize?tenant=a%2fb&x"))

    assert url.startswith(f"{ISSUER}/authorize?tenant=a%2fb&x&response_type=code&")


@pytest.mark.parametrize("name", ["client_id", "state", "request_uri", "resource"])
def test_an_endpoint_cannot_set_a_parameter_of_ours(name: str) -> None:
    """RFC 6749 §3.1: no parameter stands there twice; a server reads the first or the last, we cannot know which."""
    with pytest.raises(RemoteProtocolError, match=f"itself sets {name}"):
        begun(server=server(authorization_endpoint=f"{ISSUER}/authorize?{name}=evil"))


def test_a_person_is_asked_before_offline_access() -> None:
    """A102: OpenID Connect grants it only with consent; the entry may want another prompt."""
    assert "consent" == dict(parse_qsl(begun(scope="read offline_access")[0]))["prompt"]
    assert "login" == dict(parse_qsl(begun(scope="offline_access", extra={"prompt": "login"})[0]))["prompt"]
    assert "prompt" not in dict(parse_qsl(begun(scope="offline_access_ish")[0]))


def test_what_the_endpoint_prompts_for_is_not_said_twice() -> None:
    """RFC 6749 §3.1: no parameter twice; an endpoint with a prompt of its own keeps it, for offline_access as well."""
    asked = server(authorization_endpoint=f"{ISSUER}/authorize?prompt=login")
    url, _ = begun(server=asked, scope="read offline_access")
    assert ["login"] == [value for name, value in parse_qsl(urlsplit(url).query) if name == "prompt"]


def test_an_extra_parameter_cannot_replace_ours() -> None:
    """The entry adds; what makes the flow safe is not its to set."""
    with pytest.raises(ConfigurationError, match="code_challenge, state cannot be set by hand"):
        begun(extra={"state": "x", "code_challenge": "y", "login_hint": "z"})


def test_a_code_can_be_bound_to_a_key() -> None:
    """RFC 9449 §10: ``dpop_jkt`` goes with the request."""
    assert "thumbprint" == dict(parse_qsl(begun(dpop_jkt="thumbprint")[0]))["dpop_jkt"]


@pytest.mark.parametrize(
    ("methods", "assume", "assumed", "why"),
    [
        (None, False, False, "does not declare PKCE"),
        ((), False, False, "does not declare PKCE"),
        (("plain",), False, False, "offers PKCE by plain, not by S256"),
        (("plain",), True, False, "offers PKCE by plain, not by S256"),
    ],
)
def test_a_server_without_pkce_is_refused(
    methods: tuple[str, ...] | None, assume: bool, assumed: bool, why: str
) -> None:
    """A71: no declaration, no login; what a server declares is stronger than what the entry assumes."""
    with pytest.raises(ConfigurationError, match=why):
        begun(server=server(code_challenge_methods_supported=methods, assumed=assumed), assume_pkce_s256=assume)


@pytest.mark.parametrize("methods", [None, ()], ids=["absent", "empty"])
@pytest.mark.parametrize(("assume", "assumed"), [(True, False), (False, True)], ids=["entry", "2025-03-26"])
def test_pkce_can_be_vouched_for(methods: tuple[str, ...] | None, assume: bool, assumed: bool) -> None:
    """A72: an admin knows that the server checks S256; revision 2025-03-26 requires it of every server."""
    url, _ = begun(server=server(code_challenge_methods_supported=methods, assumed=assumed), assume_pkce_s256=assume)

    assert "code_challenge_method=S256" in url


@pytest.mark.parametrize(
    "endpoint",
    [
        "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://as.example/authorize",
        "https://as.example@evil.example/", "https://as.example/a b", "https://as.example/#x", "/authorize", "",
        "https://as.example/\n-e", "vscode://authorize",
    ],
)  # fmt: skip
def test_a_person_is_sent_to_no_other_url(endpoint: str) -> None:
    """A76: https, or http on loopback; nothing that a browser or a shell could make something else of."""
    with pytest.raises(RemoteProtocolError, match="authorization endpoint cannot be used"):
        begun(server=server(authorization_endpoint=endpoint))


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000/a", "http://localhost:9000/a", "http://[::1]:9000/a"])
def test_loopback_is_good_for_development(endpoint: str) -> None:
    """A76: http is for loopback."""
    assert begun(server=server(authorization_endpoint=endpoint))[0].startswith(f"{endpoint}?response_type=code&")


def test_a_server_may_have_no_authorization_endpoint() -> None:
    """RFC 8414 §2 allows it; then there is no browser flow, and the hint says what else there may be."""
    with pytest.raises(ConfigurationError, match="names no authorization_endpoint") as caught:
        begun(server=server(authorization_endpoint=None))

    assert "device flow" in str(caught.value.hint)


def test_a_client_stays_with_its_issuer() -> None:
    """A61: nothing is begun at another server than the client's."""
    with pytest.raises(IssuerMismatchError):
        begun(registration=registration(issuer="https://other.example"))


@pytest.mark.parametrize(
    "uri", ["http://app.example/cb", "myapp:/cb", "http://0.0.0.0:80/cb", "urn:ietf:wg:oauth:2.0:oob"]
)
def test_a_redirect_uri_is_loopback_or_https(uri: str) -> None:
    """A74: anything else hands the code to somebody else, or to nobody."""
    with pytest.raises(ConfigurationError, match="redirect_uri"):
        begun(redirect_uri=uri)


@pytest.mark.parametrize(
    ("known", "uri", "fits"),
    [
        ("http://127.0.0.1:1234/callback", "http://127.0.0.1:33418/callback", True),
        ("http://127.0.0.1/callback", "http://127.0.0.1:33418/callback", True),
        ("http://[::1]/callback", "http://[::1]:33418/callback", True),
        ("http://localhost:1/callback", "http://localhost:33418/callback", True),
        ("http://localhost:1/callback", "http://127.0.0.1:33418/callback", False),
        ("http://127.0.0.1:1234/other", "http://127.0.0.1:33418/callback", False),
        ("https://app.example/cb", "https://app.example/cb", True),
        ("https://app.example:444/cb", "https://app.example/cb", False),
    ],
)
def test_a_redirect_uri_is_one_of_the_clients(known: str, uri: str, fits: bool) -> None:
    """RFC 8252 §7.3: of a loopback redirect any port; of any other every character."""
    client = registration(redirect_uris=("https://elsewhere.example/", known))
    if fits:
        assert uri == begun(registration=client, redirect_uri=uri)[1].redirect_uri
    else:
        with pytest.raises(ConfigurationError, match="is registered for"):
            begun(registration=client, redirect_uri=uri)


def test_a_request_survives_being_sealed() -> None:
    """What is written is what is read, through JSON, with and without the parts that may be missing."""
    for request in (pending(), pending(scope=None, resource=None, iss_required=True)):
        told = json.loads(json.dumps(authorization.pending_json(request)))

        assert request == authorization.pending(told)
        assert request.code_verifier.reveal() not in repr(request)
        assert request.state.reveal() not in repr(request)
