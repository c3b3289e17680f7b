"""A rotation by hand, step by step, against a live server: forward, back, interrupted and resumed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rotation_house import NEW, OLD, RotationHouse, rotation_house

from mcpvault.errors import (
    BusyError,
    ConfigurationError,
    PolicyError,
    RoleError,
    TransportError,
    UsageError,
    VaultChangedError,
)
from mcpvault.vault.slots import NewSlot, RawKey

DAY = 86_400


@pytest.fixture
def house(home: Path) -> Iterator[RotationHouse]:
    """A vault with a token that can be rotated."""
    with rotation_house(home) as made:
        yield made


def test_a_new_token_comes_into_use_and_the_old_one_stays_for_the_grace(house: RotationHouse) -> None:
    """A token that the server takes is current at once, the old one is kept as previous, and scripts get the new."""
    house.issue(NEW)

    journal = house.rotate()

    assert ("grace", "manual", "auth.token") == (journal.step, journal.rotator, journal.field)
    assert {"current": NEW, "previous": OLD} == house.stages()
    assert NEW == house.open().token("demo").reveal()
    assert "old one" not in str(journal.problem)


def test_the_old_token_is_forgotten_when_the_server_refuses_it(house: RotationHouse) -> None:
    """After the grace the person is told to end the old token; once it is refused nothing of it is left."""
    house.issue(NEW)
    house.rotate()
    assert "grace" == house.machine().resume().step

    house.shift = DAY + 1
    house.retire(OLD)
    machine = house.machine()

    assert "done" == machine.resume().step
    assert {"current": NEW} == house.stages()
    assert ("end the old secret at its issuer (runbook: wiki/demo)",) == machine.remarks


def test_a_person_is_told_when_the_grace_begins_and_asked_until_it_is_done(house: RotationHouse) -> None:
    """Nobody else ends a token that was brought by hand: one look a run, however long it lives, and it stays open."""
    house.issue(NEW)
    machine = house.machine(secret=NEW)
    machine.start("auth.token", "manual", grace="24h")
    told = f"when its grace is over, {house.journal.until}: end the old secret at its issuer (runbook: wiki/demo)"
    assert (told,) == machine.remarks

    house.shift = DAY + 1
    for _ in range(2):
        machine = house.machine(dead_within=3600.0)
        journal = machine.resume()
        alive = f"the old auth.token is still accepted, since {journal.ended}; end the old secret at its issuer"
        assert ("revoked", f"{alive} (runbook: wiki/demo)") == (journal.step, journal.problem)
        assert alive.partition(";")[0] in machine.remarks[-1]

    house.retire(OLD)
    journal = house.machine().resume()
    assert ("done", None, {"current": NEW}) == (journal.step, journal.problem, house.stages())


def test_an_old_token_that_lives_on_is_reported(house: RotationHouse) -> None:
    """With require_dead it is an error each time; the rotation stays open until it is dead, or somebody forces it."""
    house.issue(NEW)
    house.rotate()
    house.shift = DAY + 1

    with pytest.raises(PolicyError, match=r"auth\.token is still accepted"):
        house.machine(require_dead=True).resume()
    kept = house.journal
    since = f"the old auth.token is still accepted, since {kept.ended}"
    assert ("revoked", True) == (kept.step, str(kept.problem).startswith(since))

    house.shift += DAY  # the wait counts from the end of the old one, and what is known is not written again
    with pytest.raises(PolicyError, match=since):
        house.machine(require_dead=True, dead_within=3600.0).resume()
    assert kept == house.journal

    journal = house.machine(force=True).resume()
    assert ("done", kept.problem) == (journal.step, journal.problem)


def test_a_journal_that_does_not_say_when_the_old_one_was_ended_is_gone_on_with(house: RotationHouse) -> None:
    """Earlier versions wrote none: the last writing counts."""
    house.issue(NEW)
    house.rotate()
    house.shift = DAY + 1
    with pytest.raises(PolicyError):
        house.machine(require_dead=True).resume()
    with house.open().change() as change:
        for member in ("ended", "problem"):
            del change.table("demo")["rotation"][member]

    house.retire(OLD)
    assert ("done", None) == ((journal := house.machine().resume()).step, journal.problem)


def test_a_refused_token_is_rolled_back(house: RotationHouse) -> None:
    """A token that the server does not take changes nothing but the journal, which says why."""
    with pytest.raises(PolicyError, match=r"rejected the credential \(401\); rolled back"):
        house.rotate()

    assert {"current": OLD} == house.stages()
    assert ("aborted", True) == (house.journal.step, "401" in str(house.journal.problem))


def test_a_token_that_sees_less_is_rolled_back(house: RotationHouse) -> None:
    """A tool that the old token sees and the new one does not stops the rotation, unless that is accepted."""
    house.issue(NEW, frozenset({"echo", "add"}))

    with pytest.raises(PolicyError, match="lacks tool 'fail', tool 'ill-structured'"):
        house.rotate()
    assert {"current": OLD} == house.stages()

    machine = house.machine(secret=NEW, accept_changes=True)
    assert "grace" == machine.start("auth.token", "manual", grace="1h").step
    assert machine.remarks[0].startswith("accepted: the new one lacks")


def test_nothing_is_compared_with_a_token_that_is_dead(house: RotationHouse) -> None:
    """Where the old token is refused already, a good new one is enough."""
    house.issue(NEW, frozenset({"echo"}))
    house.retire(OLD)
    machine = house.machine(secret=NEW)

    assert "grace" == machine.start("auth.token", "manual", grace="1h").step
    assert "nothing was compared" in machine.remarks[0]


def test_the_probe_tool_decides_too(house: RotationHouse) -> None:
    """A probe tool that reports an error stops the rotation; one that works lets it pass."""
    house.issue(NEW)
    with house.open().change() as change:
        change.set_plain("demo", "policy.probe_tool", "fail")
    with pytest.raises(PolicyError, match="probe tool 'fail' reports an error"):
        house.rotate()

    with house.open().change() as change:
        change.set_plain("demo", "policy.probe_tool", "ill-structured")
    assert "grace" == house.rotate().step
    assert [] != [each for each in house.server.called("tools/call") if "ill-structured" in each.body.decode()]


def test_a_server_that_cannot_be_asked_decides_nothing(house: RotationHouse) -> None:
    """An unreachable server leaves the rotation open and the new token kept; resuming needs nothing again."""
    house.issue(NEW)
    house.server.misbehave("bad-gateway")
    with pytest.raises(TransportError):
        house.rotate(timeout=2.0)
    assert ("stored", {"current": OLD, "pending": NEW}) == (house.journal.step, house.stages())

    house.server.behave()

    assert "grace" == house.machine().resume().step
    assert {"current": NEW, "previous": OLD} == house.stages()


def test_aborting_forgets_the_new_token(house: RotationHouse) -> None:
    """An open rotation that is given up leaves the old token in use and nothing pending."""
    house.issue(NEW)
    house.server.misbehave("bad-gateway")
    with pytest.raises(TransportError):
        house.rotate(timeout=2.0)

    assert "aborted" == house.machine().abort().step
    assert {"current": OLD} == house.stages()


def test_rolling_back_in_the_grace(house: RotationHouse) -> None:
    """During the grace one call brings the old token back, and the rotation is over."""
    house.issue(NEW)
    house.rotate()

    assert "auth.token" == house.machine().roll_back()
    assert ({"current": OLD}, "aborted") == (house.stages(), house.journal.step)


def test_a_wrong_set_can_be_rolled_back_and_forward(house: RotationHouse) -> None:
    """Without a rotation, current and previous change places; once more undoes it."""
    from mcpvault import Secret

    with house.open().change() as change:
        change.set_secret("demo", "auth.token", Secret("typo"))

    house.machine().roll_back()
    assert {"current": OLD, "previous": "typo"} == house.stages()
    house.machine().roll_back()
    assert {"current": "typo", "previous": OLD} == house.stages()


def test_there_is_no_way_back_once_the_old_token_was_ended(house: RotationHouse) -> None:
    """Once it is refused neither abort nor rollback pretends to help."""
    house.issue(NEW)
    house.rotate()
    house.shift = DAY + 1
    with pytest.raises(PolicyError):
        house.machine(require_dead=True).resume()

    house.retire(OLD)
    with pytest.raises(ConfigurationError, match="no way back"):
        house.machine().roll_back()


def test_a_token_that_a_person_has_not_ended_yet_can_come_back(house: RotationHouse) -> None:
    """After the grace too: what is to be ended by hand is looked at, not taken for dead."""
    house.issue(NEW)
    house.rotate()
    house.shift = DAY + 1
    machine = house.machine()
    assert "revoked" == machine.resume().step
    order = "end the old secret at its issuer (runbook: wiki/demo)"
    assert (order, True) == (machine.remarks[0], machine.remarks[1].endswith(f"since {house.journal.ended}"))

    house.machine().roll_back()
    assert ("aborted", None, {"current": OLD}) == (house.journal.step, house.journal.ended, house.stages())


def test_one_rotation_at_a_time(house: RotationHouse) -> None:
    """A second one is refused while one is open, and so is a second process at the same one."""
    house.issue(NEW)
    house.rotate()

    with pytest.raises(ConfigurationError, match="open since"):
        house.rotate("another-token")
    with house.open().state.lock("rotation-demo"), pytest.raises(BusyError):
        house.machine().resume()


def test_another_host_that_went_on_meanwhile_is_noticed(house: RotationHouse) -> None:
    """Whoever writes a step compares the journal first, so that no step is taken on what is no longer true."""
    house.issue(NEW)
    house.rotate()
    ours, journal = house.machine(), house.journal
    house.machine().roll_back()

    with pytest.raises(VaultChangedError, match="somebody else has gone on"):
        ours._on.write(journal, "revoked")


def test_what_cannot_begin_writes_nothing(house: RotationHouse) -> None:
    """Without a token, or with a reader's key, no journal is begun."""
    before = house.open().document.text
    with pytest.raises(UsageError, match="needs the new secret"):
        house.machine().start("auth.token", "manual", grace="1h")
    assert before == house.open().document.text

    reader = RawKey.generate()
    with house.open().change() as change:
        change.add_slot(NewSlot.raw("cron", reader, role="reader"))
    Path(house.env["MCPVAULT_KEY_FILE"]).write_text(reader.text.reveal() + "\n")
    with pytest.raises(RoleError):
        house.rotate()


def test_an_edit_of_another_entry_does_not_disturb(house: RotationHouse) -> None:
    """The vault is read again before each step: what others write meanwhile is kept."""
    house.issue(NEW)
    machine = house.machine(secret=NEW)
    with house.open().change() as change:
        change.add_server("other", {"url": "https://other.example/mcp"})

    assert "grace" == machine.start("auth.token", "manual", grace="1h").step
    assert ("demo", "other") == house.open().names()


def test_the_end_of_a_jwt_is_kept_for_reminders(house: RotationHouse) -> None:
    """A new token that is a JWT with ``exp`` gets that as its ``not_after``."""
    from mcpvault.testing import SigningKey

    token = SigningKey().sign({"exp": 1_900_000_000})
    house.issue(token)
    house.rotate(token)

    [current] = [fact for fact in house.open().file.history("demo") if fact.stage == "current"]
    assert "2030-03-17T17:46:40Z" == current.not_after
