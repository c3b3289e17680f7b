"""Every line of the seed is shown by a test, belongs to a later issue, or is left knowingly."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("seed.md")
LATER = {"3", "4", "5"}


def rows() -> dict[str, str]:
    """Return what the table says about each line of the seed."""
    found = re.findall(r"^\| (S\d+) \| [^|]+ \| ([^|]+) \|$", TABLE.read_text("utf-8"), re.MULTILINE)
    return dict(found)


def functions_in(path: Path) -> set[str]:
    """Return the names of the test functions in one file, those of classes as ``Class::test``."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return names


def test_the_table_is_complete() -> None:
    """The seed has 92 lines; the table has each of them, once and in order."""
    listed = re.findall(r"^\| (S\d+) ", TABLE.read_text("utf-8"), re.MULTILINE)

    assert [f"S{number}" for number in range(1, 93)] == listed == list(rows())


@pytest.mark.parametrize("line", rows())
def test_the_line_is_answered(line: str) -> None:
    """Each row names tests that exist, a later issue, or a deviation with its reason."""
    answer = rows()[line]
    tests = re.findall(r"`(tests/[^`]+)`", answer)
    later = re.findall(r"\bissue (\d+)", answer)
    left = re.findall(r"\bleft: (.{20,})", answer)

    assert tests or later or left
    assert [] == [issue for issue in later if issue not in LATER]
    missing = []
    for test in tests:
        path, _, name = test.partition("::")
        if not (ROOT / path).is_file() or name.partition("[")[0] not in functions_in(ROOT / path):
            missing.append(test)
    assert [] == missing
