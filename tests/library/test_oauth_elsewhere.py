"""A login on an application's own page: begun in one place, ended in another, once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from library_house import Consenting, House

from mcpvault import AuthState
from mcpvault.errors import (
    AuthorizationFailedError,
    AuthorizationRequiredError,
    ConfigurationError,
    IssuerMismatchError,
    ServerUnavailableError,
)
from mcpvault.oauth_entry import sealing_of
from mcpvault.secret import Secret
from mcpvault.state.pending import PendingStore

PAGE = "http://127.0.0.1:8200/oauth/done"
ENDS = "import sys, mcpvault; mcpvault.connect('x').complete_authorization(sys.stdin.read())"


def elsewhere(house: House, program: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run *program* in another process of the same user."""
    return subprocess.run(
        [sys.executable, "-c", program], env=house.env, input=text, capture_output=True, text=True, timeout=60
    )


def test_one_process_begins_and_ends(house: House) -> None:
    """The URL names the page; its answer ends the login, and the session is ready."""
    session = house.session()

    url = session.authorization_url(PAGE)
    assert AuthState.AUTHENTICATING is session.state
    redirected = house.issuer.follow(url)
    assert redirected.startswith(f"{PAGE}?")
    session.complete_authorization(redirected)

    assert [AuthState.AUTHENTICATING, AuthState.READY] == house.events
    assert 6 == len(session.list_tools())
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert ("S256", PAGE, house.server.url) == (
        query["code_challenge_method"],
        query["redirect_uri"],
        query["resource"],
    )


def test_another_process_ends_it_once(house: House) -> None:
    """What is needed waits sealed in the state; the second use of the same address is refused, everywhere."""
    redirected = house.issuer.follow(house.session().authorization_url(PAGE))

    done = elsewhere(house, ENDS, redirected)
    assert (0, "") == (done.returncode, done.stderr)
    assert 6 == len(house.session().list_tools())

    house.asked()
    with pytest.raises(AuthorizationFailedError, match="used before"):
        house.session().complete_authorization(redirected)
    assert [] == house.asked()


def test_nothing_of_it_lies_about_in_clear(house: House) -> None:
    """The state has neither the verifier nor the state parameter in clear."""
    url = house.session().authorization_url(PAGE)

    kept = b"".join(path.read_bytes() for path in house.vault.state.path.iterdir() if path.is_file())
    assert b"pending" in kept
    for secret in parse_qs(urlsplit(url).query)["state"]:
        assert secret.encode() not in kept
    assert b"verifier" not in kept


def test_a_login_is_too_old_after_ten_minutes(house: House) -> None:
    """A pending login of eleven minutes ago is gone, and the error says to begin again."""
    url = house.session().authorization_url(PAGE)
    redirected = house.issuer.follow(url)
    put_back(house, url, 11 * 60)

    with pytest.raises(AuthorizationFailedError, match="too old") as caught:
        house.session().complete_authorization(redirected)

    assert "begin again" == caught.value.hint
    assert [] == house.issuer.called("authorization_code")


def put_back(house: House, url: str, seconds: int) -> None:
    """Let the login that *url* began be older than it is."""
    state = Secret(parse_qs(urlsplit(url).query)["state"][0])
    sealing = sealing_of(house.vault.file).fields()
    told = PendingStore(house.vault.state, "x", **sealing).take(state)
    assert told is not None
    PendingStore(house.vault.state, "x", **sealing, clock=lambda: time.time() - seconds).keep(state, told)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"state": "not-ours-at-all"}, AuthorizationFailedError, "no login waits"),
        ({"state": None}, AuthorizationFailedError, "no login waits"),
        ({"iss": "https://evil.example"}, IssuerMismatchError, "evil.example"),
        ({"iss": None}, IssuerMismatchError, "iss"),
        ({"code": None, "error": "access_denied"}, AuthorizationFailedError, "access_denied"),
    ],
    ids=["state", "no-state", "iss", "no-iss", "error"],
)
def test_a_wrong_answer_spends_no_code(
    house: House, wrong: dict[str, str | None], error: type[Exception], message: str
) -> None:
    """An answer with another state or issuer, or with an error, ends in no token request."""
    session = house.session()
    address = urlsplit(house.issuer.follow(session.authorization_url(PAGE)))
    query = {name: values[0] for name, values in parse_qs(address.query).items()} | wrong
    changed = address._replace(query=urlencode({name: value for name, value in query.items() if value is not None}))

    with pytest.raises(error, match=message):
        session.complete_authorization(changed.geturl())

    assert AuthState.FAILED is session.state
    assert [] == house.issuer.called("authorization_code")


def test_a_second_login_with_another_page_ends_with_its_own_client(house: House) -> None:
    """Beside a living grant a page of one's own registers another client, and its login replaces the grant."""
    house.log_in()
    before = house.record().registration

    session = house.session()
    redirected = house.issuer.follow(session.authorization_url(PAGE))
    assert before == house.record().registration  # an abandoned login costs nothing
    session.complete_authorization(redirected)

    after = house.record().registration
    assert before is not None and after is not None and before.client_id != after.client_id
    house.age(3600)
    assert 6 == len(house.session().list_tools())


def test_two_logins_may_wait_at_a_time(house: House) -> None:
    """Each of them is ended by its own address."""
    session = house.session()
    first, second = (house.issuer.follow(session.authorization_url(PAGE)) for _ in range(2))

    session.complete_authorization(first)
    session.complete_authorization(second)

    assert 2 == len(house.issuer.called("authorization_code"))
    assert 1 == len(house.issuer.called("register"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("auth.issuer", "https://other.example"),
        ("auth.client_id", "another"),
        ("auth.resource", "https://mcp.example.com"),
    ],
)
def test_an_entry_that_was_changed_meanwhile_refuses_the_answer(
    build: Callable[..., House], field: str, value: str
) -> None:
    """What was begun for another issuer, client or resource is not kept, and its code is not spent."""
    house = build()
    house.add(**({"issuer": house.issuer.issuer} if field != "auth.resource" else {}))
    redirected = house.issuer.follow(house.session().authorization_url(PAGE))
    with house.vault.change() as change:
        change.set_plain("x", field, value)

    with pytest.raises(AuthorizationFailedError, match="its entry says otherwise now") as caught:
        house.session().complete_authorization(redirected)

    assert "begin again" == caught.value.hint
    assert [] == house.issuer.called("authorization_code")


def test_the_page_must_be_named(house: House) -> None:
    """Without a redirect URI, in the call or the entry, the error says what to pass."""
    with pytest.raises(ConfigurationError, match="needs its address"):
        house.session().authorization_url()

    house.add("y", redirect_uri=PAGE)
    assert house.issuer.follow(house.session("y").authorization_url()).startswith(PAGE)


def test_a_login_that_cannot_begin_has_failed(house: House) -> None:
    """Without an authorization server that answers the state is ``failed``, and the error says to try again."""
    house.issuer.misbehave("bad-gateway", on="metadata")
    session = house.session()

    with pytest.raises(ServerUnavailableError):
        session.authorization_url(PAGE)

    assert [AuthState.FAILED] == house.events


def test_dpop_binds_the_code_across_processes(build: Callable[..., House]) -> None:
    """The key that the authorization URL names is there when another process spends the code."""
    house = build(policy={"dpop": "required", "dpop_nonce": True}, dpop_nonce=True)
    house.add(dpop=True)
    redirected = house.issuer.follow(house.session().authorization_url(PAGE))

    done = elsewhere(house, ENDS, redirected)
    assert (0, "") == (done.returncode, done.stderr)
    assert 6 == len(house.session().list_tools())


def test_a_script_in_between_is_told_to_wait_for_nobody(house: House) -> None:
    """While a login is pending, a run without a grant fails as it would without."""
    session = house.session()
    session.authorization_url(PAGE)

    with pytest.raises(AuthorizationRequiredError):
        session.list_tools()

    session.complete_authorization(house.issuer.follow(session.authorization_url(PAGE)))
    assert 6 == len(session.list_tools())


def test_a_provider_is_not_asked_twice(house: House) -> None:
    """A session with a provider that has completed a login elsewhere uses that."""
    person = Consenting()
    session = house.session(auth=person)
    session.complete_authorization(house.issuer.follow(session.authorization_url(PAGE)))
    session.list_tools()

    assert [] == person.visited
