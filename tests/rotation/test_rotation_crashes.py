"""kill -9 at every step of every rotator: what is written is a step, the next run goes on, and nobody is locked out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest
from crash_house import Bearer, Robot, dies_at, rotating
from issuer_house import issuer_house
from rotation_house import OLD, rotation_house

from mcpvault.errors import ConfigurationError, McpVaultError, PolicyError

ROTATORS = ("manual", "exec", "private-key", "registration", "client-secret", "tokens", "person")
LATE = "private-key-late"  # at an issuer that keeps fetched keys for a while, and wants a kid where there are two
GIVEN_UP = ("manual", "exec", "private-key", "registration", "tokens")  # client-secret: no way back; person: elsewhere


def begin(rotation: Bearer | Robot, edges: Iterable[int]) -> int:
    """Kill the first half, up to the grace, at these edges, until one is beyond its end; return that."""
    for edge in edges:
        rotation.prepare()
        killed = dies_at(edge, rotation.begin)
        assert rotation.works(), f"edge {edge}"
        assert (edge, "grace") == (edge, rotation.resume() if killed else "grace")
        assert rotation.works()
        rotation.pass_grace()
        assert (edge, "done") == (edge, rotation.end())
        if not killed:
            return edge
    return 0


def end(rotation: Bearer | Robot, edges: Iterable[int]) -> int:
    """Kill the second half, revocation and the look whether the old one is dead, in the same way."""
    for edge in edges:
        rotation.prepare()
        rotation.begin()
        rotation.pass_grace()
        killed = dies_at(edge, rotation.end)
        assert rotation.works(), f"edge {edge}"
        assert (edge, "done") == (edge, rotation.end())
        assert rotation.works()
        if not killed:
            return edge
    return 0


def give_up(rotation: Bearer | Robot, edges: Iterable[int]) -> int:
    """Kill what brings the old secret back from the grace, in the same way."""
    name = rotation.name
    for edge in edges:
        rotation.prepare()
        rotation.begin()
        killed = dies_at(edge, rotation.house.machine(name).roll_back)
        assert rotation.works(), f"edge {edge}"
        journal = rotation.house.open().entry(name).rotation
        assert journal is not None
        if journal.undo:
            assert "aborted" == rotation.house.machine(name).resume().step
        elif journal.open:
            assert "aborted" == rotation.house.machine(name).abort().step
        assert rotation.works()
        if not killed:
            return edge
    return 0


@pytest.mark.parametrize("how", ROTATORS)
def test_each_rotator_is_killed_at_its_share_of_the_edges(how: str, home: Path) -> None:
    """At every seventh edge, from another one on for each rotator: together at all of them."""
    share = range(ROTATORS.index(how), 1000, len(ROTATORS))
    with rotating(how, home) as rotation:
        assert 0 < begin(rotation, share)
        assert 0 < end(rotation, share)
        assert how not in GIVEN_UP or 0 < give_up(rotation, share)


@pytest.mark.storm
@pytest.mark.parametrize("how", [*ROTATORS, LATE])
def test_a_kill_at_any_step_locks_nobody_out(how: str, home: Path) -> None:
    """Where two secrets can live, a script gets through after a kill at each edge, and the next run goes on."""
    with rotating(how, home) as rotation:
        assert 24 < begin(rotation, itertools.count())  # each writing of the vault has two of them, and keeps the last


@pytest.mark.storm
@pytest.mark.parametrize("how", [*ROTATORS, LATE])
def test_a_kill_while_the_old_secret_is_ended_locks_nobody_out(how: str, home: Path) -> None:
    """The same for the second half."""
    with rotating(how, home) as rotation:
        assert 11 < end(rotation, itertools.count())


@pytest.mark.storm
@pytest.mark.parametrize("how", [*GIVEN_UP, LATE])
def test_a_kill_while_it_is_given_up_locks_nobody_out(how: str, home: Path) -> None:
    """Rolling back from the grace can be cut off at each edge too, and ends with the old secret in use."""
    with rotating(how, home) as rotation:
        assert 7 < give_up(rotation, itertools.count())


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
        house.retire(OLD)
        with pytest.raises(ConfigurationError):
            house.machine().abort()
        assert "revoked" == house.journal.step
