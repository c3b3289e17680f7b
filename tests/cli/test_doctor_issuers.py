"""``doctor`` about authorization servers: whether a login could be begun, and how they treat refresh tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from examination import Found, examined, named, told
from oauth_house import OAuthHouse, oauth_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OAuthHouse]:
    """A home whose vault names a server that wants OAuth."""
    with oauth_house(tmp_path) as made:
        yield made


def metadata_asked(house: OAuthHouse) -> int:
    """Return how often the metadata were fetched since the last time."""
    asked = len(house.issuer.called("metadata"))
    house.issuer.requests.clear()
    return asked


def look(house: OAuthHouse, *words: str, code: int = 0) -> list[Found]:
    """Examine the home."""
    return examined(house, *words, code=code)  # type: ignore[arg-type]


def test_metadata_are_fetched_once_an_issuer(house: OAuthHouse) -> None:
    """Two entries, one issuer: one question, which carries nothing; offline nobody is asked."""
    house.log_in()
    with house.open().change() as change:
        change.add_server("again", {"url": house.server.url, "auth": {"kind": "oauth"}, "credential": "demo"})
    metadata_asked(house)

    found = look(house)

    assert ["ok"] == named(found, "issuer.metadata")
    assert {None} == {asked.headers.get("authorization") for asked in house.issuer.called("metadata")}
    assert 1 == metadata_asked(house)
    assert [] == named(look(house, "--offline"), "issuer.metadata")
    assert 0 == metadata_asked(house)


def test_metadata_that_cannot_be_had(house: OAuthHouse) -> None:
    """An issuer that is down is exit 4; calls may still work, and nobody could log in."""
    house.log_in()
    house.issuer.misbehave("bad-gateway", on="metadata")

    found = look(house, code=4)

    broken = told(found, "issuer.metadata")
    assert ("server_unavailable", 4) == (broken["kind"], broken["code"])
    assert "mcpvault probe" in broken["hint"]
    assert ["ok"] == named(found, "entry.reachable")


def test_before_the_first_login_a_pinned_issuer_is_asked(house: OAuthHouse) -> None:
    """Exit 3 says that a login is needed, and the metadata that one could be begun."""
    assert [] == named(look(house, code=3), "issuer.metadata")
    house.run("set", "demo", "auth.issuer", house.issuer.issuer)

    assert ["ok"] == named(look(house, code=3), "issuer.metadata")


def test_a_token_endpoint_that_has_moved(house: OAuthHouse) -> None:
    """Refreshes go where the login has learned: whoever moved it is told of, with the login that follows."""
    house.log_in()
    house.issuer.policy.metadata = {"token_endpoint": f"{house.issuer.issuer}/v2/token"}

    moved = told(look(house), "issuer.metadata")

    assert ("warn", "run: mcpvault login demo") == (moved["level"], moved["hint"])
    assert "/v2/token now" in moved["message"]


def test_what_refreshes_have_shown(house: OAuthHouse) -> None:
    """Unknown at first; then whether refresh tokens are replaced, and whether a lost answer was forgiven."""
    house.log_in()
    assert "at the first refresh" in refreshes(house)
    house.issuer.policy.rotation = False
    house.run("refresh", "demo")
    assert "keeps its refresh tokens" in refreshes(house)
    house.issuer.policy.rotation = True
    house.run("refresh", "demo")
    assert "has not been seen" in refreshes(house)
    house.issuer.policy.grace = 60
    lose_an_answer(house)
    house.run("refresh", "demo")
    assert "has forgiven a lost answer" in refreshes(house)


def refreshes(house: OAuthHouse) -> str:
    """Return what is said of refresh tokens."""
    [found] = [each for each in look(house, "--offline") if each["id"] == "issuer.refresh"]
    return str(found["message"])


def lose_an_answer(house: OAuthHouse) -> None:
    """Let the next answer to a refresh be lost after the server has replaced the token."""
    house.issuer.misbehave("close-before-answer", on="refresh_token", times=1, carried_out=True)


def test_a_login_that_a_lost_answer_has_cost(house: OAuthHouse) -> None:
    """A server without grace is warned of after the next login, too, with what to ask its operator for."""
    house.log_in()
    lose_an_answer(house)
    house.run("refresh", "demo", code=3)
    house.log_in()

    warned = told(look(house, "--offline"), "issuer.refresh")

    assert "warn" == warned["level"]
    assert "grace of 10 s" in warned["hint"]
