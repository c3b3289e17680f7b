"""What an answer of the token endpoint means: granted, dead, unjudged, refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_peers import NOW, answer, granted, leaks, refusal

from mcpvault.errors import AuthorizationFailedError, McpVaultError, RemoteProtocolError, ServerUnavailableError
from mcpvault.oauth import token_response
from mcpvault.oauth.wire import Answer
from mcpvault.secret import Secret
from mcpvault.tokens import TokenSet

ACCESS = "2YotnFZFEjr1zCsicMWpAA"
REFRESH = "tGzv3JOkF0XG5Qx2TlKWIA"
URN = "urn:ietf:params:oauth:token-type"
HTML = Answer(200, {"content-type": "text/html"}, b"<html>please log in to the hotel's network</html>")
PREVIOUS = TokenSet(Secret("old"), refresh_token=Secret(REFRESH), scope="read", requested_scope="read write")


def read(told: Answer, **options: Any) -> TokenSet:
    """Read an answer of linear's authorization server."""
    usual: dict[str, Any] = {"requested_scope": "read write", "now": NOW, "server_name": "linear"}
    return token_response.read_token(told, **{**usual, **options})


def test_the_example_of_rfc_6749_is_read() -> None:
    """§5.1: times become absolute, and the scope is the requested one where the server is silent."""
    told = answer({"access_token": ACCESS, "token_type": "Bearer", "expires_in": 3600, "refresh_token": REFRESH})

    expected = TokenSet(
        access_token=Secret(ACCESS),
        token_type="Bearer",
        refresh_token=Secret(REFRESH),
        issued_at=NOW,
        expires_at=NOW + 3600,
        scope="read write",
        requested_scope="read write",
    )
    assert expected == read(told)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (3600, 3600.0), ("3600", 3600.0), (3599.5, 3599.5), ("3.6e3", 3600.0), (0, None), (-1, None), (None, None),
        ("soon", None), (True, None), ([3600], None), (10**11, None), (10**400, None), ("nan", None), ("inf", None),
    ],
)  # fmt: skip
def test_a_lifetime_is_taken_in_any_spelling(told: object, expected: float | None) -> None:
    """A126: text and fractions count; 0 and nonsense mean that nobody knows, not that it is over."""
    expires_at = read(granted(expires_in=told)).expires_at

    assert expected == (None if expires_at is None else expires_at - NOW)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"refresh_token_expires_in": 15_811_200}, NOW + 15_811_200),
        ({"refresh_expires_in": 1800}, NOW + 1800),
        ({"refresh_expires_in": 0}, None),
        ({}, None),
    ],
    ids=["github", "keycloak", "keycloak, offline", "the standard"],
)
def test_some_servers_say_how_long_a_refresh_token_lives(told: dict[str, int], expected: float | None) -> None:
    """No specification has a word for it; the two that are met are read, and 0 means for ever."""
    assert expected == read(granted(**told)).refresh_expires_at


def test_a_number_that_json_does_not_know_is_no_lifetime() -> None:
    """Python reads NaN and numbers beyond its range; neither becomes a time."""
    for text in (b"NaN", b"1e999", b"-Infinity"):
        told = Answer(200, {}, b'{"access_token":"abc","token_type":"bearer","expires_in":' + text + b"}")

        assert read(told).expires_at is None


@pytest.mark.parametrize(
    ("told", "expected", "good"),
    [
        ("Bearer", "Bearer", True), ("bearer", "Bearer", True), ("BEARER", "Bearer", True), (None, "Bearer", True),
        ("DPoP", "DPoP", True), ("dpop", "DPoP", True), ("DPoP", "Bearer", False), ("Bearer", "DPoP", False),
        (None, "DPoP", False), ("mac", "Bearer", False), ("N_A", "Bearer", False), (7, "Bearer", False),
    ],
)  # fmt: skip
def test_a_token_is_of_the_type_that_was_asked_for(told: object, expected: str, good: bool) -> None:
    """RFC 6749 §7.1: any case of a known name; RFC 9449 §5: no bearer token where a proof was sent."""
    if good:
        assert expected == read(granted(token_type=told), expected_type=expected).token_type
        return
    with pytest.raises(RemoteProtocolError, match=f"expected '{expected}'") as caught:
        read(granted(token_type=told), expected_type=expected)
    assert [] == leaks(caught.value, [ACCESS])


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("read", "read"),
        ("", "read write"),
        (None, "read write"),
        (["a", "b"], "a b"),
        ("read\n\x1b[31mlogged in", "read ?[31mlogged in"),
        ([1], "read write"),
        (7, "read write"),
    ],
)
def test_the_granted_scope_may_be_another(told: object, expected: str) -> None:
    """RFC 6749 §3.3: what the server says counts, and what was requested is kept beside it."""
    tokens = read(granted(scope=told))

    assert (expected, "read write") == (tokens.scope, tokens.requested_scope)


def test_a_refresh_keeps_what_the_answer_does_not_replace() -> None:
    """A123: no new refresh token means the old one, no scope the old scope; a new one replaces."""
    kept = read(granted(), previous=PREVIOUS)
    replaced = read(granted(refresh_token="new", scope="write"), previous=PREVIOUS)

    assert (Secret(REFRESH), "read", "read write") == (kept.refresh_token, kept.scope, kept.requested_scope)
    assert (Secret("new"), "write", "read write") == (replaced.refresh_token, replaced.scope, replaced.requested_scope)


@pytest.mark.parametrize("told", [None, "", 7, ["x"]])
def test_a_refresh_token_is_not_to_be_expected(told: object) -> None:
    """A121: it may be missing, and what is no text is none."""
    assert read(granted(refresh_token=told)).refresh_token is None


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "a\r\nX-Evil: 1", "tök", "a\x00"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    """RFC 6749 appendix A.12: visible ASCII; anything else would break the request, or make two of it."""
    with pytest.raises(RemoteProtocolError, match="no header can carry"):
        read(granted(access_token=token))


CASES: list[tuple[str, Answer, str]] = [
    ("granted", granted(), "granted"),
    ("created", Answer(201, {}, granted().body), "granted"),
    ("no type", answer({"access_token": "a"}), "granted"),
    ("dead", refusal("invalid_grant"), "invalid_grant"),
    ("dead with 401", refusal("invalid_grant", status=401), "invalid_grant"),
    ("dead with 200", refusal("invalid_grant", status=200), "invalid_grant"),
    ("dead with 500", refusal("invalid_grant", status=500), "invalid_grant"),
    ("client", refusal("invalid_client", status=401), "invalid_client"),
    ("client not allowed", refusal("unauthorized_client"), "invalid_client"),
    ("error and token", answer({"error": "invalid_grant", "access_token": "a"}), "invalid_grant"),
    ("scope", refusal("invalid_scope"), "refused"),
    ("target", refusal("invalid_target"), "refused"),
    ("unknown code", refusal("bad_verification_code", status=200), "refused"),
    ("busy", refusal("temporarily_unavailable"), "transient"),
    ("broken", refusal("server_error"), "transient"),
    ("slow down", refusal("slow_down"), "transient"),
    ("5xx with another code", refusal("internal", status=503), "transient"),
    ("429 with another code", refusal("rate_limited", status=429), "transient"),
    ("5xx", Answer(502, {}, b"Bad Gateway"), "transient"),
    ("429", answer({}, 429), "transient"),
    ("captive portal", HTML, "transient"),
    ("html 403", Answer(403, {}, HTML.body), "transient"),
    ("redirect", Answer(302, {"location": "https://evil.example"}, b""), "transient"),
    ("empty", Answer(200, {}, b""), "transient"),
    ("not utf-8", Answer(200, {}, b'{"access_token":"\xff"}'), "transient"),
    ("list", answer(["access_token"]), "transient"),
    ("deep", Answer(200, {}, b"[" * 100_000), "transient"),
    ("5xx with a token", granted().replaced(status=500), "transient"),
    ("nothing in it", answer({}), "refused"),
    ("token of another type", answer({"access_token": 7}), "refused"),
    ("error of another type", answer({"error": {"code": 400}}, 400), "refused"),
    ("empty error", answer({"error": "", "access_token": "a"}), "granted"),
    ("gateway", answer({"message": "Forbidden"}, 403), "refused"),
]


@pytest.mark.parametrize(("told", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_answer_is_classified(told: Answer, expected: str) -> None:
    """A125: the error code is read before the status, and what nobody has judged kills nothing."""
    assert expected == token_response.classify(told)


@pytest.mark.parametrize("told", [case[1] for case in CASES if case[2] != "granted"])
def test_every_failure_becomes_one_of_three(told: Answer) -> None:
    """The class says who has to act: a person, nobody yet, or whoever runs the server."""
    kinds = {
        "transient": ServerUnavailableError,
        "invalid_grant": AuthorizationFailedError,
        "invalid_client": AuthorizationFailedError,
    }
    outcome = token_response.classify(told)
    with pytest.raises(McpVaultError) as caught:
        read(told)

    known = isinstance(json.loads(told.body).get("error"), str) if outcome == "refused" else False
    expected = kinds.get(outcome, AuthorizationFailedError if known else RemoteProtocolError)
    assert (expected, "linear") == (type(caught.value), caught.value.server)
    assert caught.value.message.startswith("linear: token request: the authorization server")


def test_a_refusal_says_what_the_server_said() -> None:
    """Code and description are quoted; control characters and secrets are not."""
    token = Secret(REFRESH)
    told = refusal("invalid_grant", f"token {token.reveal()}\r\nis\x1b[31m gone" + "!" * 300)
    with pytest.raises(AuthorizationFailedError) as caught:
        read(told)

    assert "invalid_grant" == caught.value.error
    assert caught.value.message.startswith(
        "linear: token request: the authorization server answered 'invalid_grant': 'token [redacted] is [31m gone!!"
    )
    assert len(caught.value.message) < 300
    assert [] == leaks(caught.value, [REFRESH])


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("invalid_target", "resource"),
        ("invalid_scope", "--scope"),
        ("invalid_client", "client_id"),
        ("invalid_client", "mcpvault set linear auth.client_secret --stdin"),
        ("unauthorized_client", "registration"),
        ("unsupported_grant_type", "grant"),
        ("access_denied", "consent"),
    ],
)
def test_the_hint_names_the_knob(error: str, word: str) -> None:
    """Who reads the hint knows what to change; an unknown code gets no guess."""
    assert word in str(token_response.refused("x", error, server_name="linear").hint)
    assert token_response.refused("x", "made_up").hint is None


def test_a_hint_of_the_caller_is_for_a_dead_grant() -> None:
    """What is wrong with an assertion does not explain why a scope was refused."""
    dead = token_response.failure(refusal("invalid_grant"), server_name="linear", hint="it expired")
    scope = token_response.failure(refusal("invalid_scope"), server_name="linear", hint="it expired")

    assert "it expired" == dead.hint
    assert "it expired" != scope.hint


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "17"}, 17.0),
        ({"retry_after": " 0 "}, 0.0),
        ({"retry_after": "Fri, 31 Dec 1999 23:59:59 GMT", "date": "Fri, 31 Dec 1999 23:59:29 GMT"}, 30.0),
        ({"retry_after": "Fri, 31 Dec 1999 23:59:29 GMT", "date": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0.0),
        ({"retry_after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"retry_after": "soon", "date": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"retry_after": "99999999999999999999"}, None),
        ({"retry_after": "-5"}, None),
        ({}, None),
    ],
)
def test_a_server_says_when_to_come_back(headers: dict[str, str], expected: float | None) -> None:
    """RFC 9110 §10.2.3: seconds, or a date that is counted from the answer's own, so that no clock is needed."""
    with pytest.raises(ServerUnavailableError) as caught:
        read(answer({}, 503, **headers))

    assert expected == caught.value.retry_after


def test_an_id_jag_is_issued_for_one_use() -> None:
    """E2: the JWT of a token exchange."""
    told = answer(
        {"access_token": "e.y.J", "issued_token_type": f"{URN}:id-jag", "token_type": "N_A", "expires_in": 300}
    )

    assert Secret("e.y.J") == token_response.read_id_jag(told, server_name="linear")


@pytest.mark.parametrize(
    "told",
    [
        {"access_token": "e.y.J", "token_type": "Bearer"},
        {"access_token": "e.y.J", "issued_token_type": f"{URN}:access_token", "token_type": "N_A"},
        {"access_token": "e.y.J", "issued_token_type": f"{URN}:id-jag", "token_type": "Bearer"},
        {"access_token": "e.y.J", "issued_token_type": f"{URN}:id-jag"},
    ],
    ids=["token", "other type", "bearer", "no type"],
)
def test_what_is_no_id_jag_goes_nowhere(told: dict[str, str]) -> None:
    """A token of the identity provider must not reach another server by mistake."""
    with pytest.raises(RemoteProtocolError, match="something else than an ID-JAG") as caught:
        token_response.read_id_jag(answer(told), server_name="linear")

    assert [] == leaks(caught.value, ["e.y.J"])


@given(
    st.binary()
    | st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(
        lambda v: json.dumps(v).encode()
    ),
    st.integers(100, 599),
)
def test_no_answer_raises_anything_else(body: bytes, status: int) -> None:
    """Whatever a server says, it is a token set or an error of the tree, and nothing comes along."""
    try:
        read(Answer(status, {}, body))
    except McpVaultError as error:
        assert (None, None) == (error.__context__, error.__cause__)
