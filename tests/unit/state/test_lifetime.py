"""What logins, refreshes and refusals teach about how long a grant lasts, and how its issuer treats refresh tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from token_samples import CLIENT, LIFE, NOON, SERVER, House

from mcpvault.errors import AuthorizationRequiredError
from mcpvault.state.grants import grant, same_login, withdraw
from mcpvault.state.record import Lifetime

EXPIRED, DAY, WEEK = LIFE + 1, 86_400, 7 * 86_400


def known(house: House) -> Lifetime:
    """Return what is on disk."""
    lifetime = house.record().lifetime
    assert lifetime is not None
    return lifetime


def refresh(house: House, *script: str) -> Lifetime:
    """Let the access token end, and refresh as *script* says."""
    house.clock.move(EXPIRED)
    house.server.script = [*script]
    house.current()
    return known(house)


def die(house: House, after: float) -> Lifetime:
    """Let the server forget its grants and *after* some seconds be asked."""
    house.clock.move(after)
    house.server.revoked = True
    with pytest.raises(AuthorizationRequiredError):
        house.current()
    return known(house)


def test_a_refresh_shows_whether_tokens_are_replaced(house: House) -> None:
    """Before the first nobody knows; a server that sends none keeps the one it has."""
    assert Lifetime(begun=int(NOON)) == known(house)
    assert refresh(house).rotates is True
    assert refresh(house, "keep").rotates is False


def test_two_logins_are_told_apart_even_in_one_second(house: House) -> None:
    """What a rotation has set aside is of another login, however quickly that came."""
    first = house.record()
    house.login()

    assert not same_login(first, house.record())


def test_a_lost_answer_shows_who_forgives(house: House) -> None:
    """A second redemption that is granted says yes, one that is refused says no; a login forgets neither."""
    house.server.grace = True
    assert refresh(house, "lose").forgives is True

    house.server.grace = False
    house.clock.move(EXPIRED)
    house.server.script = ["lose"]
    with pytest.raises(AuthorizationRequiredError):
        house.current()
    assert (False, None) == (known(house).forgives, known(house).idle)
    house.login()
    assert (False, True) == (known(house).forgives, known(house).rotates)


def test_a_grant_that_fell_asleep_is_a_lesson(house: House) -> None:
    """The next one is to be used sooner than that; where it wakes after a longer sleep, the lesson was wrong."""
    assert (WEEK, WEEK) == ((dead := die(house, WEEK)).idle, dead.age)
    house.login()
    used = int(house.clock())
    assert (used + WEEK, None) == (known(house).needs_refresh(used), known(house).needs_person())

    house.clock.move(WEEK + 2)
    house.current()
    assert None is known(house).needs_refresh(house.clock())


def test_a_grant_that_ended_in_use_is_another(house: House) -> None:
    """It lasted so long however often it was used: the next needs a login by then, unless it outlives that, too."""
    refresh(house)
    house.clock.move(9 * DAY)
    house.current()
    assert EXPIRED == die(house, EXPIRED).idle
    house.login()
    ends = int(house.clock()) + 9 * DAY + 2 * EXPIRED
    assert (None, ends) == (known(house).needs_refresh(house.clock()), known(house).needs_person())

    house.clock.move(10 * DAY)
    house.current()
    assert None is known(house).needs_person()


def test_a_grant_that_was_ended_at_once_teaches_nothing(house: House) -> None:
    """Somebody has revoked it: a day is the least that is taken for a rule."""
    die(house, EXPIRED)
    house.login()
    assert (None, None) == (known(house).needs_refresh(house.clock()), known(house).needs_person())


@pytest.mark.parametrize("moved", [True, False])
def test_an_end_that_the_server_tells_is_believed(moved: bool) -> None:
    """Where a refresh moves it, a refresh in time is what is needed; where not, a login. The log of the dead yields."""
    told = Lifetime(begun=int(NOON), ends=int(NOON) + WEEK, extends=moved, idle=2 * DAY, age=3 * DAY)
    expected = (int(NOON) + WEEK, None) if moved else (None, int(NOON) + WEEK)
    assert expected == (told.needs_refresh(NOON), told.needs_person())


def test_another_issuer_is_not_judged_by_this_one(tmp_path: Path) -> None:
    """A logout keeps what was learned, a login elsewhere begins anew."""
    house = House(tmp_path)
    refresh(house)
    withdraw(house.store)
    assert Lifetime(rotates=True) == known(house)

    other = SERVER.replaced(issuer="https://other.example")
    tokens = house.server.login().replaced(refresh_expires_at=house.clock() + DAY)
    grant(house.store, tokens, server=other, registration=CLIENT, resource=None)
    assert Lifetime(begun=int(house.clock()), ends=int(house.clock() + DAY)) == known(house)
