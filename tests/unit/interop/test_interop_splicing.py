"""A value put into a JSON text: it says what it should, and everything else is as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpvault.interop.source import strict
from mcpvault.interop.splicing import put

NEW = {"b": [1]}
KEYS = st.text(max_size=3) | st.sampled_from(["a", "}", '"', "\\", "//", "/*", ","])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("{}", ("s", "a"), '{"s": {"a": {"b": [1]}}}'),
        ("{ }\n", ("a",), '{\n  "a": {\n    "b": [\n      1\n    ]\n  }\n}\n'),
        ('{"a": 1}', ("a",), '{"a": {"b": [1]}}'),
        ('{"x": 1}', ("a",), '{"x": 1, "a": {"b": [1]}}'),
        ('{"x": 1, }', ("a",), '{"x": 1, "a": {"b": [1]}, }'),
        ('{"a": 1, "a": 2}', ("a",), '{"a": 1, "a": {"b": [1]}}'),
        ('\ufeff// c\n{"a" /**/ : /* v */ 1.5e3/* e */}', ("a",), '\ufeff// c\n{"a" /**/ : /* v */ {"b": [1]}/* e */}'),
        ('{\n\t"x": 1 // one\n}', ("a",), '{\n\t"x": 1, // one\n\t"a": {\n\t\t"b": [\n\t\t\t1\n\t\t]\n\t}\n}'),
        ('{\n  "x": 1, // one\n}', ("x2",), '{\n  "x": 1, // one\n  "x2": {\n    "b": [\n      1\n    ]\n  },\n}'),
        ('{\n  "x": 1 }', ("a",), '{\n  "x": 1,\n  "a": {\n    "b": [\n      1\n    ]\n  }\n}'),
        ('{\r\n  "x": 1\r\n}', ("a",), '{\r\n  "x": 1,\r\n  "a": {\r\n    "b": [\r\n      1\r\n    ]\r\n  }\r\n}'),
        ('{\n  "s": {\n    // none yet\n  }\n}', ("s", "a"),
         '{\n  "s": {\n    "a": {\n      "b": [\n        1\n      ]\n    }\n    // none yet\n  }\n}'),
        ("{/* none */}", ("a",), '{"a": {"b": [1]}/* none */}'),
        ('{"i": [1]}', ("i", "-"), '{"i": [1, {"b": [1]}]}'),
        ('{"i": []}', ("i", "-"), '{"i": [{"b": [1]}]}'),
        ("{}", ("i", "-"), '{"i": [{"b": [1]}]}'),
    ],
    ids=[
        "made on the way", "an empty object of its own line", "replaced", "beside another", "a comma at the end",
        "the last of two counts", "comments", "a remark stays", "and behind a comma", "closed on the same line",
        "line ends", "a comment alone", "on one line", "an item", "the first item", "an array that is made",
    ],
)  # fmt: skip
def test_it_looks_as_its_surroundings(text: str, place: tuple[str, ...], expected: str) -> None:
    """Indented and broken into lines as what is beside it; not a byte more is changed."""
    assert expected == put(text, place, NEW)


def written(draw: Any, value: Any, wide: bool, depth: int = 0) -> str:
    """Return *value* in some layout, with comments and commas where they may be."""
    if not isinstance(value, dict | list) or not value:
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    remark = draw(st.sampled_from(["", "", " /* } */ ", " // ]\n"]))
    between = f"\n{'  ' * (depth + 1)}" if wide else draw(st.sampled_from(["", " "]))
    items = [(f"{json.dumps(key)}{remark}: ", value[key]) for key in value] if isinstance(value, dict) else [
        ("", each) for each in value
    ]  # fmt: skip
    inner = ",".join(f"{between}{name}{written(draw, each, wide, depth + 1)}{remark}" for name, each in items)
    comma = draw(st.sampled_from(["", ","]))
    ends = f"\n{'  ' * depth}" if wide else ""
    return f"{'{' if isinstance(value, dict) else '['}{inner}{comma}{ends}{'}' if isinstance(value, dict) else ']'}"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_there_stays(data: st.DataObject) -> None:
    """In any layout: the text says the same and the new value, and what is only added to keeps all its characters."""
    tree = data.draw(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=3))
    text = written(data.draw, tree, data.draw(st.booleans()))
    first, second = data.draw(st.sampled_from([*tree, "new"])), data.draw(KEYS)
    there = second in tree.get(first, {})

    made = put(text, (first, second), NEW)

    tree.setdefault(first, {})[second] = NEW  # type: ignore[index]
    assert tree == json.loads(strict(made))
    left = iter(made)
    assert there or all(char in left for char in text if not char.isspace())
