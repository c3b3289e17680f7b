"""Scopes: what is asked for first, what is added, and when asking ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault.oauth.scope import Attempts, covers, initial, permitted, step_up, withheld
from mcpvault.tokens import AuthorizationServer, Registration

NAMES = st.lists(st.sampled_from(["a", "b", "c", "files:read", "offline_access"]), max_size=5)


def server(*scopes_supported: str) -> AuthorizationServer:
    """Return an authorization server that lists these scopes."""
    return AuthorizationServer(
        issuer="https://as.example",
        token_endpoint="https://as.example/token",
        scopes_supported=scopes_supported or None,
    )


def first(
    configured: str | None = None,
    challenge: str | None = None,
    resource: tuple[str, ...] | None = None,
    *supported: str,
    wants_refresh: bool = True,
) -> str | None:
    """Return the scopes of a first request."""
    return initial(
        configured=configured,
        challenge_scope=challenge,
        resource_scopes=resource,
        server=server(*supported),
        wants_refresh=wants_refresh,
    )


@pytest.mark.parametrize(
    ("configured", "challenge", "resource", "expected"),
    [
        pytest.param("mine", "theirs", ("r",), "mine", id="the entry's"),
        pytest.param(None, "files:read a", ("r",), "files:read a", id="the challenge's"),
        pytest.param(None, None, ("mcp:basic", "mcp:read"), "mcp:basic mcp:read", id="all of the resource's"),
        pytest.param(None, None, None, None, id="none: the parameter is left out"),
        pytest.param(None, None, (), None, id="the resource has none"),
        pytest.param(None, " ", ("r",), "r", id="a challenge without scopes is as good as none"),
        pytest.param("", "theirs", ("r",), None, id="an entry can leave the parameter out"),
        pytest.param(None, "b a b", None, "b a", id="each scope once"),
    ],
)
def test_where_the_first_scopes_come_from(
    configured: str | None, challenge: str | None, resource: tuple[str, ...] | None, expected: str | None
) -> None:
    """Entry, challenge, resource, nothing: the first that says something decides alone (A12, A100)."""
    assert expected == first(configured, challenge, resource)


def test_the_authorization_servers_own_list_is_never_asked_for() -> None:
    """What a server supports is not what a client needs (A101)."""
    assert first(None, None, None, "admin", "offline_access") is None


def test_offline_access_is_added_where_the_server_lists_it() -> None:
    """MCP: MAY be added when the authorization server's metadata contains it (A102)."""
    assert "a offline_access" == first(None, "a", None, "a", "offline_access")
    assert "r offline_access" == first(None, None, ("r",), "offline_access")
    assert "offline_access a" == first(None, "offline_access a", None, "offline_access")


@pytest.mark.parametrize("supported", [(), ("a",), ("offline_access:all",)])
def test_offline_access_is_not_asked_of_a_server_that_does_not_list_it(supported: tuple[str, ...]) -> None:
    """Elsewhere it is an unknown scope."""
    assert "a" == first(None, "a", None, *supported)


def test_offline_access_is_not_added_without_need() -> None:
    """Not without use for a refresh token, not to an entry's own scopes, and not where it would stand alone."""
    assert "a" == first(None, "a", None, "offline_access", wants_refresh=False)
    assert "a" == first("a", None, None, "offline_access")
    assert first(None, None, None, "offline_access") is None


@pytest.mark.parametrize(
    ("requested", "challenge", "expected"),
    [
        ("files:read", "files:write", "files:read files:write"),
        ("a b", "b c a", "a b c"),
        (None, "a", "a"),
        ("a", None, "a"),
        (None, None, ""),
        ("a  b", "", "a b"),
    ],
)
def test_more_scopes_join_those_asked_for_before(requested: str | None, challenge: str | None, expected: str) -> None:
    """Step-up is the union, in the order of first mention (A104)."""
    assert expected == step_up(requested, challenge)


@given(NAMES, NAMES)
def test_stepping_up_loses_and_repeats_nothing(requested: list[str], challenge: list[str]) -> None:
    """All old and new scopes are there once, and doing it again changes nothing."""
    union = step_up(" ".join(requested), " ".join(challenge))

    assert set(requested) | set(challenge) == set(union.split())
    assert len(set(union.split())) == len(union.split())
    assert union == step_up(union, " ".join(challenge))


def test_the_same_scopes_are_not_asked_for_twice() -> None:
    """Who got them and is refused all the same will be refused again (A105)."""
    attempts = Attempts()

    assert attempts.allow("https://mcp.example", "tools/call x", "a b")
    assert not attempts.allow("https://mcp.example", "tools/call x", "b a")
    assert attempts.allow("https://mcp.example", "tools/call x", "a b c")


def test_asking_ends_after_three_attempts() -> None:
    """It is tried "no more than a few times", whatever the server thinks of next."""
    attempts = Attempts()

    allowed = [attempts.allow("https://mcp.example", "tools/call x", f"scope{number}") for number in range(50)]

    assert [True] * 3 + [False] * 47 == allowed


def test_attempts_are_counted_by_resource_and_operation() -> None:
    """One operation that is refused leaves the others, and other servers, alone."""
    attempts = Attempts(1)

    assert attempts.allow("https://mcp.example", "tools/call x", None)
    assert not attempts.allow("https://mcp.example", "tools/call x", "a")
    assert attempts.allow("https://mcp.example", "tools/call y", "a")
    assert attempts.allow("https://other.example", "tools/call x", "a")


def registered(scope: str | None, granted_scope: str | None) -> Registration:
    """Return a client that asked for *scope*, and was registered for *granted_scope*."""
    return Registration(
        issuer="https://as.example", client_id="c", source="dynamic", scope=scope, granted_scope=granted_scope
    )


@pytest.mark.parametrize(
    ("asked", "given", "wanted", "expected"),
    [
        pytest.param("a b c", "c a", "c b a", "c a", id="the overlap, in the order in which it is wanted"),
        pytest.param("a b", "b a x", "a  b", "a  b", id="more than was asked for changes nothing, not even a space"),
        pytest.param("a b", "x", "a b", "a b", id="an empty overlap: all of it"),
        pytest.param("a b", "a", "a c", "a c", id="nobody has said no to what was never asked for"),
        pytest.param("a b", None, "a b", "a b", id="kept by a version that did not look"),
        pytest.param(None, "a", "b", "b", id="nothing was asked for"),
        pytest.param("a b", "a", None, None, id="nothing is wanted"),
    ],
)
def test_what_a_client_may_ask_for(asked: str | None, given: str | None, wanted: str | None, expected: str) -> None:
    """What the server took out of its registration is left out (RFC 7591 §3.2.1)."""
    assert expected == permitted(wanted, registered(asked, given))
    assert wanted == permitted(wanted, None)


def test_what_was_taken_away_is_named() -> None:
    """In the order of what is wanted, and nothing of what was never asked for."""
    assert "c b" == withheld("c d b a", registered("a b c", "a"))
    assert "" == withheld("a b", registered("a b", None)) == withheld("a", None)


def test_a_client_covers_what_it_asked_to_be_registered_for() -> None:
    """Not what it was given: who never gives all of it would register a client with every login."""
    assert covers(registered("a b", "a"), "b a")
    assert covers(registered(None, None), None)
    assert not covers(registered("a", "a b"), "a b")
