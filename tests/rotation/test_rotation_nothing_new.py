"""A maker that brings the secret that there is already: nothing is ended by it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from issuer_house import IssuerHouse, issuer_house
from rotation_house import NEW, OLD, RotationHouse, rotation_house

from mcpvault import Secret
from mcpvault.errors import PolicyError

DAY = 86_400
# Answers "mint" with a fixed secret, or with the current one, as an idempotent API does; keeps a list of what it ends.
MAKER = """
import json, os, sys
asked = json.load(sys.stdin)
if asked["action"] == "mint":
    print(json.dumps({"secret": (sys.argv + [asked["current"]])[1]}))
else:
    with open(os.path.join(os.environ["HOME"], "ended"), "a") as log:
        log.write(asked["action"] + "\\n")
"""


@pytest.fixture
def house(home: Path) -> Iterator[RotationHouse]:
    """A vault with a bearer token."""
    with rotation_house(home) as made:
        yield made


@pytest.fixture
def at_issuer(home: Path) -> Iterator[IssuerHouse]:
    """A vault, and an authorization server that registers clients."""
    with issuer_house(home) as made:
        yield made


def maker(house: RotationHouse, *words: str) -> tuple[str, ...]:
    """Return the words of the program."""
    path = Path(house.env["HOME"]) / "maker.py"
    path.write_text(MAKER)
    return (sys.executable, str(path), *words)


def ended(house: RotationHouse) -> bool:
    """Tell whether the program was asked to end anything."""
    return (Path(house.env["HOME"]) / "ended").exists()


def test_a_program_that_answers_with_the_current_secret_made_none(house: RotationHouse) -> None:
    """Exit 9 at once: were it taken for a new one, the end of the grace would end the only one that there is."""
    with pytest.raises(PolicyError, match="the new secret is the current one, and no other") as told:
        house.machine().start("auth.token", "exec", grace="1h", command=maker(house))

    assert "let another be made" in str(told.value.hint)
    assert ("aborted", {"current": OLD}, False) == (house.journal.step, house.stages(), ended(house))


def test_what_a_person_brings_again_changes_nothing(house: RotationHouse) -> None:
    """The same token by hand is refused before anything is written: its age stays, and no rotation is open."""
    before = house.open().document.text

    with pytest.raises(PolicyError, match="is the current one"):
        house.rotate(OLD)
    assert before == house.open().document.text


def test_the_previous_secret_comes_back_by_a_rollback(house: RotationHouse) -> None:
    """What was current before is no new one either; the hint names what brings it back."""
    with house.open().change() as change:
        change.set_secret("demo", "auth.token", Secret("typo"))

    with pytest.raises(PolicyError, match="is the previous one") as told:
        house.rotate(OLD)
    assert "mcpvault rollback demo" in str(told.value.hint)
    with pytest.raises(PolicyError, match="is the previous one"):
        house.machine().start("auth.token", "exec", grace="1h", command=maker(house, OLD))
    assert not ended(house)


@pytest.mark.parametrize("step", ["grace", "stored"])
def test_what_is_in_use_is_not_ended_by_a_journal_of_others(house: RotationHouse, step: str) -> None:
    """An earlier version, or a merge, may have left the current secret as previous or pending: it lives on."""
    house.issue(NEW)
    house.machine().start("auth.token", "exec", grace="1h", command=maker(house, NEW))
    with house.open().change() as change:
        table = change.table("demo")
        stage = "previous" if step == "grace" else "pending"
        table["auth"]["token"] = [each for each in table["auth"]["token"] if each["stage"] == "current"]
        change.set_secret("demo", "auth.token", Secret(NEW), stage=stage)
        table["rotation"] |= {"step": step, "attempt": 3}

    if step == "grace":
        house.shift = DAY
        journal = house.machine().resume()
        assert ("done", True) == (journal.step, "nothing was ended" in str(journal.problem))
    else:
        assert "aborted" == house.machine().abort().step
    assert ({"current": NEW}, False) == (house.stages(), ended(house))


def test_a_client_that_is_in_use_is_not_deleted(at_issuer: IssuerHouse) -> None:
    """A server that answers a registration with the client that there is has made no other."""
    at_issuer.with_secret()
    uri = at_issuer.open().entry("robot").auth.registration_client_uri
    secret = at_issuer.client.secret
    at_issuer.issuer.misbehave(
        "members", on="register", times=1, client_id="robot-1", client_secret=secret, registration_client_uri=uri
    )
    with pytest.raises(PolicyError, match="is the current one"):
        at_issuer.begin("registration")
    assert at_issuer.works()

    renewed = "another-secret-of-the-same-client"
    at_issuer.client.secret = renewed
    at_issuer.issuer.misbehave(
        "members", on="register", times=1, client_id="robot-1", client_secret=renewed, registration_client_uri=uri
    )
    assert "grace" == at_issuer.begin("registration", accept_changes=True).step
    at_issuer.finish()
    assert at_issuer.works()
