"""Every line of the seed is shown by a test, belongs to a later issue, or is left knowingly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tables import missing, rows, shown_by

TABLE = Path(__file__).with_name("seed.md")
LATER = {"4", "5"}


def test_the_table_is_complete() -> None:
    """The seed has 92 lines; the table has each of them, once and in order."""
    listed = re.findall(r"^\| (S\d+) ", TABLE.read_text("utf-8"), re.MULTILINE)

    assert [f"S{number}" for number in range(1, 93)] == listed == list(rows(TABLE))


@pytest.mark.parametrize("line", rows(TABLE))
def test_the_line_is_answered(line: str) -> None:
    """Each row names tests that exist, a later issue, or a deviation with its reason."""
    answer = rows(TABLE)[line]
    tests = shown_by(answer)
    later = re.findall(r"\bissue (\d+)", answer)
    left = re.findall(r"\bleft: (.{20,})", answer)

    assert tests or later or left
    assert [] == [issue for issue in later if issue not in LATER]
    assert [] == missing(tests)
