"""Scripts that loop through a rotation: no call fails. The other kinds, and a minute of all: ``tests/peers``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from crash_house import Bearer, Robot, rotating
from crew import crew
from issuer_house import IssuerHouse

from mcpvault.upkeep.keys import change_keys


class DataKey(Robot):
    """Gives the vault itself another key, beneath a client and its tokens: one step, and no grace."""

    def begin(self) -> None:
        """Seal everything again."""
        change_keys(self.house.open(), lambda change: change.rekey())

    def pass_grace(self) -> None:
        """Do nothing."""

    def end(self) -> str:
        """Do nothing."""
        return "done"


@contextmanager
def worked(how: str, home: Path) -> Iterator[Bearer | Robot]:
    """Furnish a house; what is rotated is what every call of a script goes by."""
    with rotating("registration" if how == "data-key" else how, home) as rotation:
        if isinstance(rotation.house, IssuerHouse) and how != "tokens":
            rotation.house.issuer.policy.access_lifetime = 2  # seconds: too short to be used twice
        yield DataKey(rotation.house, how) if how == "data-key" and isinstance(rotation, Robot) else rotation


HOW = ["manual", "exec", "private-key", "client-secret", "registration", "tokens", "data-key"]


@pytest.mark.parametrize("how", HOW)
def test_scripts_loop_through_a_rotation(how: str, home: Path, tmp_path: Path) -> None:
    """Two scripts, one rotation, its grace and its end, and each meets every script: not one failed call."""
    with worked(how, home) as rotation:
        name = "demo" if isinstance(rotation, Bearer) else "robot"
        with crew(rotation.house.env, name, 2, tmp_path / "crew") as scripts:
            rotation.prepare()
            rotation.begin()
            scripts.busy()
            rotation.pass_grace()
            assert "done" == rotation.end()
            scripts.busy()
    assert ([], True) == (scripts.failures, len(scripts.calls) >= 12)
