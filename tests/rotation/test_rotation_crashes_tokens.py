"""kill -9 while the tokens of a grant are given up: no grant is lost, and none that is in use is revoked."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_house import Person, Tokens, dies_at, rotating

from mcpvault.errors import PolicyError

EVERY = pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.storm)])


@EVERY
def test_a_machine_that_goes_on_before_the_rollback_does_keeps_its_token(every: int, home: Path) -> None:
    """A script obtains another token after the kill: what is in use in the end is not what was revoked."""
    with rotating("tokens", home) as rotation:
        assert isinstance(rotation, Tokens)
        event, killed = 0, True
        while killed:
            rotation.begin()
            given_up = rotation.token()
            killed = dies_at(event, rotation.house.machine("robot").roll_back)
            rotation.house.open().authorization("robot").renew(expiring=None, adopt=False, timeout=10.0)
            if rotation.house.robot.open:
                machine = rotation.house.machine("robot")
                (machine.resume if rotation.house.robot.undo else machine.abort)()
            active = [rotation.house.issuer.introspect(each)["active"] for each in (given_up, rotation.token())]
            assert (event, "aborted", True) == (event, rotation.house.robot.step, active[1])
            # Only where what is to be given up was not written down is that what the script has obtained instead.
            assert not active[0] or event <= 4
            event += every
    assert 14 < event


@EVERY
def test_a_kill_while_a_persons_tokens_are_given_up_costs_no_grant(every: int, home: Path) -> None:
    """One answer can die with the process, that of the trial of the old tokens: then the new ones stay in use."""
    with rotating("person", home) as rotation:
        assert isinstance(rotation, Person)
        event, killed, lost = 0, True, 0
        while killed:
            rotation.prepare()
            rotation.begin()
            killed = dies_at(event, rotation.house.machine("person").roll_back)
            assert rotation.works(), f"edge {event}"
            journal = rotation.house.journal_of("person")
            try:
                if journal.open:
                    machine = rotation.house.machine("person")
                    journal = machine.resume() if journal.undo else machine.abort()
            except PolicyError:
                lost += 1
                rotation.pass_grace()
                assert "done" == rotation.end()
            else:
                assert (event, "aborted") == (event, journal.step)
            assert rotation.works()
            event += every
    assert (True, True) == (event > 20, every > 1 or 1 <= lost <= 2)
