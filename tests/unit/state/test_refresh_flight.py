"""When a token is due, who replaces it, and what stops a storm."""

from __future__ import annotations

from pathlib import Path

import pytest
from state_samples import held_elsewhere
from token_samples import CLIENT, LIFE, NOON, SERVER, House, access, store_of

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    AuthorizationRequiredError,
    BusyError,
    ConnectFailedError,
    DeadlineExceededError,
    PermissionsError,
    ServerUnavailableError,
)
from mcpvault.secret import Secret
from mcpvault.state import brake
from mcpvault.state.grants import grant
from mcpvault.state.record import TokenRecord, window_of
from mcpvault.state.refresh import current
from mcpvault.tokens import TokenSet

# When


@pytest.mark.parametrize(
    ("life", "least", "most"), [(60, 27, 33), (20, 9, 11), (600, 54, 66), (3600, 270, 330), (86400, 270, 330)]
)
def test_the_window_is_a_tenth_of_a_life(life: float, least: float, most: float) -> None:
    """Between thirty seconds and five minutes, never more than half of it, a little different in each process."""
    tokens = TokenSet(access_token=Secret("a"), issued_at=NOON, expires_at=NOON + life)
    assert least <= window_of(tokens) <= most


def test_a_token_without_an_end_has_no_window() -> None:
    """It is good until it is refused."""
    assert 0 == window_of(TokenSet(access_token=Secret("a"), issued_at=NOON))


@pytest.mark.parametrize(("left", "asked"), [(400, 0), (250, 1), (9, 1), (0, 1), (-5, 1)])
def test_a_token_is_replaced_in_its_window(house: House, left: float, asked: int) -> None:
    """Outside of it nobody is asked."""
    house.clock.move(LIFE - left)
    house.current()
    assert asked == house.server.asked


def test_a_wider_window_can_be_asked_for(house: House) -> None:
    """``refresh --expiring 2h`` replaces what ends within two hours."""
    assert "access-0001-token" == access(house.current(window=3000))
    assert "access-0002-token" == access(house.current(window=7200))


def test_a_token_without_an_end_is_kept_until_it_is_refused(tmp_path: Path) -> None:
    """No expiry is no reason to refresh; a 401 is."""
    house = House(tmp_path / "state", life=None)
    house.clock.move(10_000_000)
    assert "access-0001-token" == access(house.current())
    assert "access-0002-token" == access(house.current(rejected=1))


def test_insisting_replaces_a_fresh_token(house: House) -> None:
    """A person's ``mcpvault refresh`` is carried out whatever the clock and the breaker say."""
    assert "access-0002-token" == access(house.current(insist=True))
    house.server.script = ["http 503"]
    with pytest.raises(ServerUnavailableError):
        house.current(insist=True)
    assert "access-0003-token" == access(house.current(insist=True))


# A refused token


def test_a_refused_token_is_replaced_although_it_is_fresh(house: House) -> None:
    """A 401 carries the generation of the token that was refused."""
    assert "access-0002-token" == access(house.current(rejected=1))


def test_a_token_that_was_replaced_since_is_not_replaced_again(house: House) -> None:
    """The 401 of an old token adopts the new one, without asking the server."""
    house.current(rejected=1)
    for _ in range(3):
        assert "access-0002-token" == access(house.current(rejected=1, store=house.again()))
    assert 1 == house.server.asked


def test_a_refused_token_is_not_used_when_refreshing_fails(house: House) -> None:
    """It had not expired, but it is of no use."""
    house.server.script = ["unreachable"]
    with pytest.raises(ConnectFailedError):
        house.current(rejected=1)


def test_a_server_that_refuses_every_token_stops_the_refreshing(house: House) -> None:
    """Each new token that is refused at once makes the next refresh wait longer, up to five minutes."""
    generation, refreshes = 1, 0
    for _ in range(3600):
        try:
            generation = house.current(rejected=generation).generation
            refreshes += 1
        except AuthorizationRequiredError as error:
            assert "the server refuses a token that was issued" in error.message
            assert 0 < error.retry_after <= brake.LONGEST
        house.clock.move(1)
    assert 10 <= refreshes <= 17
    assert refreshes == house.server.asked


def test_rejections_far_apart_are_no_storm(house: House) -> None:
    """A token that was used for a while may be refused and replaced as often as that happens."""
    for generation in range(1, 12):
        assert generation + 1 == house.current(rejected=generation).generation
        house.clock.move(brake.LONGEST)


# More than the token at hand


def test_who_asks_for_a_wider_window_is_not_given_the_old_token(house: House) -> None:
    """Where another is not to be had that is told, although the old one works: a timer would never know."""
    house.server.script = ["http 503"]
    with pytest.raises(ServerUnavailableError):
        house.current(window=7200)
    with pytest.raises(ServerUnavailableError, match="no refresh for another"):
        house.current(window=7200)
    assert "access-0001-token" == access(house.current())
    house.clock.move(60)
    with held_elsewhere(house.place, "token-linear"), pytest.raises(BusyError):
        house.current(window=7200, patience=0.2)
    assert "access-0002-token" == access(house.current(window=7200))


@pytest.mark.parametrize("left", [100, 5])
def test_a_token_that_works_needs_no_lock(house: House, left: int) -> None:
    """State that cannot be locked (a read-only folder) is told of, and the token is used while it lives."""
    lock = house.place / "token-linear.lock"
    lock.unlink()
    lock.symlink_to(house.place / "nowhere")
    house.clock.move(LIFE - left)

    assert "access-0001-token" == access(house.current())

    for how in ({"rejected": 1}, {"insist": True}, {"window": 7200}):
        with pytest.raises(PermissionsError):
            house.current(**how)
    house.clock.move(left + 1)
    with pytest.raises(PermissionsError):
        house.current()
    assert 0 == house.server.asked


# Waiting


def test_nobody_waits_while_the_token_works(house: House) -> None:
    """In its last minutes a token is used by everybody but the one who replaces it."""
    house.clock.move(LIFE - 100)
    with held_elsewhere(house.place, "token-linear"):
        assert "access-0001-token" == access(house.current())
    assert 0 == house.server.asked


def test_waiting_ends_with_exit_7(house: House) -> None:
    """Whoever cannot get the lock does not refresh without it."""
    house.clock.move(LIFE + 1)
    with held_elsewhere(house.place, "token-linear"), pytest.raises(BusyError):
        house.current(patience=0.2)
    with held_elsewhere(house.place, "token-linear"), pytest.raises(BusyError):
        house.current(deadline=0.2)
    assert 0 == house.server.asked


def test_a_dying_token_is_better_than_an_error(house: House) -> None:
    """With nine seconds left it is worth waiting for a new one; if none comes, the old one is sent."""
    house.clock.move(LIFE - 9)
    with held_elsewhere(house.place, "token-linear"):
        assert "access-0001-token" == access(house.current(patience=0.2))


def test_who_insists_is_not_told_that_nothing_was_due(house: House) -> None:
    """``mcpvault refresh`` that has waited in vain says so (exit 7), although the old token still works."""
    with held_elsewhere(house.place, "token-linear"), pytest.raises(BusyError):
        house.current(insist=True, patience=0.2)
    assert 0 == house.server.asked


def test_a_refresh_is_not_begun_after_the_deadline(house: House) -> None:
    """Nothing is sent when the call is over already."""
    house.clock.move(LIFE + 1)
    with pytest.raises(DeadlineExceededError):
        house.current(deadline=0)
    assert (0, "ok") == (house.server.asked, house.record().status)


def test_a_refresh_that_was_sent_has_its_own_time(house: House) -> None:
    """The caller's deadline holds until the token leaves, not then: the answer may hold the next token."""
    seen = []
    exchange = house.server.exchange()

    def watch(record: TokenRecord, deadline: Deadline) -> object:
        seen.append(deadline.remaining())
        deadline.lift()
        seen.append(deadline.remaining())
        return exchange.redeem(record, deadline)

    house.server.exchange = lambda: exchange.replaced(redeem=watch)  # type: ignore[method-assign]
    house.clock.move(LIFE + 1)
    house.current(deadline=3)
    assert seen[0] <= 3
    assert 15 < seen[1] <= 20


@pytest.mark.parametrize(
    ("left", "time_left", "asked"), [(200, 30, 0), (200, 50, 1), (9, 2, 0), (9, 30, 1), (1, 2, 1), (-1, 2, 1)]
)
def test_who_has_little_time_refreshes_when_it_must(house: House, left: float, time_left: float, asked: int) -> None:
    """Less than 40 s leave no room for a refresh that hangs: a token that outlasts the call is used as it is."""
    house.clock.move(LIFE - left)
    house.current(deadline=time_left)
    assert asked == house.server.asked


def test_who_has_little_time_replaces_a_refused_token(house: House) -> None:
    """However long it would have lived: it is of no use."""
    assert "access-0002-token" == access(house.current(deadline=5, rejected=1))


def test_hurry_is_no_trouble_of_the_server(house: House) -> None:
    """A caller whose time was over before anything was sent leaves no pause behind for those who have time."""
    mine = Deadline(60)

    def late() -> None:
        mine.end()
        raise DeadlineExceededError("https://as.example: no answer within 60 s", sent=False)

    house.server.script = [late]
    house.clock.move(LIFE + 1)
    with pytest.raises(DeadlineExceededError):
        current(house.store, house.server.exchange(), deadline=mine, clock=house.clock)
    assert (None, "ok") == (house.record().trouble, house.record().status)
    assert "access-0002-token" == access(house.current())


def test_a_lost_answer_is_made_up_for_although_the_caller_is_late(house: House) -> None:
    """The server's grace waits for no next caller: the token is redeemed at once once more, with time of its own."""
    mine = Deadline(60)
    left = []
    exchange = house.server.exchange()

    def watch(record: TokenRecord, deadline: Deadline) -> object:
        left.append(deadline.remaining())
        if len(left) == 1:
            mine.end()
        return exchange.redeem(record, deadline)

    house.server.script, house.server.grace = ["lose"], True
    house.clock.move(LIFE + 1)
    record = current(house.store, exchange.replaced(redeem=watch), deadline=mine, clock=house.clock)
    assert "access-0003-token" == access(record)
    assert 15 < left[1] <= 20


def test_state_that_cannot_be_written_sends_nothing(house: House) -> None:
    """Without a journal no token leaves; the one that still works is used."""
    house.place.chmod(0o755)  # open to others: refused
    house.clock.move(LIFE - 100)
    store = house.again()
    with pytest.raises(PermissionsError):
        house.current(store=store)
    assert 0 == house.server.asked


def test_sharing_needs_one_name(tmp_path: Path) -> None:
    """Two entries with one credential have one token; two credentials have two."""
    house = House(tmp_path / "state")
    other = store_of(house.place, credential="other")
    grant(other, house.server.login(), server=SERVER, registration=CLIENT, resource=None)
    assert "access-0001-token" == access(house.current())
    assert "access-0001-token" == access(house.current(store=store_of(house.place, server="linear-admin")))
    assert "access-0002-token" == access(house.current(store=other))
