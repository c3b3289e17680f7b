"""Every duty of an MCP client is shown by tests, or left with its reason in DECISIONS.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tables import ROOT, missing, rows, shown_by

TABLE, PROTOCOL = Path(__file__).with_name("duties.md"), Path(__file__).with_name("protocol.md")
DUTY, OF_PROTOCOL = r"[ACE]\d+", r"[TDSLMPF]\d+"
DUTIES = rows(TABLE, DUTY) | rows(PROTOCOL, OF_PROTOCOL)
DECISIONS = (ROOT / "mcpvault/DECISIONS.md").read_text("utf-8")
# As the table of duties numbers them; the numbers between were never given.
GIVEN = (
    *((1, 7), (10, 15), (20, 27), (30, 37), (40, 50), (60, 63), (70, 76), (80, 85), (90, 94), (100, 106)),
    *((110, 114), (120, 129), (140, 145)),
)


def test_no_duty_is_left_out() -> None:
    """A1 to A145, those of the extensions for client credentials (C) and enterprise-managed authorization (E)."""
    wanted = [f"A{number}" for first, last in GIVEN for number in range(first, last + 1)]
    wanted += [f"{letter}{number}" for letter in "CE" for number in range(1, 6)]

    assert wanted == list(rows(TABLE, DUTY))


def test_no_duty_of_the_protocol_is_left_out() -> None:
    """Transports, eras, stdio, lifecycle, rounds, schemas, features."""
    given = {"T": ((1, 12), (20, 27), (40, 50), (60, 64)), "D": ((1, 9),), "S": ((1, 12),), "L": ((1, 9), (20, 22))}
    given |= {"M": ((1, 5),), "P": ((1, 3),), "F": ((1, 8),)}
    wanted = [f"{kind}{n}" for kind, parts in given.items() for first, last in parts for n in range(first, last + 1)]

    assert wanted == list(rows(PROTOCOL, OF_PROTOCOL))


@pytest.mark.parametrize("duty", DUTIES)
def test_the_duty_is_done(duty: str) -> None:
    """The row names tests that exist; what it calls ``left`` or ``other`` has its line in DECISIONS.md."""
    answer = DUTIES[duty]
    tests = shown_by(answer)

    assert [] == missing(tests)
    assert tests or answer == "left"
    if re.search(r"\b(left|other)$", answer):
        assert re.search(rf"^\| {duty} \| .{{20,}} \|$", DECISIONS, re.MULTILINE), f"DECISIONS.md has no line on {duty}"
