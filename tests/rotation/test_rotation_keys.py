"""The roll-over of a ``private_key_jwt`` client's key, at issuers that know of a new one late, or mind no ``kid``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from issuer_house import IssuerHouse, issuer_house

from mcpvault.errors import PolicyError, TransportError
from mcpvault.state.fallbacks import counted

CACHE = 30.0  # seconds; less than clocks may differ by


@pytest.fixture
def house(home: Path) -> Iterator[IssuerHouse]:
    """A vault with a client's key, of which the entry knows no ``kid``."""
    with issuer_house(home) as made:
        made.with_key()
        yield made


def published(house: IssuerHouse) -> int:
    """Return how many public keys can be fetched."""
    return len(json.loads(house.published.read_text())["keys"])


def test_an_issuer_that_keeps_the_keys_for_a_while_is_waited_for(house: IssuerHouse) -> None:
    """It is said, in the journal too, and scripts go on with the old key meanwhile."""
    house.issuer.policy.jwks_cache = CACHE
    assert house.works()
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        assert house.works()
        house.issuer.advance(CACHE)

    journal = house.begin(known_within=60.0, tell=tell)

    assert ["robot: the issuer does not know the new key yet; it is asked again until 20"] == [
        each[:75] for each in told
    ]
    assert ("grace", None) == (journal.step, journal.problem)
    assert (True, "done", True) == (house.works(), house.finish().step, house.works())
    written = "".join(path.read_text() for path in house.open().state.path.glob("audit*"))
    assert "does not know the new key yet" in written


def test_an_issuer_that_keeps_them_for_longer_gets_the_old_key_back(house: IssuerHouse) -> None:
    """After the time allowed it is rolled back, which locks nobody out, neither now nor when the issuer looks again."""
    house.issuer.policy.jwks_cache = CACHE
    assert house.works()
    machine = house.machine("robot", known_within=0.3)

    with pytest.raises(PolicyError, match="rolled back"):
        machine.start("auth.private_key", "private-key", grace="1h")

    assert any("the new key was refused for 0.3 s after it was published" in each for each in machine.remarks)
    assert ("aborted", ["current"], 1) == (
        house.robot.step,
        [*house.stages("robot", "auth.private_key")],
        published(house),
    )
    assert house.works()
    house.issuer.advance(CACHE)
    assert house.works()
    house.issuer.policy.jwks_cache = 0
    house.issuer.advance(CACHE)
    assert ("grace", True) == (house.begin().step, house.works())


@pytest.mark.parametrize("rule", ["chosen", "ignored", "needed"])
def test_a_key_without_a_kid_rolls_over(rule: str, house: IssuerHouse) -> None:
    """Whatever an issuer makes of ``kid``: a script gets through while both keys are published, and afterwards."""
    house.issuer.policy.kid = rule  # type: ignore[assignment]
    house.server.misbehave("bad-gateway")
    with pytest.raises(TransportError):
        house.begin(timeout=2.0)
    house.server.behave()
    assert ("stored", 2, True) == (house.robot.step, published(house), house.works())
    # Where a key must be named among several, that is the other one: the old one has no name.
    assert (1 if rule == "needed" else 0) == counted(house.open().state, "robot", house.robot.id)[0]

    assert "grace" == house.machine("robot").resume().step
    assert (True, "done", 1, True) == (house.works(), house.finish().step, published(house), house.works())


def test_an_issuer_that_takes_the_first_key_only_takes_no_other(house: IssuerHouse) -> None:
    """There the old one stays first, and stays in use."""
    house.issuer.policy.kid = "first"

    with pytest.raises(PolicyError, match="rolled back"):
        house.begin()

    assert ("aborted", 1, True) == (house.robot.step, published(house), house.works())


def test_the_new_key_is_kept_until_the_old_one_is_good_again(house: IssuerHouse) -> None:
    """An issuer that still knows two keys refuses one without a name: scripts use the other until it looks again."""
    house.issuer.policy.kid = "needed"
    house.begin()
    house.issuer.policy.jwks_cache = CACHE
    assert house.works()

    with pytest.raises(PolicyError, match="still takes the new auth.private_key and not the old one"):
        house.machine("robot").roll_back()
    assert (True, 1) == (house.robot.undo, published(house))
    assert house.works()

    house.issuer.advance(CACHE)
    assert "aborted" == house.machine("robot").resume().step
    assert ({"current"}, True) == ({*house.stages("robot", "auth.private_key")}, house.works())
