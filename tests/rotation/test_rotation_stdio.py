"""Rotating a variable of a stdio server: a real program, which starts only with a token that it knows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rotation_house import NEW, OLD, RotationHouse, new_home

from mcpvault import Secret
from mcpvault.errors import McpVaultError, PolicyError
from mcpvault.testing import FakeMcpServer
from vault_schema import Rotation

DAY = 86_400
# Ends at once without its network, and with a token that the issuer does not know: two reasons, one exit status.
SERVER = """
import os, pathlib, runpy, sys
home = pathlib.Path(__file__).parent
if not (home / "network").exists() or os.environ["API_TOKEN"] not in (home / "tokens").read_text().split():
    sys.exit(1)
runpy.run_module("mcpvault.testing.stdio_server", run_name="__main__")
"""


@pytest.fixture
def house(home: Path) -> Iterator[RotationHouse]:
    """A vault whose entry ``demo`` is a program with a token; ``network`` and ``tokens`` are files beside it."""
    program = home / "server.py"
    program.write_text(SERVER)
    (home / "network").touch()
    (home / "tokens").write_text(OLD)
    with FakeMcpServer() as unused:
        made = RotationHouse(new_home(home), unused)
        with made.open().change() as change:
            change.add_server("demo", {"command": sys.executable, "args": [str(program)]})
            change.set_secret("demo", "env.API_TOKEN", Secret(OLD))
        yield made


def rotate(house: RotationHouse) -> Rotation:
    """Rotate the token by hand."""
    return house.machine(secret=NEW, timeout=20.0).start("env.API_TOKEN", "manual", grace="24h")


def network(house: RotationHouse, *, up: bool) -> None:
    """Let the program start, or not."""
    path = Path(house.env["HOME"]) / "network"
    path.touch() if up else path.unlink()


def known(house: RotationHouse, *tokens: str) -> None:
    """Let the issuer know these tokens."""
    (Path(house.env["HOME"]) / "tokens").write_text(" ".join(tokens))


def test_a_token_that_the_program_ends_over_is_rolled_back(house: RotationHouse) -> None:
    """The old one works at the same moment: it is the new one's fault."""
    with pytest.raises(PolicyError, match="rolled back"):
        rotate(house)
    assert ("aborted", {"current": OLD}) == (house.journal.step, house.stages(path="env.API_TOKEN"))


def test_a_program_that_cannot_start_decides_nothing(house: RotationHouse) -> None:
    """Neither a new token is given up by it, nor an old one called dead; the rotation waits at its step."""
    known(house, OLD, NEW)
    network(house, up=False)
    with pytest.raises(McpVaultError) as told:
        rotate(house)
    assert (4, "stored") == (told.value.exit_code, house.journal.step)

    network(house, up=True)
    assert "grace" == house.machine().resume().step
    house.shift = DAY + 1
    network(house, up=False)
    with pytest.raises(McpVaultError) as told:
        house.machine(timeout=20.0).resume()
    assert (4, "revoked", OLD) == (
        told.value.exit_code, house.journal.step, house.stages(path="env.API_TOKEN")["previous"],
    )  # fmt: skip

    network(house, up=True)
    with pytest.raises(PolicyError, match="still accepted"):
        house.machine(require_dead=True).resume()
    known(house, NEW)
    assert "done" == house.machine().resume().step
    assert {"current": NEW} == house.stages(path="env.API_TOKEN")


def test_a_token_that_dies_when_it_comes_into_use_is_rolled_back(house: RotationHouse) -> None:
    """Refused by the program that the old one still starts."""
    known(house, OLD, NEW)
    rotate(house)
    journal = house.journal.fields() | {"step": "promoted", "command": None, "undo": None}
    with house.open().change() as change:
        change.table("demo")["rotation"] = {name: value for name, value in journal.items() if value is not None}
    known(house, OLD)

    with pytest.raises(PolicyError, match="rolled back"):
        house.machine(timeout=20.0).resume()
    assert {"current": OLD} == house.stages(path="env.API_TOKEN")


def test_a_rotation_ends_by_force_though_nobody_could_look(house: RotationHouse) -> None:
    """A program that does not start any more keeps it open, until somebody says that it may end as it is."""
    known(house, OLD, NEW)
    rotate(house)
    house.shift = DAY + 1
    network(house, up=False)
    with pytest.raises(McpVaultError):
        house.machine(timeout=20.0).resume()

    journal = house.machine(timeout=20.0, force=True).resume()
    assert ("done", True) == (journal.step, "nobody has seen the old env.API_TOKEN refused" in str(journal.problem))
