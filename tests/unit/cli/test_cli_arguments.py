"""How a typed word becomes a JSON value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcpvault.cli.arguments import add_pairs, from_text, types_of
from mcpvault.errors import UsageError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "$defs": {"Size": {"type": "integer"}},
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "dry": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"$ref": "#/$defs/Size"}},
        "where": {"type": "object"},
        "maybe": {"type": ["string", "null"]},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "level": {"enum": [1, 2, 3]},
        "size": {"$ref": "#/$defs/Size"},
        "loop": {"$ref": "#/properties/loop"},
    },
}


def no_stdin() -> str:
    """Fail the test: nothing should have read stdin."""
    raise AssertionError("stdin was read")


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("text=7", "7"),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("count=7", 7),
        ("count=-7", -7),
        ("ratio=7", 7),
        ("ratio=0.5", 0.5),
        ("dry=true", True),
        ("dry=false", False),
        ("tags=one", ["one"]),
        ('tags=["one", "two"]', ["one", "two"]),
        ("sizes=3", [3]),
        ('where={"a": 1}', {"a": 1}),
        ("maybe=null", None),
        ("maybe=x", "x"),
        ("limit=5", 5),
        ("limit=null", None),
        ("level=2", 2),
        ("size=4", 4),
        ("loop=x", "x"),
        ("unknown=5", "5"),
    ],
)
def test_a_word_gets_the_type_that_the_schema_gives_it(pair: str, value: object) -> None:
    """``key=value`` is typed by the schema of its key; an unknown key is text."""
    assert {pair.partition("=")[0]: value} == add_pairs({}, [pair], SCHEMA)


@pytest.mark.parametrize("pair", ["count=x", "count=1.5", "count=true", "ratio=NaN", "dry=1", "dry=yes", "where=[1]"])
def test_a_word_that_does_not_fit_is_refused(pair: str) -> None:
    """A value of the wrong type is a usage error that names the argument."""
    with pytest.raises(UsageError, match=f"argument '{pair.partition('=')[0]}': expected an? "):
        add_pairs({}, [pair], SCHEMA)


def test_json_is_taken_as_it_is() -> None:
    """``key:=json`` does not ask the schema."""
    assert {"text": 7, "new": [1, {"a": None}]} == add_pairs({}, ["text:=7", 'new:=[1, {"a": null}]'], SCHEMA)


def test_a_list_grows_by_one_item_per_pair() -> None:
    """Repeating a list's key adds items; the first pair replaces what the JSON said."""
    assert {"tags": ["a", "b"]} == add_pairs({"tags": ["old"]}, ["tags=a", "tags=b"], SCHEMA)


def test_the_last_pair_wins() -> None:
    """A pair replaces what the JSON text or an earlier pair said."""
    assert {"count": 3} == add_pairs({"count": 1}, ["count=2", "count=3"], SCHEMA)


@pytest.mark.parametrize("pair", ["text", "=x", ":=1"])
def test_a_pair_needs_a_key_and_a_sign(pair: str) -> None:
    """A word that is no pair is a usage error, not an argument."""
    with pytest.raises(UsageError, match="expected key=value or key:=json"):
        add_pairs({}, [pair], SCHEMA)


def test_arguments_come_from_text_file_or_stdin(tmp_path: Path) -> None:
    """The JSON object stands on the command line, in a file, or on stdin."""
    path = tmp_path / "arguments.json"
    path.write_text('{"from": "file"}')

    assert {} == from_text(None, no_stdin)
    assert {"from": "argv"} == from_text('{"from": "argv"}', no_stdin)
    assert {"from": "file"} == from_text(f"@{path}", no_stdin)
    assert {"from": "stdin"} == from_text("-", lambda: '{"from": "stdin"}')


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "arguments: not JSON: expecting property name"),
        ("[1]", "arguments: expected a JSON object, got array"),
        ('{"a": NaN}', "arguments: not JSON: NaN"),
        ("[" * 100_000, "arguments: (not JSON|JSON nested too deeply)"),
        ("@/does/not/exist", "/does/not/exist: no such file"),
    ],
)
def test_what_is_no_object_is_refused(text: str, why: str) -> None:
    """Anything but a JSON object is a usage error that says where and why."""
    with pytest.raises(UsageError, match=why):
        from_text(text, no_stdin)


def test_types_of_values_that_are_listed() -> None:
    """``enum`` and ``const`` say a type when ``type`` does not."""
    assert ["string", "null"] == types_of({"enum": ["a", None, "b"]})
    assert ["boolean"] == types_of({"const": True})


@pytest.mark.parametrize("part", [{"enum": 5}, {"anyOf": 5}, {"oneOf": {"type": "string"}}, {"type": 5}])
def test_a_schema_that_is_none_says_no_type(part: dict[str, Any]) -> None:
    """What a server writes where a list belongs is as good as absent: the value is text."""
    assert [] == types_of(part)
    assert {"a": "7"} == add_pairs({}, ["a=7"], {"properties": {"a": part}})


@pytest.mark.parametrize("schema", [5, [5], {"properties": 5}, {"properties": {"a": 5}}])
def test_what_is_no_schema_knows_no_property(schema: Any) -> None:
    """Then every value is text."""
    assert {"a": "7"} == add_pairs({}, ["a=7"], schema)


@pytest.mark.parametrize("items", [5, [{"type": "integer"}], None])
def test_items_that_are_no_schema_are_text(items: Any) -> None:
    """A list is still a list."""
    schema = {"properties": {"a": {"type": "array", "items": items}}}

    assert {"a": ["7", "8"]} == add_pairs({}, ["a=7", "a=8"], schema)
