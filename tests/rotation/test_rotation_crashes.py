"""kill -9 at every step of every rotator: what is written is a step, the next run goes on, and nobody is locked out."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_house import Robot, dies_at, rotating
from issuer_house import issuer_house
from rotation_house import rotation_house

from mcpvault.errors import ConfigurationError, McpVaultError, PolicyError


# Every edge of every rotator; the default run has those of one.
@pytest.mark.storm
@pytest.mark.parametrize("how", ["manual", "exec", "private-key", "registration", "client-secret", "tokens", "person"])
def test_a_kill_at_any_step_locks_nobody_out(how: str, home: Path) -> None:
    """Where two secrets can live, a script gets through after a kill at each edge, and the next run goes on."""
    with rotating(how, home) as rotation:
        event, killed = 0, True
        while killed:
            rotation.prepare()
            killed = dies_at(event, rotation.begin)
            assert rotation.works(), f"edge {event}"
            assert (event, "grace") == (event, rotation.resume() if killed else "grace")
            assert rotation.works()
            rotation.pass_grace()
            assert (event, "done") == (event, rotation.end())
            event += 1
    assert (14 if how == "tokens" else 16) < event  # seven or eight writes, two edges each, and the one that survives


@pytest.mark.parametrize(
    "how",
    [
        "manual",
        *[
            pytest.param(how, marks=pytest.mark.storm)
            for how in ("exec", "private-key", "registration", "client-secret", "tokens", "person")
        ],
    ],
)
def test_a_kill_while_the_old_secret_is_ended_locks_nobody_out(how: str, home: Path) -> None:
    """The same for the second half: revocation, and the look whether the old one is dead."""
    with rotating(how, home) as rotation:
        event, killed = 0, True
        while killed:
            rotation.prepare()
            rotation.begin()
            rotation.pass_grace()
            killed = dies_at(event, rotation.end)
            assert rotation.works(), f"edge {event}"
            assert (event, "done") == (event, rotation.end())
            assert rotation.works()
            event += 1
    assert 6 < event


@pytest.mark.storm
@pytest.mark.parametrize("how", ["manual", "exec", "private-key", "registration", "tokens"])
def test_a_kill_while_it_is_given_up_locks_nobody_out(how: str, home: Path) -> None:
    """Rolling back from the grace can be cut off at each edge too, and ends with the old secret in use."""
    with rotating(how, home) as rotation:
        event, killed = 0, True
        while killed:
            rotation.prepare()
            rotation.begin()
            name = rotation.name
            killed = dies_at(event, rotation.house.machine(name).roll_back)
            assert rotation.works(), f"edge {event}"
            journal = rotation.house.open().entry(name).rotation
            assert journal is not None
            if journal.undo:
                assert "aborted" == rotation.house.machine(name).resume().step
            elif journal.open:
                assert "aborted" == rotation.house.machine(name).abort().step
            assert rotation.works()
            event += 1
    assert 3 < event


@pytest.mark.storm
@pytest.mark.parametrize("keeps_access", [True, False])
def test_a_kill_where_the_issuer_ends_the_old_secret_at_once(keeps_access: bool, home: Path) -> None:
    """Only the answer that dies with the process locks anybody out, and the next run mends that or says what does."""
    with issuer_house(home, renew_secrets=True) as house:
        house.with_secret()
        rotation = Robot(house, "client-secret")
        event, killed, lost = 0, True, 0
        while killed:
            access = house.client.access_token
            killed = dies_at(event, rotation.begin)
            journal = house.open().entry("robot").rotation
            minting = journal is not None and journal.step == "minted"
            if keeps_access and minting:
                house.client.access_token = access
            if minting and house.client.secret not in house.stages(
                "robot", "auth.client_secret"
            ).values():  # fmt: skip
                lost += 1
                with pytest.raises(McpVaultError):
                    house.works()
            else:
                assert house.works(), f"edge {event}"
            try:
                if killed and not keeps_access and minting:
                    house.machine("robot").resume()
                assert "grace" == rotation.resume() if killed else True
            except ConfigurationError as error:
                assert (False, True) == (keeps_access, "answer to an earlier update was lost" in error.message)
                house.machine("robot").abort()
                with house.open().change() as change:  # what a person does then
                    from mcpvault import Secret

                    change.set_secret("robot", "auth.client_secret", Secret(house.client.secret or ""))
                    token = Secret(house.client.access_token or "")
                    change.set_secret("robot", "auth.registration_access_token", token)
            else:
                assert house.works()
                rotation.pass_grace()
                assert "done" == rotation.end()
            event += 1
        # The edges between the issuer's answer and the vault: it is lost at each of them, and nowhere else.
        assert (True, True) == (event > 16, 1 <= lost <= 3)


def test_a_failing_rollback_is_reported(home: Path) -> None:
    """A person who aborts what cannot be aborted any more is told, and the journal stays."""
    with rotation_house(home) as house:
        house.issue("new-one-of-this-test")
        house.rotate("new-one-of-this-test")
        house.shift = 90_000
        with pytest.raises(PolicyError):
            house.machine(require_dead=True).resume()
        with pytest.raises(ConfigurationError):
            house.machine().abort()
        assert "revoked" == house.journal.step
