"""More scope: what is asked for when a server wants more, how often, and what the person or the script is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from library_house import Consenting, House

from mcpvault import AuthState
from mcpvault.errors import InsufficientScopeError


def asked_for(url: str) -> list[str]:
    """Return the scopes in an authorization URL."""
    return parse_qs(urlsplit(url).query)["scope"][0].split()


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """A house whose tools want a scope each, beyond ``read`` that everything needs."""
    built = build(scopes=["read"], required_scope="read", tool_scopes={"echo": "write", "add": "sum"})
    built.add()
    return built


def test_a_step_up_asks_for_the_union(house: House) -> None:
    """What was asked for stays, what the challenge names is added; the call that wanted it goes through."""
    person = Consenting()
    session = house.session(auth=person)

    session.list_tools()
    assert "a" == session.call_tool("echo", {"message": "a"}).text()
    assert "3" == session.call_tool("add", {"a": 1, "b": 2}).text()

    assert [["read"], ["read", "write"], ["read", "write", "sum"]] == [asked_for(url) for url in person.visited]
    assert "read write sum" == house.record().tokens.scope  # type: ignore[union-attr]
    assert AuthState.READY is session.state


def test_a_step_up_without_a_person_names_the_command(house: House) -> None:
    """The error has the command with all scopes; the grant is as good as before."""
    house.log_in()
    session = house.session()

    with pytest.raises(InsufficientScopeError, match="asks for 'read write'") as caught:
        session.call_tool("echo", {"message": "a"})

    assert 'mcpvault login x --scope "read write"' == caught.value.login_command
    assert AuthState.PENDING_AUTH is session.state
    assert 6 == len(session.list_tools())
    assert AuthState.READY is session.state
    house.log_in(scope="read write")
    assert "a" == house.session().call_tool("echo", {"message": "a"}).text()


def test_a_client_is_registered_anew_only_for_more_scope(house: House) -> None:
    """One that was registered for less is replaced by one for the union; one that was registered for enough is kept."""
    clients = []
    for scope in ("read", "read", "read write", "write", "read"):
        house.log_in(scope=scope)
        held = house.record().registration  # type: ignore[union-attr]
        assert held is not None
        clients.append((held.client_id, held.scope))

    (first, _), (less, narrow), (more, wide), (fourth, _), (fifth, _) = clients
    assert ("read", "read write") == (narrow, wide)
    assert first == less != more == fourth == fifth


def test_what_was_requested_outlives_the_process(house: House) -> None:
    """A later run asks for what was requested and not granted too, not only for what it holds (A104, A106)."""
    house.issuer.policy.granted_scope = "read"
    house.log_in(scope="read profile")

    with pytest.raises(InsufficientScopeError) as caught:
        house.session().call_tool("echo", {"message": "a"})

    assert 'mcpvault login x --scope "read profile write"' == caught.value.login_command


def test_what_was_asked_for_in_vain_is_not_advised_again(house: House) -> None:
    """Who grants less than was asked for is named, with what was granted; a login helps only who left something out."""
    house.issuer.policy.granted_scope = "read"
    house.log_in(scope="read write")

    with pytest.raises(InsufficientScopeError, match="was asked, and granted 'read'") as caught:
        house.session().call_tool("echo", {"message": "a"})

    again = 'run: mcpvault login x --scope "read write"'
    assert f"ask who runs it; if you left some out when you consented, {again}" == caught.value.hint


def test_a_server_that_wants_what_the_token_has_is_to_blame(house: House) -> None:
    """No login is advised: there is nothing that it could bring."""
    house.log_in(scope="read write")
    house.server.misbehave("forbidden", challenge='Bearer error="insufficient_scope", scope="write"')

    with pytest.raises(InsufficientScopeError, match="the token has all of that") as caught:
        house.session().call_tool("echo", {"message": "a"})

    assert (None, "ask who runs the server what it wants") == (caught.value.login_command, caught.value.hint)


def test_asking_comes_to_an_end(house: House) -> None:
    """A server that grants less than it was asked for is asked once; one that always wants more, three times."""
    house.issuer.policy.granted_scope = "read"
    person = Consenting()
    session = house.session(auth=person)
    session.list_tools()

    for _ in range(3):
        with pytest.raises(InsufficientScopeError):
            session.call_tool("echo", {"message": "a"})
    assert 2 == len(person.visited)

    for number in range(5):
        house.server.protection.tool_scopes = {"echo": f"level{number}"}  # type: ignore[union-attr]
        with pytest.raises(InsufficientScopeError):
            session.call_tool("echo", {"message": "a"})
    assert 4 == len(person.visited)


def test_threads_step_up_together(house: House) -> None:
    """One of them asks the person, the others take the token that came of it."""
    person = Consenting()
    session = house.session(auth=person)
    session.list_tools()

    with ThreadPoolExecutor(8) as threads:
        said = [*threads.map(lambda n: session.call_tool("echo", {"message": str(n)}).text(), range(8))]

    assert [str(n) for n in range(8)] == said
    assert [["read"], ["read", "write"]] == [asked_for(url) for url in person.visited]


def test_a_configured_scope_is_what_is_asked_for_first(house: House) -> None:
    """``auth.scope`` stands before the challenge and the metadata; the step-up adds to it."""
    house.add("y", scope="read profile", credential="y")
    person = Consenting()

    house.session("y", auth=person).call_tool("echo", {"message": "a"})

    assert [["read", "profile"], ["read", "profile", "write"]] == [asked_for(url) for url in person.visited]


def test_a_refresh_keeps_what_a_step_up_has_won(house: House) -> None:
    """After a step-up the refreshed token has its scope, and nobody is asked again."""
    house.session(auth=Consenting()).call_tool("echo", {"message": "a"})
    house.age(3600)

    assert "b" == house.session().call_tool("echo", {"message": "b"}).text()
    assert 1 == house.issuer.redemptions
