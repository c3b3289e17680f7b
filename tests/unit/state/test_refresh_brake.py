"""The circuit breaker: shared by all processes, five minutes at most, and no business of a person who logs in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_samples import LIFE, House, access

from mcpvault.errors import (
    AuthorizationFailedError,
    ConnectFailedError,
    McpVaultError,
    ServerUnavailableError,
    TransportError,
)
from mcpvault.oauth.token_response import refused
from mcpvault.state import brake

# When


def told(place: str, code: str) -> McpVaultError:
    """Return the error for a refusal, as ``mcpvault.oauth`` words it."""
    return refused(place, code, server_name="linear")


def test_a_failing_server_is_asked_less_and_less(house: House) -> None:
    """In an hour of one attempt a second it is asked a dozen times and some, never less than every five minutes."""
    house.clock.move(LIFE + 1)
    house.server.script = ["http 503"] * 1000
    asked_at = []
    for _ in range(3600):
        before = house.server.asked
        with pytest.raises(ServerUnavailableError) as caught:
            house.current()
        assert 4 == caught.value.exit_code
        if house.server.asked > before:
            asked_at.append(house.clock())
        house.clock.move(1)
    pauses = [later - earlier for earlier, later in pairwise(asked_at)]
    assert 15 <= len(asked_at) <= 25
    assert pauses == sorted(pauses)
    assert brake.LONGEST == pauses[-1]


def test_the_breaker_is_shared(house: House) -> None:
    """What one process has run into, the next one need not."""
    house.clock.move(LIFE + 1)
    house.server.script = ["unreachable"]
    with pytest.raises(ConnectFailedError):
        house.current()
    with pytest.raises(ServerUnavailableError):
        house.current(store=house.again())
    assert 1 == house.server.asked


def test_the_breaker_says_what_went_wrong(house: House) -> None:
    """How often, what, and when to try again."""
    house.clock.move(LIFE + 1)
    house.server.script = ["unreachable"]
    with pytest.raises(ConnectFailedError):
        house.current()
    with pytest.raises(ServerUnavailableError, match="it failed 1 time, last with connect_failed") as caught:
        house.current()
    assert 1 == caught.value.retry_after


def test_an_issuer_that_stays_away_may_be_gone(house: House) -> None:
    """After five failures in a row the hint names it, and the login that helps then; an outage needs none."""
    house.clock.move(LIFE + 1)
    house.server.script = ["unreachable"] * 9
    hints = []
    for _ in range(5):
        for _ in range(2):  # by who asks, and in the pause after that
            with pytest.raises(TransportError) as caught:
                house.current()
            hints.append("as.example is gone for good, run: mcpvault login linear" in (caught.value.hint or ""))
        house.clock.move(100)

    assert [False] * 8 + [True] * 2 == hints
    house.server.script = []
    assert "access-0002-token" == access(house.current())


@pytest.mark.parametrize("code", ["invalid_client", "unsupported_grant_type", "bad_refresh_token"])
def test_a_refusal_is_told_again_in_the_pause(house: House, code: str) -> None:
    """Who comes later is told the same, exit 3 and the command, and not to try again; the server is asked once."""
    house.clock.move(LIFE + 1)
    house.server.script = [f"error {code}"] * 3
    with pytest.raises(AuthorizationFailedError) as first:
        house.current(refusal=told)
    for _ in range(2):
        with pytest.raises(AuthorizationFailedError) as later:
            house.current(store=house.again(), refusal=told)
        assert (3, code, 1) == (later.value.exit_code, later.value.error, later.value.retry_after)
        assert (first.value.hint, "mcpvault login linear") == (later.value.hint, later.value.login_command)
    assert 1 == house.server.asked

    house.clock.move(2)
    house.server.script = []
    assert "access-0002-token" == access(house.current())
    assert (None, None) == (house.record().trouble, house.record().shown)


def test_a_refusal_counts_for_what_was_refused(house: House) -> None:
    """A client that proves itself with something else is asked for at once; the same one waits."""
    house.clock.move(LIFE + 1)
    house.server.script = ["error invalid_client"]
    with pytest.raises(AuthorizationFailedError):
        house.current(proof=lambda record: "old")
    with pytest.raises(AuthorizationFailedError):
        house.current(proof=lambda record: "old")
    assert b"old" not in (house.place / "token-linear.toml").read_bytes()
    assert "access-0002-token" == access(house.current(proof=lambda record: "new"))


def test_a_refused_early_refresh_costs_nothing(house: House) -> None:
    """While the access token lives it is used."""
    house.clock.move(LIFE - 100)
    house.server.script = ["error invalid_client"]
    for _ in range(3):
        assert "access-0001-token" == access(house.current())
    assert 1 == house.server.asked


def test_the_server_may_ask_for_a_longer_pause(house: House) -> None:
    """``Retry-After`` counts, up to five minutes."""
    house.clock.move(LIFE + 1)
    house.server.script = ["http 429"]
    with pytest.raises(ServerUnavailableError):
        house.current()
    assert 7 == house.record().trouble.left(house.clock())


def test_the_breaker_does_not_stop_a_login(house: House) -> None:
    """A person who logs in is not asked to wait, and the trouble is over."""
    house.clock.move(LIFE + 1)
    house.server.script = ["unreachable"]
    with pytest.raises(ConnectFailedError):
        house.current()
    house.login()
    assert "access-0002-token" == access(house.current())


@pytest.mark.parametrize("jump", [-86400, -10, 400, 86400 * 365])
def test_a_clock_that_was_moved_ends_the_pause(house: House, jump: float) -> None:
    """A pause is at most five minutes of anybody's clock, and none that begins in the future."""
    house.clock.move(LIFE + 1)
    house.server.script = ["http 503"] * 12
    for _ in range(12):
        with pytest.raises(ServerUnavailableError):
            house.current()
        house.clock.move(brake.LONGEST)
    house.clock.move(-brake.LONGEST)
    assert 0 < house.record().trouble.left(house.clock())
    house.clock.move(jump)
    if house.record().alive(house.clock()):
        house.current(rejected=1)
    else:
        house.current()
    assert 2 == house.record().generation


@given(st.none() | st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 4e9), st.integers(0, 10**6), st.floats(-1e9, 1e9))
def test_no_pause_is_longer_than_five_minutes(
    asked: float | None, least: float, now: float, failures: int, jump: float
) -> None:
    """Whatever servers ask for, however often it failed, wherever the clock goes."""
    before = brake.Trouble(failures=failures, since=0, until=0, reason="x") if failures else None
    trouble = brake.after(before, reason="x", now=now, retry_after=asked, least=least)
    assert 0 <= trouble.left(now + jump) <= brake.LONGEST
    assert 0 <= brake.pause_after_rejections(failures) <= brake.LONGEST
