"""A server that registers a client for less scope than it asked for (RFC 7591 §3.2.1), and refuses it the rest."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from library_house import Consenting, House

from mcpvault.errors import AuthorizationFailedError, InsufficientScopeError


def asked_for(url: str) -> str:
    """Return the scopes in an authorization URL, as they stand there."""
    return parse_qs(urlsplit(url).query)["scope"][0]


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """A house whose authorization server registers every client for ``read`` alone; ``echo`` wants ``write``."""
    policy = {"substituted": {"scope": "read"}, "say_scope": False}
    built = build(policy=policy, scopes=["write", "read"], required_scope="read", tool_scopes={"echo": "write"})
    built.add()
    return built


def test_what_the_server_makes_of_a_registration_is_asked_for(house: House) -> None:
    """Login asks for what the client may have; what was wanted, and what of it was registered, is kept beside it."""
    person = Consenting()

    house.session(auth=person).authenticate()

    record = house.record()
    assert record.tokens is not None and record.registration is not None
    assert ["read"] == [asked_for(url) for url in person.visited]
    assert ("read", "write read") == (record.tokens.scope, record.tokens.requested_scope)
    assert ("write read", "read") == (record.registration.scope, record.registration.granted_scope)
    assert 6 == len(house.session().list_tools())


def test_a_second_login_registers_nobody(house: House) -> None:
    """It goes by what was requested: who never gives all of it would see a new client with every login otherwise."""
    for scope in (None, None, "read write", "read"):
        house.log_in(scope=scope)

    assert [house.record().registration.client_id] == [client.client_id for client in house.issuer.clients]  # type: ignore[union-attr]


def test_where_nothing_would_be_left_all_is_asked_for(house: House) -> None:
    """No scope at all would mean the server's default; its refusal says what is wrong, and the grant stays."""
    house.log_in()
    person = Consenting()

    with pytest.raises(AuthorizationFailedError, match="invalid_scope"):
        house.session(auth=person).authenticate(scope="write")

    assert ["write"] == [asked_for(url) for url in person.visited]
    assert 6 == len(house.session().list_tools())


def test_a_step_up_that_no_login_can_serve_says_so(house: House) -> None:
    """Nobody is asked for what the client may not have, in this run or another: the error says who decides that."""
    person = Consenting()
    sessions = [house.session(auth=person) for _ in range(2)]

    for session in (*sessions, *sessions, house.session()):
        with pytest.raises(InsufficientScopeError, match="'write', for which http.* does not register this") as caught:
            session.call_tool("echo", {"message": "a"})
        assert caught.value.login_command is None
        assert "auth.client_id" in str(caught.value.hint)
        assert 6 == len(session.list_tools())

    assert (1, 1) == (len(person.visited), len(house.issuer.called("register")))


def test_a_step_up_beyond_the_registration_tries_once_more(house: House) -> None:
    """For scopes that nobody asked for yet a client is registered anew, once; the next process knows the outcome."""
    house.log_in(scope="read")
    person = Consenting()

    for session in (house.session(auth=person), house.session(auth=person), house.session()):
        with pytest.raises(InsufficientScopeError, match="does not register this client"):
            session.call_tool("echo", {"message": "a"})

    assert ["read"] == [asked_for(url) for url in person.visited]
    assert 2 == len([*house.issuer.clients])
    assert "read write" == house.record().tokens.requested_scope  # type: ignore[union-attr]


def test_a_client_that_is_let_do_more_steps_up(house: House) -> None:
    """A server that registers the client for more the next time is asked for that."""
    house.log_in(scope="read")
    house.issuer.policy.substituted = {"scope": "write read admin"}
    person = Consenting()

    assert "a" == house.session(auth=person).call_tool("echo", {"message": "a"}).text()

    assert ["read write"] == [asked_for(url) for url in person.visited]


def test_a_refresh_keeps_both_scopes(house: House) -> None:
    """A refresh asks for no scope: it keeps what was granted and what was wanted, and needs nobody."""
    house.log_in()
    house.age(3600)

    assert 6 == len(house.session().list_tools())

    tokens = house.record().tokens
    assert tokens is not None
    assert ("read", "write read", 1) == (tokens.scope, tokens.requested_scope, house.issuer.redemptions)


def test_a_login_on_a_page_of_the_callers_own(house: House) -> None:
    """``authorization_url`` asks for the same, and another process that ends the login knows what was wanted."""
    url = house.session().authorization_url(redirect_uri="http://127.0.0.1:8765/callback")
    house.session().complete_authorization(house.issuer.follow(url))

    tokens = house.record().tokens
    assert tokens is not None
    assert ("read", "read", "write read") == (asked_for(url), tokens.scope, tokens.requested_scope)
