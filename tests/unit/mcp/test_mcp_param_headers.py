"""Arguments mirrored into headers: which annotations are valid, and what each header says."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault.errors import UsageError
from mcpvault.mcp.era import may_mirror
from mcpvault.mcp.param_headers import annotations_of, headers_for


def schema(kind: Any = "string", name: Any = "Region") -> dict[str, Any]:
    """Return the schema of an argument that is to be mirrored."""
    return {"type": kind, "x-mcp-header": name}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, {}),
        ({"a": {"type": "string"}}, {}),
        ({"a": schema()}, {("a",): "Region"}),
        ({"a": schema("integer"), "b": schema("boolean", "B")}, {("a",): "Region", ("b",): "B"}),
        ({"a": schema(["string", "null"])}, {("a",): "Region"}),
        ({"a": {"type": "object", "properties": {"b": schema()}}}, {("a", "b"): "Region"}),
        ({"x-mcp-header": {"type": "string"}}, {}),
        ({"a": {"type": "string", "default": {"x-mcp-header": "no annotation"}}}, {}),
        ({"properties": schema()}, {("properties",): "Region"}),
    ],
)
def test_valid_annotations_are_found(properties: dict[str, Any], expected: Any) -> None:
    """Annotations on text, integers and booleans, at any depth that properties alone lead to."""
    assert expected == annotations_of({"type": "object", "properties": properties})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "string") for name in ("", "My Region", "Region:Primary", "Région", "Region\t1", "a\r\nb", 7, None)),
        *(("Region", kind) for kind in ("number", "object", "array", "null", None, ["string", "integer"], 7)),
    ],
)
def test_names_and_types_are_checked(name: Any, kind: Any) -> None:
    """A name is a header's token, a type is text, integer or boolean."""
    assert isinstance(annotations_of({"properties": {"a": schema(kind, name)}}), str)


def test_names_are_unique_whatever_their_case() -> None:
    """Two arguments cannot share a header."""
    found = annotations_of({"properties": {"a": schema(name="Region"), "b": schema(name="rEGION")}})

    assert isinstance(found, str)


@pytest.mark.parametrize(
    "where",
    [
        {"items": schema()},
        {"properties": {"a": {"type": "array", "items": {"properties": {"b": schema()}}}}},
        {"oneOf": [{"properties": {"a": schema()}}]},
        {"anyOf": [schema()]},
        {"allOf": [{"properties": {"a": schema()}}]},
        {"not": {"properties": {"a": schema()}}},
        {"if": {"properties": {"a": schema()}}},
        {"then": schema()},
        {"$defs": {"a": schema()}, "properties": {"a": {"$ref": "#/$defs/a"}}},
        {"additionalProperties": schema()},
        {"patternProperties": {"a": schema()}},
        schema(),
    ],
)
def test_only_properties_lead_to_an_annotation(where: dict[str, Any]) -> None:
    """An annotation behind any other keyword makes the tool invalid."""
    assert isinstance(annotations_of({"type": "object", **where}), str)


@pytest.mark.parametrize("nonsense", [None, 7, [], {"properties": 7}, {"properties": {"a": 7}}, {"oneOf": {"a": 1}}])
def test_what_is_no_schema_has_no_annotations(nonsense: Any) -> None:
    """A schema of another shape is somebody else's problem."""
    assert {} == annotations_of(nonsense)


def test_depth_is_no_danger() -> None:
    """A schema nested a hundred thousand times is walked without recursion."""
    deep: dict[str, Any] = schema()
    for _ in range(100_000):
        deep = {"properties": {"a": deep}}

    assert isinstance(annotations_of(deep), dict)
    assert may_mirror({"tools": [{"inputSchema": deep}]})


@pytest.mark.parametrize("page", [{}, {"tools": 7}, {"tools": []}, {"tools": [{"inputSchema": {"type": "object"}}, 7]}])
def test_a_page_without_annotations_needs_no_closer_look(page: dict[str, Any]) -> None:
    """Where no tool holds the keyword, nothing is mirrored."""
    assert not may_mirror(page)


@pytest.mark.parametrize("where", [{"properties": {"a": schema()}}, {"items": schema()}, schema()])
def test_a_page_with_an_annotation_needs_a_closer_look(where: dict[str, Any]) -> None:
    """Wherever a tool holds the keyword, valid or not, its page is looked at closely."""
    assert may_mirror({"tools": [{"name": "plain"}, {"name": "mirrored", "inputSchema": where}]})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("us-west1", "us-west1"),
        ("us west 1", "us west 1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("", "=?base64??="),
        (42, "42"),
        (-7, "-7"),
        (42.0, "42"),
        (2**53 - 1, "9007199254740991"),
        (True, "true"),
        (False, "false"),
        (None, None),
        ([1], None),
        (1.5, None),
    ],
)
def test_values_are_encoded(value: Any, expected: str | None) -> None:
    """The examples of the specification, and what is left out."""
    found = headers_for({("a",): "X"}, {"a": value})

    assert ({} if expected is None else {"Mcp-Param-X": expected}) == found


def test_absent_arguments_have_no_header() -> None:
    """Only what is there is mirrored, at the exact path."""
    mirrored = {("a", "b"): "B", ("c",): "C"}

    for arguments in ({}, {"a": {}}, {"a": 7}, {"a": None, "c": None}):
        assert {} == headers_for(mirrored, arguments)
    assert {"Mcp-Param-B": "1"} == headers_for(mirrored, {"a": {"b": 1, "c": 2}})


@pytest.mark.parametrize("value", [2**53, -(2**53), 1e300])
def test_integers_that_no_server_can_compare_are_refused(value: float) -> None:
    """Beyond what JavaScript holds exactly the header would lie."""
    with pytest.raises(UsageError, match="'a'"):
        headers_for({("a",): "X"}, {"a": value})


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_can_be_read_back(text: str) -> None:
    """A header means its argument, and cannot be another header's beginning."""
    value = headers_for({("a",): "X"}, {"a": text})["Mcp-Param-X"]

    assert value.isascii() and "\n" not in value and "\r" not in value
    encoded = value.startswith("=?base64?") and value.endswith("?=")
    assert text == (base64.b64decode(value[9:-2]).decode() if encoded else value)
