"""MCP's official conformance suite against our client: every ``auth/`` scenario, each in a process of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.peer

_loader = SourceFileLoader("conformance_script", str(Path(__file__).parents[2] / "scripts/conformance"))
_spec = spec_from_loader(_loader.name, _loader)
assert _spec is not None
conformance: Any = module_from_spec(_spec)
_loader.exec_module(conformance)

SCENARIOS = {name: told for name, told in conformance.EXPECTED.items() if name.startswith("auth/")}


def runs() -> list[Any]:
    """Return every scenario at the newest revision it runs at, and marked ``storm`` at the older ones."""
    found = []
    for name, told in SCENARIOS.items():
        *older, newest = told["revisions"] or [None]
        found.append(pytest.param(name, newest, id=f"{name}@{newest or 'extension'}"))
        found += [pytest.param(name, one, id=f"{name}@{one}", marks=pytest.mark.storm) for one in older]
    return found


@pytest.fixture(autouse=True)
def suite(peer_path: Callable[[str], str]) -> list[str]:
    """Return the command of the suite."""
    node = peer_path("node/node_modules/node/bin/node")
    return [node, peer_path("conformance/node_modules/.bin/conformance")]


@pytest.mark.parametrize(("scenario", "revision"), runs())
def test_the_scenario_passes(scenario: str, revision: str | None) -> None:
    """No check fails or warns, every check that a working client meets is seen to succeed, and the client ends well."""
    assert [] == conformance.run(scenario, revision)


def test_no_scenario_is_left_out(suite: list[str]) -> None:
    """The suite knows no ``auth/`` scenario that is not run here."""
    listed = subprocess.run([*suite, "list", "--client"], capture_output=True, text=True, timeout=60, check=True)

    assert {*SCENARIOS} == {word for word in listed.stdout.split() if word.startswith("auth/")}


def test_doing_nothing_does_not_pass() -> None:
    """A client that sends nothing is told so, scenario by scenario: the suite's own exit code would not do."""
    wrong = conformance.run("auth/authorization-server-migration", None, client="true")

    assert "not seen to succeed: token-request" in wrong
