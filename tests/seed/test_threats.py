"""THREATS.md says what was tried and what became of it: each attack has a test that exists, or is told as a limit."""

from __future__ import annotations

import re

import pytest
from tables import ROOT, missing, rows, shown_by

TABLE = ROOT / "mcpvault/THREATS.md"
THREAT = r"T\d+"
# What the review had to look at, by a word of its row.
ASKED_FOR = (
    *("mix-up", "names its own authorization server", "another issuer", "another resource", "private network"),
    *("every hop", "`javascript:`", "`file:`", "callback", "code is replayed", "logs", "two methods"),
)


def test_the_numbers_have_no_gap() -> None:
    """T1, T2, and so on."""
    found = list(rows(TABLE, THREAT))

    assert [f"T{number}" for number in range(1, len(found) + 1)] == found


@pytest.mark.parametrize("word", ASKED_FOR)
def test_what_was_asked_for_is_there(word: str) -> None:
    """Each attack that the review had to look at has a row."""
    assert any(word in line for line in TABLE.read_text("utf-8").splitlines() if re.match(rf"\| {THREAT} ", line))


@pytest.mark.parametrize("threat", rows(TABLE, THREAT))
def test_the_attack_is_tried(threat: str) -> None:
    """The row names tests, and they exist."""
    tests = shown_by(rows(TABLE, THREAT)[threat])

    assert tests
    assert [] == missing(tests)


def test_the_review_is_read_by_those_who_use_the_package() -> None:
    """It lies in the package, and the README leads to it."""
    assert "](mcpvault/THREATS.md)" in (ROOT / "README.md").read_text("utf-8")
    assert re.search(r"^mcpvault = .*\*\.md", (ROOT / "setup.cfg").read_text("utf-8"), re.MULTILINE)
