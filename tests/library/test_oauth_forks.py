"""Forked children of a process that holds tokens in its memory alone: one refresh token, and one who redeems it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from library_house import House
from pool_house import in_a_child

from mcpvault import MCPClient, Session
from mcpvault.errors import AuthorizationRequiredError
from mcpvault.testing import user_agent
from mcpvault.testing.authorization_server import REDIRECT_URI

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

LIFE = 3600


def without_a_vault(house: House) -> Session:
    """Return a session of an ``MCPClient``."""
    session = MCPClient({"mcpServers": {"x": {"url": house.server.url, "oauth": True}}}).session("x")
    house.closing.callback(session.close)
    return session


def with_persist_none(house: House) -> Session:
    """Return a session of an entry whose tokens are not to be written."""
    house.add(persist="none")
    return house.session()


def log_in(session: Session) -> None:
    """Log in on a page of the application's own."""
    url = session.authorization_url(redirect_uri=REDIRECT_URI)
    session.complete_authorization(user_agent.follow(url))


def echo(session: Session) -> str:
    """Return what a tool says, or what was in the way."""
    try:
        return session.call_tool("echo", {"message": "said"}).text()
    except AuthorizationRequiredError as error:
        return f"{error.message} | {error.hint} | {error.login_command}"


in_memory = pytest.mark.parametrize("opened", [without_a_vault, with_persist_none], ids=["no vault", "persist none"])


@in_memory
def test_children_leave_the_refresh_token_to_their_parent(
    build: Callable[..., House], opened: Callable[[House], Session]
) -> None:
    """They use the access token while it lives and then say what to do; the parent refreshes, once, and goes on."""
    house = build()
    session = opened(house)
    log_in(session)

    assert "said" == in_a_child(lambda: echo(session))
    house.issuer.advance(LIFE)
    for _ in range(3):
        said = in_a_child(lambda: echo(session))
        assert "in the memory of the process that forked this one" in said
        assert said.endswith('| log in after the fork, or keep the tokens on disk: in a vault, with persist "refresh" '
                             'or "all" | None')  # fmt: skip
    assert 0 == house.issuer.redemptions
    assert "said" == echo(session)
    assert "said" == in_a_child(lambda: echo(session))
    assert (1, 0, 0) == (house.issuer.redemptions, house.issuer.reuse_detected, house.issuer.families_revoked)


@in_memory
def test_a_child_logs_in_for_itself(build: Callable[..., House], opened: Callable[[House], Session]) -> None:
    """A grant of its own is refreshed in the child as anywhere, and its parent's is as good as before."""
    house = build()
    session = opened(house)
    log_in(session)

    def of_its_own() -> str:
        log_in(session)
        assert session._authorization is not None
        session._authorization.authorization.renew(expiring=None, adopt=False, timeout=20)
        return echo(session)

    house.issuer.advance(LIFE)
    assert "said" == in_a_child(of_its_own)
    assert "said" == echo(session)
    assert (2, 0, 0) == (house.issuer.redemptions, house.issuer.reuse_detected, house.issuer.families_revoked)


@in_memory
def test_a_child_revokes_nothing_of_its_parents(
    build: Callable[..., House], opened: Callable[[House], Session]
) -> None:
    """A logout in the child forgets its copy; the tokens stay good where they came from."""
    house = build()
    session = opened(house)
    log_in(session)
    assert session._authorization is not None
    authorization = session._authorization.authorization

    said = in_a_child(lambda: {each.outcome for each in authorization.logout(timeout=20)})
    assert "{'forgotten here; another process uses it'}" == said
    assert [] == house.issuer.called("revoke")
    assert "said" == echo(session)


def test_a_child_shares_the_refresh_token_that_is_on_disk(build: Callable[..., House]) -> None:
    """With ``persist = "refresh"`` it uses its copy of the access token, and then redeems under the lock."""
    house = build()
    house.add(persist="refresh")
    session = house.session()
    log_in(session)

    assert "said" == in_a_child(lambda: echo(session))
    assert 0 == house.issuer.redemptions
    house.issuer.advance(LIFE)
    assert "said" == in_a_child(lambda: echo(session))
    assert "said" == echo(session)
    assert (2, 0) == (house.issuer.redemptions, house.issuer.reuse_detected)
