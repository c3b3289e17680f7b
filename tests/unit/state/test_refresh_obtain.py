"""Grants that can be asked for again: one process asks, all use the result, and failures back off."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from token_samples import CLIENT, LIFE, SERVER, Clock, House, access, store_of

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    AuthorizationFailedError,
    AuthorizationRequiredError,
    ConfigurationError,
    ConnectFailedError,
    DeadlineExceededError,
    ServerUnavailableError,
)
from mcpvault.secret import Secret
from mcpvault.state.obtain import obtain
from mcpvault.state.record import TokenRecord
from mcpvault.tokens import TokenSet

SLOW = 0.5  # seconds

# When


def machine(tmp_path: Path, clock: Clock) -> tuple[House, list[object], object]:
    """Return a house without a login, the outcomes of the next grants, and a function that obtains one."""
    house = House(tmp_path / "unused", clock)
    store = store_of(tmp_path / "state", credential="robot")
    script: list[object] = []

    def fetch(known: TokenRecord | None, deadline: Deadline) -> TokenRecord:
        assert deadline.remaining() > 0
        outcome = script.pop(0) if script else None
        if isinstance(outcome, Exception):
            raise outcome
        return TokenRecord(
            generation=0,
            status="none",
            host="",
            issuer=SERVER.issuer,
            tokens=house.server.login().replaced(refresh_token=None),
            registration=CLIENT,
        )

    def get(**how: object) -> TokenRecord:
        return obtain(store, fetch, deadline=Deadline(None), clock=clock, **how)

    return house, script, get


def test_a_machine_needs_no_login(tmp_path: Path) -> None:
    """The first call obtains a token, the next ones use it until it is due or refused."""
    clock = Clock()
    _, _, get = machine(tmp_path, clock)
    assert (1, "access-0002-token") == (get().generation, access(get()))
    assert ("robot",) == get().entries
    clock.move(LIFE - 100)
    assert 2 == get().generation
    assert (3, 3) == (get(rejected=2).generation, get(rejected=2).generation)
    clock.move(LIFE + 1)
    assert 4 == get().generation


def test_a_machine_that_fails_backs_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Before there was a token and after; a mistake in the entry is not the server's trouble."""
    caplog.set_level(logging.INFO, "mcpvault.state")
    clock = Clock()
    _, script, get = machine(tmp_path, clock)
    script.append(AuthorizationFailedError("no", error="invalid_client"))
    with pytest.raises(AuthorizationFailedError):
        get()
    with pytest.raises(AuthorizationFailedError) as caught:
        get()
    assert "invalid_client" == caught.value.error
    with pytest.raises(AuthorizationFailedError):
        get(proof=lambda record: "-")
    script.append(ConnectFailedError("down"))
    with pytest.raises(ConnectFailedError):
        get(proof=lambda record: "a corrected secret")
    with pytest.raises(ServerUnavailableError, match="last with connect_failed"):
        get(proof=lambda record: "another")
    clock.move(4)
    for _ in range(2):
        script.append(ConfigurationError("no"))
        with pytest.raises(ConfigurationError):
            get()
    assert 1 == get().generation
    clock.move(LIFE - 100)
    script.append(ConnectFailedError("down"))
    assert 1 == get().generation


def test_a_machine_whose_tokens_are_refused_stops(tmp_path: Path) -> None:
    """The brake of refused tokens holds for it, too."""
    clock = Clock()
    _, _, get = machine(tmp_path, clock)
    get()
    assert 2 == get(rejected=1).generation
    with pytest.raises(AuthorizationRequiredError):
        get(rejected=2)


def test_a_callers_own_deadline_is_no_failure_of_the_server(tmp_path: Path) -> None:
    """Who gives it less than twenty seconds pauses others in the same hurry, and nobody who has the time."""
    clock, monotonic = Clock(), Clock(0.0)
    store, asked = store_of(tmp_path / "state", credential="robot"), []

    def fetch(known: TokenRecord | None, deadline: Deadline) -> TokenRecord:
        asked.append(deadline)
        if deadline.remaining() < SLOW:
            monotonic.move(deadline.remaining())
            deadline.check("token request")
        monotonic.move(SLOW)
        tokens = TokenSet(access_token=Secret("a"), issued_at=clock(), expires_at=clock() + LIFE)
        return TokenRecord(generation=0, status="none", host="", issuer=SERVER.issuer, tokens=tokens)

    def get(seconds: float) -> TokenRecord:
        return obtain(store, fetch, deadline=Deadline(seconds, clock=monotonic), clock=clock)

    for attempts in (1, 2, 3):
        with pytest.raises(DeadlineExceededError):
            get(0.3)
        for _ in range(5):
            with pytest.raises(ServerUnavailableError, match="longer than the last caller gave it"):
                get(0.3)
        record = store.read()
        assert record is not None and record.trouble is not None
        assert (attempts, 0) == (len(asked), record.trouble.failures)
        clock.move(5)
    with pytest.raises(DeadlineExceededError):
        get(0.3)
    assert 1 == get(60).generation
    assert 5 == len(asked)


def test_a_server_that_has_had_its_time_has_failed(tmp_path: Path) -> None:
    """Twenty seconds without an answer count, however long the caller could have waited."""
    clock, monotonic = Clock(), Clock(0.0)
    store = store_of(tmp_path / "state", credential="robot")

    def fetch(known: TokenRecord | None, deadline: Deadline) -> TokenRecord:
        monotonic.move(25)
        raise DeadlineExceededError("no answer")

    for seconds in (20, 60):
        with pytest.raises(DeadlineExceededError):
            obtain(store, fetch, deadline=Deadline(seconds, clock=monotonic), clock=clock)
        clock.move(2)
    record = store.read()
    assert record is not None and record.trouble is not None
    assert (2, "deadline_exceeded") == (record.trouble.failures, record.trouble.reason)
