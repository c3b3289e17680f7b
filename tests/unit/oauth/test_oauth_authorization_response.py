"""Which authorization responses are believed, and in which order they are judged."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_peers import CALLBACK, CODE, ISSUER, NOW, leaks, pending

from mcpvault.errors import AuthorizationFailedError, IssuerMismatchError, McpVaultError, UsageError
from mcpvault.login import state_of
from mcpvault.oauth import authorization
from mcpvault.oauth.authorization import Pending
from mcpvault.secret import Secret


def response(request: Pending, **members: str | None) -> str:
    """Return the URL of a response to *request*: a code and the right state, with *members* set or left out."""
    told = {"code": CODE, "state": request.state.reveal(), **members}
    return f"{CALLBACK}?{urlencode({name: value for name, value in told.items() if value is not None})}"


def test_a_code_comes_back() -> None:
    """The ordinary case: code and state, and no iss where none was promised."""
    request = pending()

    assert Secret(CODE) == authorization.code_from(request, response(request), now=NOW + 5)


@pytest.mark.parametrize(
    ("iss", "verdict"),
    [(ISSUER, "refusal"), (None, "answer"), ("https://evil.example", "answer"), (f"{ISSUER}/", "answer")],
)
def test_only_the_issuers_own_error_is_a_refusal(iss: str | None, verdict: str) -> None:
    """A83: what another authorization server says, or one that hides, is an answer that nobody acts on."""
    request = pending(iss_required=True)
    assert verdict == authorization.answers(request, response(request, code=None, error="access_denied", iss=iss))
    assert "answer" == authorization.answers(request, response(request, iss=iss))
    assert "" == authorization.answers(request, response(request, state="x", error="access_denied", iss=iss))


@pytest.mark.parametrize(
    ("required", "iss", "good"),
    [
        (True, ISSUER, True),
        (True, None, False),
        (True, "https://evil.example", False),
        (False, ISSUER, True),
        (False, "https://evil.example", False),
        (False, None, True),
        (False, "", False),
        (True, "", False),
        (True, f"{ISSUER}/", False),
        (True, "https://AS.example", False),
        (True, "https://as.example:443", False),
        (True, "https://as%2Eexample", False),
    ],
)
def test_iss_is_judged_as_the_table_says(required: bool, iss: str | None, good: bool) -> None:
    """A81, A82: the four rows of RFC 9207 §2.4 as MCP reads them; strings, and nothing is normalised."""
    request = pending(iss_required=required)
    redirected = response(request, iss=iss)
    if good:
        assert Secret(CODE) == authorization.code_from(request, redirected, now=NOW)
        return
    with pytest.raises(IssuerMismatchError) as caught:
        authorization.code_from(request, redirected, now=NOW)
    assert [] == leaks(caught.value, [CODE, request.state.reveal(), request.code_verifier.reveal()])


def test_the_examples_of_rfc_9207_are_read() -> None:
    """§2.1 and §2.2: the success and the error response of the RFC itself."""
    honest = pending(issuer="https://honest.as.example", iss_required=True, redirect_uri="https://client.example/cb")
    success = (
        "https://client.example/cb?code=x1848ZT64p4IirMPT0R-X3141MFPTuBX-VFL_cvaplMH58"
        "&state=ZWVlNDBlYzA1NjdkMDNhYjg3ZjUxZjAyNGQzMTM2NzI&iss=https%3A%2F%2Fhonest.as.example"
    )
    error = (
        "https://client.example/cb?error=access_denied&state=N2JjNGJhY2JiZjRhYzA3MGJkMzNmMDE5OWJhZmJhZjA"
        "&iss=https%3A%2F%2Fhonest.as.example"
    )

    code = authorization.code_from(
        honest.replaced(state=Secret("ZWVlNDBlYzA1NjdkMDNhYjg3ZjUxZjAyNGQzMTM2NzI")), success, now=NOW
    )
    with pytest.raises(AuthorizationFailedError) as caught:
        authorization.code_from(
            honest.replaced(state=Secret("N2JjNGJhY2JiZjRhYzA3MGJkMzNmMDE5OWJhZmJhZjA")), error, now=NOW
        )

    assert Secret("x1848ZT64p4IirMPT0R-X3141MFPTuBX-VFL_cvaplMH58") == code
    assert "access_denied" == caught.value.error


@pytest.mark.parametrize("iss", [None, "https://evil.example"], ids=["hidden", "other"])
def test_what_another_server_says_is_not_shown(iss: str | None) -> None:
    """A83: on mismatch neither error nor its description is acted on or displayed."""
    request = pending(iss_required=True)
    redirected = response(request, iss=iss, code=None, error="access_denied", error_description="call 555-0100")
    with pytest.raises(IssuerMismatchError) as caught:
        authorization.code_from(request, redirected, now=NOW)

    told = f"{caught.value.message} {caught.value.hint}"
    assert "access_denied" not in told
    assert "555" not in told


def test_a_refusal_is_told_with_its_code() -> None:
    """The error code is an attribute, the description is quoted on one line, and the hint says what to do."""
    request = pending()
    redirected = response(request, code=None, error="access_denied", error_description="not\r\ntoday\x1b[2J")
    with pytest.raises(AuthorizationFailedError) as caught:
        authorization.code_from(request, redirected, now=NOW)

    expected = "https://as.example: authorization: the authorization server answered 'access_denied': 'not today [2J'"
    assert ("access_denied", expected) == (caught.value.error, caught.value.message)
    assert "consent was refused" in str(caught.value.hint)


@pytest.mark.parametrize("members", [{"code": None, "error": "access_denied"}, {"iss": "https://evil.example"}])
def test_an_error_names_the_entry(members: dict[str, str | None]) -> None:
    """Somebody who logs in to several servers is told which of them it was."""
    request = pending()
    with pytest.raises(McpVaultError) as caught:
        authorization.code_from(request, response(request, **members), now=NOW, server="linear")

    assert ("linear", caught.value.message) == (caught.value.server, str(caught.value))
    assert caught.value.message.startswith(f"linear: {ISSUER}: ")


def test_an_error_beats_a_code() -> None:
    """A response with both is a refusal: the code may be anybody's."""
    request = pending()
    with pytest.raises(AuthorizationFailedError):
        authorization.code_from(request, response(request, error="server_error"), now=NOW)


@pytest.mark.parametrize("state", [None, "", "wrong", "SAME_IN_LOWER_CASE"], ids=["none", "empty", "wrong", "case"])
def test_a_response_to_another_request_is_discarded(state: str | None) -> None:
    """A73: without our state nothing in it counts, not even its error."""
    request = pending()
    told = request.state.reveal().swapcase() if state == "SAME_IN_LOWER_CASE" else state
    for member in ({}, {"error": "access_denied", "code": None}):
        with pytest.raises(UsageError, match="answers another request") as caught:
            authorization.code_from(request, response(request, **{**member, "state": told}), now=NOW)
        assert [] == leaks(caught.value, [CODE, request.state.reveal()])
    assert not authorization.answers(request, response(request, state=told))


@pytest.mark.parametrize("name", ["code", "state", "iss", "error", "anything"])
def test_a_parameter_that_stands_twice_is_refused(name: str) -> None:
    """A84: which of the two counts is anybody's guess, so neither does."""
    request = pending()
    redirected = f"{response(request, iss=ISSUER, error='x', anything='1')}&{name}=again"
    with pytest.raises(AuthorizationFailedError, match="twice") as caught:
        authorization.code_from(request, redirected, now=NOW)

    assert [] == leaks(caught.value, [CODE, request.state.reveal()])
    assert not authorization.answers(request, redirected)


def test_a_person_has_ten_minutes() -> None:
    """A73: later the request is not answered any more; a clock that was set back does no harm."""
    request = pending()

    assert Secret(CODE) == authorization.code_from(request, response(request), now=NOW + 600)
    assert Secret(CODE) == authorization.code_from(request, response(request), now=NOW - 86_400)
    with pytest.raises(AuthorizationFailedError, match="more than 10 minutes"):
        authorization.code_from(request, response(request), now=NOW + 601)


@pytest.mark.parametrize("code", [None, ""], ids=["none", "empty"])
def test_a_response_without_a_code_is_no_success(code: str | None) -> None:
    """Neither code nor error: the server answered, but nothing."""
    request = pending()
    with pytest.raises(AuthorizationFailedError, match="neither code nor error"):
        authorization.code_from(request, response(request, code=code), now=NOW)


@pytest.mark.parametrize(
    "form",
    [
        lambda url: url,
        lambda url: f"  {url}\n",
        lambda url: f'"{url}"',
        lambda url: f" '{url}'\n",
        lambda url: f"<{url}>",
        lambda url: f"{url}#_=_",
        lambda url: url.replace("http://127.0.0.1", "HTTP://127.0.0.1"),
        lambda url: url.partition("?")[2],
        lambda url: f"?{url.partition('?')[2]}",
        lambda url: f"{url}&iss=https://as.example",
        lambda url: f"{url.partition('?')[2]}&iss=https://as.example",
    ],
    ids=[
        "url",
        "space",
        "quoted",
        "single quotes",
        "angled",
        "fragment",
        "case",
        "query",
        "mark",
        "plain iss",
        "query with plain iss",
    ],
)
def test_a_pasted_response_is_read_in_any_form(form: Callable[[str], str]) -> None:
    """S47: the whole address or its query, as it comes out of an address bar."""
    request = pending()
    pasted = form(response(request))

    assert Secret(CODE) == authorization.code_from(request, pasted, now=NOW)
    assert authorization.answers(request, Secret(pasted))
    assert state_of(Secret(f'"{CALLBACK}?state=last"')) == Secret("last")


@pytest.mark.parametrize(
    ("uri", "shown"), [("https://app.example", "https://app.example/"), ("https://a.example/", "https://a.example")]
)
def test_an_empty_path_is_the_root(uri: str, shown: str) -> None:
    """A browser shows ``/`` where the redirect URI has no path."""
    request = pending(redirect_uri=uri)
    redirected = response(request).replace(CALLBACK, shown)

    assert Secret(CODE) == authorization.code_from(request, redirected, now=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", CODE, f"{ISSUER}/authorize?code={CODE}&state=x", f"{CALLBACK}/other?code={CODE}", CALLBACK,
        f"http://127.0.0.1:1/callback?code={CODE}", f"https://127.0.0.1:33418/callback?code={CODE}", "http://[",
        f"{CALLBACK}?{'&'.join(f'a{number}=1' for number in range(100))}&code={CODE}",
        f"{CALLBACK}?code=" + "x" * 20_000,
        f"{CALLBACK}#code={CODE}", f"javascript:/?code={CODE}",
    ],
)  # fmt: skip
def test_anything_else_is_not_the_response(text: str) -> None:
    """The person is told what to paste; what was pasted is not repeated."""
    request = pending()
    with pytest.raises(UsageError, match="not the URL that the browser was sent to") as caught:
        authorization.code_from(request, text, now=NOW)

    assert [] == leaks(caught.value, [CODE])
    assert CALLBACK in str(caught.value.hint)
    assert not authorization.answers(request, text)


@given(
    st.text()
    | st.text().map(lambda tail: f"{CALLBACK}?state=STATE&{tail}")
    | st.dictionaries(
        st.sampled_from(["code", "state", "iss", "error"]), st.sampled_from(["STATE", ISSUER, "x", ""])
    ).map(lambda told: f"{CALLBACK}?{urlencode(told)}")
)
def test_only_a_response_of_this_issuer_and_state_gives_a_code(redirected: str) -> None:
    """Whatever comes: a code with our state and our iss, or one of the tree's errors."""
    request = pending(state=Secret("STATE"), iss_required=True)
    try:
        code = authorization.code_from(request, redirected, now=NOW)
    except McpVaultError as error:
        assert (None, None) == (error.__context__, error.__cause__)
        return
    told = dict(parse_qsl(redirected.partition("?")[2].partition("#")[0]))
    assert ("STATE", ISSUER, code.reveal()) == (told["state"], told["iss"], told["code"])
    assert "error" not in told
    assert authorization.answers(request, redirected)
