"""Redemptions whose answer nobody saw: once more, then never again, and always said who it was."""

from __future__ import annotations

import pytest
from token_samples import LIFE, House, access

from mcpvault.errors import (
    AuthorizationRequiredError,
    BusyError,
    DeadlineExceededError,
    McpVaultError,
    RemoteProtocolError,
    ServerUnavailableError,
)
from mcpvault.state.journal import Intent, stamp

EXPIRED = LIFE + 1


def test_a_lost_answer_is_asked_for_once_more_at_once(house: House) -> None:
    """Within ten seconds the same token is redeemed again: many servers forgive that for so long."""
    house.server.grace = True
    house.clock.move(EXPIRED)
    house.server.script = ["lose"]
    assert "access-0003-token" == access(house.current())
    assert {"refresh-0001-token": 2} == house.server.redeemed
    assert None is house.record().intent


def test_nobody_else_is_turned_away_meanwhile(house: House) -> None:
    """While the token is redeemed once more the others wait for that, as for any refresh: it is not trouble yet."""
    seen: list[McpVaultError] = []

    def another() -> None:
        with pytest.raises(McpVaultError) as caught:
            house.current(store=house.again(), patience=0.0)
        seen.append(caught.value)

    house.server.grace = True
    house.clock.move(EXPIRED)
    house.server.script = ["lose", another]
    assert "access-0003-token" == access(house.current())
    assert [BusyError] == [type(error) for error in seen]


def test_two_lost_answers_end_the_grant(house: House) -> None:
    """After two unknowns in a row the token is not redeemed again; the message says who had both."""
    house.server.grace = True
    house.clock.move(EXPIRED)
    house.server.script = ["lose", "lose"]
    with pytest.raises(AuthorizationRequiredError, match="two answers in a row were lost: to the refresh by .* web01"):
        house.current()
    assert ("dead", 2) == (house.record().status, house.record().intent.attempts)
    house.clock.move(1000)
    with pytest.raises(AuthorizationRequiredError):
        house.current()
    assert 2 == house.server.asked


def test_a_lost_answer_and_a_strict_server_are_reported_together(house: House) -> None:
    """When the second redemption is refused, the message names the first, which probably spent the token."""
    house.clock.move(EXPIRED)
    house.server.script = ["lose"]
    with pytest.raises(AuthorizationRequiredError, match=r"it was probably spent by .* \(pid \d+\) on web01 at 2026-"):
        house.current()
    assert "dead" == house.record().status


def test_a_redemption_that_hung_is_not_repeated_at_once(house: House) -> None:
    """A time-out leaves the server alone for half a minute, then the token is redeemed once more."""
    house.clock.move(EXPIRED)
    house.server.script = ["hang"]
    with pytest.raises(DeadlineExceededError):
        house.current()
    assert ("ambiguous", "deadline_exceeded") == (house.record().status, house.record().intent.ended)
    with pytest.raises(ServerUnavailableError) as caught:
        house.current()
    assert 0 < caught.value.retry_after <= 30
    assert 1 == house.server.asked

    house.clock.move(31)
    assert "access-0002-token" == access(house.current())


def test_an_unknown_outcome_waits_for_the_end_of_the_old_token(house: House) -> None:
    """While the old access token lives it is used and nothing is sent; at its end the token is redeemed once more."""
    house.clock.move(LIFE - 200)
    house.server.script = ["hang"]
    for _ in range(3):
        assert "access-0001-token" == access(house.current())
        house.clock.move(50)
    assert 1 == house.server.asked

    house.clock.move(100)
    assert "access-0002-token" == access(house.current())


def test_a_server_that_is_busy_the_second_time_changes_nothing(house: House) -> None:
    """A 503 to the second redemption is no second unknown: there is still one left."""
    house.server.grace = True
    house.clock.move(EXPIRED)
    house.server.script = ["lose", "http 503"]
    with pytest.raises(ServerUnavailableError):
        house.current()
    assert ("ambiguous", 1) == (house.record().status, house.record().intent.attempts)
    house.clock.move(8)
    assert "access-0003-token" == access(house.current())


def test_the_journal_goes_on_naming_who_lost_the_answer(house: House) -> None:
    """Whoever was refused service after that lost nothing: the message about two lost answers does not name it."""
    first = int(house.clock()) + EXPIRED
    house.clock.move(EXPIRED)
    house.server.script = ["hang", "http 429", "hang"]
    for _ in range(2):
        with pytest.raises(McpVaultError):
            house.current()
        assert (first, "deadline_exceeded", 1) == told_of(house.record().intent)
        house.clock.move(300)

    with pytest.raises(AuthorizationRequiredError, match="two answers in a row were lost") as caught:
        house.current()

    assert f"to the refresh by {house.record().intent.lost}" in caught.value.message
    assert house.record().intent.lost.endswith(stamp(first))


def told_of(intent: Intent) -> tuple[int, str, int]:
    """Return when it began, how it ended, and how many there were."""
    return intent.started, intent.ended, intent.attempts


@pytest.mark.parametrize("act", ["cut", "html", "garbage"])
def test_a_success_that_cannot_be_read_is_unknown(house: House, act: str) -> None:
    """The living token is used and the raw answer kept; at its end the same token is redeemed once more, and works."""
    house.server.grace = True
    house.clock.move(LIFE - 200)
    house.server.script = [act]
    for _ in range(3):
        assert "access-0001-token" == access(house.current())
        house.clock.move(50)
    record = house.record()
    assert (1, "ambiguous", "remote_protocol") == (house.server.asked, record.status, record.intent.ended)
    assert record.answer.body

    house.clock.move(100)
    assert 2 == house.current().generation
    assert ("ok", None, None) == (house.record().status, house.record().intent, house.record().answer)


@pytest.mark.parametrize("act", ["cut", "html", "garbage"])
def test_two_answers_that_cannot_be_read_end_the_grant(house: House, act: str) -> None:
    """A third redemption never leaves, and the message says who had both answers."""
    house.server.grace = True
    house.clock.move(EXPIRED)
    house.server.script = [act] * 9
    errors = []
    for _ in range(4):
        with pytest.raises(McpVaultError) as caught:
            house.current()
        errors.append(caught.value)
        house.clock.move(400)
    assert (2, "dead") == (house.server.asked, house.record().status)
    assert "two answers in a row were lost or cannot be read: to the refresh by " in errors[-1].message
    assert "mcpvault login linear" == errors[-1].login_command


def test_half_an_answer_is_asked_for_once_more_at_once(house: House) -> None:
    """Where no token lives, an endpoint's own answer that was cut is like a lost one: servers forgive for seconds."""
    house.server.grace = True
    house.clock.move(EXPIRED)
    house.server.script = ["cut"]
    assert "access-0003-token" == access(house.current())


def test_a_page_in_place_of_an_answer_is_no_reason_to_hurry(house: House) -> None:
    """It may be a gateway's, which will say the same at once: the second redemption waits half a minute."""
    house.clock.move(EXPIRED)
    house.server.script = ["html"]
    with pytest.raises(RemoteProtocolError, match=r"\(status 200\) is no JSON"):
        house.current()
    with pytest.raises(ServerUnavailableError):
        house.current()
    house.clock.move(31)
    assert "access-0002-token" == access(house.current())


def test_a_crash_in_the_second_redemption_leaves_no_old_answer(house: House) -> None:
    """What could not be read is not taken for the answer to the redemption after it."""
    house.server.grace = True
    house.clock.move(LIFE - 200)
    house.server.script = ["cut", lambda: 1 // 0]
    assert "access-0001-token" == access(house.current())
    house.clock.move(300)
    with pytest.raises(ZeroDivisionError):
        house.current()
    assert (None, 2) == (house.record().answer, house.record().intent.attempts)


@pytest.mark.parametrize("act", ["gateway", "http 503", "http 429"])
def test_no_redemption_is_repeated_in_the_pause(house: House, act: str) -> None:
    """Whatever else a busy server did with the token: the living one is used, and nothing is sent before the time."""
    house.server.grace = True
    house.clock.move(LIFE - 200)
    house.server.script = [act, act]
    assert "access-0001-token" == access(house.current())
    pause = house.record().trouble.until - house.clock()
    assert 0 < pause
    assert "access-0001-token" == access(house.current())
    assert (1, "ok") == (house.server.asked, house.record().status)
    house.clock.move(pause)
    assert "access-0001-token" == access(house.current())
    assert 2 == house.server.asked
    assert pause < house.record().trouble.until - house.clock() or act != "gateway"
