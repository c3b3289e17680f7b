"""MCP's official conformance suite against our client: every scenario, each in a process of its own."""

from __future__ import annotations

import re
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

SCENARIOS = conformance.EXPECTED
SKILLS = {f"sep-2640-client-{what}" for what in ("no-prefetch", "verify-digest", "verify-size", "verify-frontmatter")}
NULL_CLIENT_PASSES = ["initialize", "http-standard-headers"]  # by the suite's exit code: it checks nothing then


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
    """The suite knows no client scenario that is not run here, but those on skills, which mcpvault does not load."""
    listed = subprocess.run([*suite, "list", "--client"], capture_output=True, text=True, timeout=60, check=True)

    assert {*SCENARIOS} | SKILLS == {line.split()[1] for line in listed.stdout.splitlines() if line.startswith("  - ")}


@pytest.mark.parametrize("revision", conformance.SETS)
def test_what_a_revision_requires_is_run_at_it(revision: str) -> None:
    """No scenario of the frozen sets of requirements is missing among those that are run at that revision."""
    required = conformance.required(revision)

    assert {"2025-11-25": 18, "2026-07-28": 32}[revision] == len(required)
    assert [] == [name for name in required if revision not in SCENARIOS[name]["revisions"]]


@pytest.mark.storm
@pytest.mark.parametrize("revision", conformance.SETS)
def test_the_requirements_are_met(revision: str) -> None:
    """By the suite's own verdict nothing fails or warns, and every check that we expect is seen there too."""
    assert [] == conformance.run_requirements(revision)


@pytest.mark.parametrize("scenario", ["auth/authorization-server-migration", *NULL_CLIENT_PASSES])
def test_doing_nothing_does_not_pass(scenario: str) -> None:
    """A client that sends nothing is told so, scenario by scenario: the suite's own exit code would not do."""
    wrong = conformance.run(scenario, None, client="true")

    assert f"not seen to succeed: {min(SCENARIOS[scenario]['checks'])}" in wrong


def test_the_library_knows_of_no_scenario() -> None:
    """No module of ours mentions the suite's variables or a scenario's name."""
    own = [name for name in SCENARIOS if name != "initialize"]  # a method's name too
    names = re.compile("|".join(["MCP_CONFORMANCE", *(re.escape(f'"{name}"') for name in own)]))
    modules = (conformance.ROOT / "mcpvault").rglob("*.py")

    assert [] == [path.name for path in modules if names.search(path.read_text("utf-8"))]
