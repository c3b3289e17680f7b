"""``demo``: the main job on loopback, for real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, furnished


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and the server that it names."""
    with furnished(tmp_path) as made:
        yield made


def test_the_demo_tells_the_whole_story(house: House) -> None:
    """Init, add, call; login, call, expiry, refresh; a wrong token, a changed file: each is shown with its output."""
    before = house.vault.read_bytes()

    said = house.run("demo").stdout

    shown = [line for line in said.splitlines() if line.startswith("$ ")]
    assert [True] * len(shown) == ["mcpvault " in line for line in shown]
    assert "$ mcpvault call demo add -a a=2 -a b=40\n42\n" in said
    assert "logged in to oauth\n" in said
    assert 2 == said.count("$ mcpvault call oauth add -a a=2 -a b=40\n42\n"), "with the token, and refreshed"
    assert "[exit 3]" in said
    assert "[exit 6]" in said
    assert before == house.vault.read_bytes()


def test_the_demo_as_json(house: House) -> None:
    """``--json`` lists each step with its command, exit status and output."""
    steps = json.loads(house.run("demo", "--json").stdout)

    assert [0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 3, 6] == [step["exit"] for step in steps]


def test_a_port_in_use_is_exit_8(house: House) -> None:
    """The demo server says which port it could not have, and how to choose another."""
    done = house.run("demo", "--serve", "--port", str(house.server.port), code=8)

    assert "--port" in done.stderr
