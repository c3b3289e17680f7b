"""What setup.cfg promises of other libraries is what is tested."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def extras() -> dict[str, str]:
    """Return the extras of setup.cfg and what each asks for."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return {name: asked.strip() for name, asked in parser["options.extras_require"].items()}


@pytest.mark.parametrize("library", ["mcp", "fastmcp"])
def test_an_adapters_extra_begins_where_its_tests_do(library: str) -> None:
    """The oldest peer that the adapter is tested with is the least that is asked for."""
    peers = re.findall(rf"\b{library}==([0-9]+)\.([0-9]+)", (ROOT / "scripts/peers").read_text())

    oldest = min(tuple(map(int, version)) for version in peers)
    assert f"{library}>={oldest[0]}.{oldest[1]}" == extras()[library]


def test_every_extra_is_somebodys() -> None:
    """Each but the tools of the workshop is imported by a module, and listed with its reason."""
    sources = "".join(path.read_text("utf-8") for path in ROOT.glob("mcpvault/**/*.py"))
    decisions = (ROOT / "mcpvault/DECISIONS.md").read_text("utf-8")
    for library in extras().keys() - {"dev", "fuzz"}:
        # fastmcp's storage is told by the shape of its methods alone.
        assert library == "fastmcp" or re.search(rf"^ +(?:import|from) {library}\b", sources, re.M), library
        assert re.search(rf"^\| .*\b{library}\b.* \|", decisions, re.M), library
