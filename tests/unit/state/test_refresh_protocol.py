"""The refresh of one process after another: what each answer, and each missing answer, does to the record."""

from __future__ import annotations

import logging

import pytest
from token_samples import LIFE, OTHER_HOST, House, access, store_of

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    AuthorizationFailedError,
    AuthorizationRequiredError,
    ConfigurationError,
    ConnectFailedError,
    McpVaultError,
    RemoteProtocolError,
    ServerUnavailableError,
)
from mcpvault.state.grants import adopt
from mcpvault.state.refresh import current

HALF_A_MINUTE_LEFT, EXPIRED = LIFE - 30, LIFE + 1


def test_a_fresh_token_is_read_without_a_lock(house: House) -> None:
    """As long as the token is fresh nobody asks the server, locks or writes."""
    before = sorted((path.name, path.stat().st_mtime_ns) for path in house.store._store.path.iterdir())

    assert "access-0001-token" == access(house.current())
    assert 0 == house.server.asked
    assert before == sorted((path.name, path.stat().st_mtime_ns) for path in house.store._store.path.iterdir())


def test_an_expired_token_is_refreshed_and_kept(house: House) -> None:
    """The new tokens are on disk with the next generation, and the journal is closed."""
    house.clock.move(EXPIRED)

    assert "access-0002-token" == access(house.current())
    record = house.record()
    assert (2, "ok", None, None, None) == (
        record.generation,
        record.status,
        record.intent,
        record.answer,
        record.trouble,
    )
    assert {"refresh-0001-token": 1} == house.server.redeemed


def test_the_journal_is_on_disk_before_the_token_leaves(house: House) -> None:
    """When the server is asked, the record on disk says who, where, when and with which token."""
    seen = []
    house.clock.move(EXPIRED)
    house.server.script = [lambda: seen.append(house.record())]
    house.current()

    [record] = seen
    assert "refreshing" == record.status
    assert ("web01", 1, int(house.clock()), "") == (
        record.intent.host_name,
        record.intent.attempts,
        record.intent.started,
        record.intent.ended,
    )
    assert 8 == len(record.intent.token)


def test_the_answer_is_on_disk_before_it_is_read(house: House) -> None:
    """A reader of answers that fails finds the next process reading the same answer, and nothing is sent again."""
    house.clock.move(EXPIRED)
    exchange = house.server.exchange()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        current(house.store, exchange.replaced(read=broken), deadline=Deadline(None), clock=house.clock)
    assert "refreshing" == house.record().status

    house.clock.move(100)
    assert "access-0002-token" == access(house.current(store=house.again()))
    assert 1 == house.server.asked
    assert house.clock() - 100 + LIFE == house.record().expires_at


def test_a_mistake_in_the_entry_leaves_the_answer(house: House) -> None:
    """What says nothing about the answer leaves it to be read; its token, which is spent, is not redeemed again."""
    house.clock.move(EXPIRED)
    house.server.script = ["misread"]

    with pytest.raises(ConfigurationError):
        house.current()

    assert ("refreshing", True) == (house.record().status, house.record().answer is not None)
    assert "access-0002-token" == access(house.current(store=house.again()))
    assert {"refresh-0001-token": 1} == house.server.redeemed


def test_what_never_left_is_no_lost_answer(house: House) -> None:
    """However it is called: nothing is counted, and the grant is as good as before."""
    house.clock.move(EXPIRED)
    house.server.script = ["unsent"] * 3
    before = house.record()

    for asked in range(1, 4):
        with pytest.raises(RemoteProtocolError):
            house.current()
        assert (asked, before) == (house.server.asked, house.record())

    assert "access-0002-token" == access(house.current())


def test_an_answer_that_is_found_late_is_refreshed_at_once(house: House) -> None:
    """Its access token has ended, but its refresh token is the one that counts."""
    house.clock.move(EXPIRED)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exchange = house.server.exchange().replaced(read=broken)
        current(house.store, exchange, deadline=Deadline(None), clock=house.clock)
    house.clock.move(EXPIRED)
    assert "access-0003-token" == access(house.current(store=house.again()))
    assert {"refresh-0001-token": 1, "refresh-0002-token": 1} == house.server.redeemed


def test_a_token_in_its_last_minutes_is_refreshed_early(house: House) -> None:
    """Inside the window one process refreshes although the token still works."""
    house.clock.move(HALF_A_MINUTE_LEFT)
    assert "access-0002-token" == access(house.current())


@pytest.mark.parametrize("act", ["unreachable", "hang", "http 503", "http 429", "html", "error invalid_client"])
def test_a_failed_early_refresh_costs_nothing(house: House, act: str) -> None:
    """While the old token lives, whatever goes wrong is logged and the old token is used."""
    house.clock.move(LIFE - 100)
    house.server.script = [act]
    assert "access-0001-token" == access(house.current())


@pytest.mark.parametrize(
    ("act", "error"),
    [
        ("unreachable", ConnectFailedError),
        ("http 500", ServerUnavailableError),
        ("http 503", ServerUnavailableError),
        ("http 429", ServerUnavailableError),
        ("error temporarily_unavailable", ServerUnavailableError),
        ("error invalid_client", AuthorizationFailedError),
        ("error invalid_scope", AuthorizationFailedError),
        ("http 404", McpVaultError),
    ],
)
def test_a_failure_keeps_everything(house: House, act: str, error: type[McpVaultError]) -> None:
    """Whatever is no ``invalid_grant`` keeps the refresh token; after a pause it is redeemed as if nothing had been."""
    house.clock.move(EXPIRED)
    house.server.script = [act]
    with pytest.raises(error):
        house.current()
    record = house.record()
    assert ("ok", 1, None, None, 1) == (
        record.status,
        record.generation,
        record.intent,
        record.answer,
        record.trouble.failures,
    )

    house.clock.move(8)
    assert "access-0002-token" == access(house.current())
    assert {"refresh-0001-token": 1} == house.server.redeemed


def test_what_we_refuse_to_send_is_no_trouble_of_the_server(house: House) -> None:
    """A mistake in the entry changes nothing in the record, and its correction need not wait."""
    before = house.record()
    house.clock.move(EXPIRED)
    house.server.script = ["forbidden"]
    with pytest.raises(ConfigurationError):
        house.current()
    assert before == house.record()
    assert "access-0002-token" == access(house.current())


def test_invalid_grant_marks_and_never_deletes(house: House) -> None:
    """The grant is dead until somebody logs in; its tokens and its client are still in the record."""
    house.server.revoked = True
    house.clock.move(EXPIRED)
    with pytest.raises(AuthorizationRequiredError) as caught:
        house.current()
    assert "mcpvault login linear" == caught.value.login_command
    assert "linear: its refresh token is no longer accepted (invalid_grant)" == caught.value.message
    record = house.record()
    assert ("dead", "refresh-0001-token", "client-1") == (
        record.status,
        record.tokens.refresh_token.reveal(),
        record.registration.client_id,
    )

    house.clock.move(10_000)
    with pytest.raises(AuthorizationRequiredError):
        house.current()
    assert 1 == house.server.asked

    house.login()
    assert "access-0002-token" == access(house.current())


def test_a_dead_grant_is_used_while_its_access_token_lives(house: House) -> None:
    """Losing the refresh token does not take the access token away."""
    house.server.revoked = True
    house.clock.move(LIFE - 100)
    assert "access-0001-token" == access(house.current())
    assert "dead" == house.record().status
    assert "access-0001-token" == access(house.current())
    assert 1 == house.server.asked


def test_the_old_refresh_token_stays_where_no_new_one_comes(house: House) -> None:
    """A server that does not rotate need not repeat the refresh token."""
    house.clock.move(EXPIRED)
    house.server.script = ["keep"]
    house.current()
    assert "refresh-0001-token" == house.record().tokens.refresh_token.reveal()


def test_another_host_refuses_to_refresh(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A copied state uses the access token to its end and then says what to do; adopting it is a decision."""
    caplog.set_level(logging.DEBUG, "mcpvault.state")
    copy = store_of(house.place, host=OTHER_HOST)
    house.clock.move(LIFE - 20)
    assert "access-0001-token" == access(house.current(store=copy))
    house.clock.move(30)
    with pytest.raises(AuthorizationRequiredError, match="its grant belongs to web01") as caught:
        house.current(store=copy)
    assert "mcpvault refresh linear --adopt" in caught.value.hint
    assert 0 == house.server.asked

    adopt(copy)
    assert "access-0002-token" == access(house.current(store=copy))
    with pytest.raises(AuthorizationRequiredError):
        house.current(rejected=2)


def test_no_record_is_a_login(tmp_path, house: House) -> None:
    """Without a record, and without a refresh token, the error is the one that names the command."""
    with pytest.raises(AuthorizationRequiredError, match="nobody has logged in"):
        house.current(store=store_of(tmp_path / "empty"))
    tokens = house.server.login().replaced(refresh_token=None)
    with house.store.exclusive():
        house.store.write(house.record().replaced(tokens=tokens))
    assert "access-0002-token" == access(house.current())
    house.clock.move(EXPIRED)
    with pytest.raises(AuthorizationRequiredError, match="there is no refresh token"):
        house.current()


def test_the_log_tells_the_story_without_secrets(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Every decision is logged, and neither tokens nor answers are."""
    caplog.set_level(logging.DEBUG, "mcpvault.state")
    house.clock.move(EXPIRED)
    house.server.script = ["lose"]
    with pytest.raises(AuthorizationRequiredError):
        house.current()

    told = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert [
        "refreshing generation 1",
        "the answer to the refresh was lost: https://as.example: reset",
        "refreshing generation 1, with the same token once more",
    ] == told[:3]
    assert "-token" not in caplog.text
