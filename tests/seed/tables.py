"""Tables of claims: each row has an id, what is claimed, and the tests that show it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rows(table: Path, number: str = r"S\d+") -> dict[str, str]:
    """Return the last cell of each row of *table* whose first cell fits *number*."""
    found = re.findall(rf"^\| ({number}) \| .* \| ([^|]+) \|$", table.read_text("utf-8"), re.MULTILINE)
    assert len(found) == len(dict(found)), "an id stands twice"
    return dict(found)


def shown_by(answer: str) -> list[str]:
    """Return the tests that a cell names."""
    return re.findall(r"`(tests/[^`]+)`", answer)


def missing(tests: list[str]) -> list[str]:
    """Return those of *tests* that do not exist."""
    named = [(test, *test.partition("::")[::2]) for test in tests]
    return [test for test, path, name in named if name.partition("[")[0] not in functions_in(path)]


@cache
def functions_in(path: str) -> frozenset[str]:
    """Return the names of the test functions in one file, those of classes as ``Class::test``."""
    names = set()
    file = ROOT / path
    for node in ast.parse(file.read_text("utf-8")).body if file.is_file() else ():
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return frozenset(names)
