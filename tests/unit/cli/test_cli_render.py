"""What people read of a server's offer and answers."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault.cli import render


def test_a_tool_is_described_with_its_arguments() -> None:
    """Name, words, behaviour and every argument with type, need, bounds and description."""
    raw: dict[str, Any] = {
        "name": "search",
        "description": "Finds issues.\nNewest first.",
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
        "inputSchema": {
            "type": "object",
            "$defs": {"Where": {"type": "object", "properties": {"team": {"type": "string"}}}},
            "required": ["query"],
            "properties": {
                "query": {"type": "string", "description": "What to look for.", "minLength": 1},
                "limit": {"type": "integer", "default": 10, "maximum": 50},
                "order": {"enum": ["asc", "desc"]},
                "where": {"$ref": "#/$defs/Where"},
            },
        },
    }

    assert """\
search
  Finds issues.
  Newest first.

  the server says: only reads, stays inside

arguments:
  query  string  (required, at least 1 characters)
      What to look for.
  limit  integer  (default 10, at most 50)
  order  "asc" | "desc"  (optional)
  where  object  (optional)
    team  string  (optional)""" == render.tool(raw)


def test_a_tool_without_arguments_says_so() -> None:
    """No properties, no list."""
    assert "now\n\narguments: none" == render.tool({"name": "now", "inputSchema": {"type": "object"}})


def test_a_schema_that_refers_to_itself_ends() -> None:
    """A recursive schema is spelled out to a fixed depth."""
    node = {"type": "object", "properties": {"child": {"$ref": "#/$defs/Node"}}}
    raw = {
        "name": "walk",
        "inputSchema": {"$defs": {"Node": node}, "properties": {"root": {"$ref": "#/$defs/Node"}}},
    }

    assert 4 == len(render.tool(raw).split("arguments:\n")[1].splitlines())


@given(st.text())
def test_no_control_character_reaches_a_terminal(text: str) -> None:
    """Escape sequences, bells and reordering marks are dropped; line breaks and tabs stay."""
    shown = render.printable(text)

    assert [] == [
        c for c in shown if (ord(c) < 0x20 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066"
    ]


def test_blocks_become_text_and_notes() -> None:
    """Text, embedded text and links are text; an image is a note with its type and size."""
    image = {"type": "image", "mimeType": "image/png", "data": base64.b64encode(b"12345678").decode()}
    content = [
        {"type": "text", "text": "one"},
        {"type": "resource", "resource": {"uri": "x:1", "text": "two"}},
        {"type": "resource_link", "uri": "x:2", "name": "three"},
        image,
    ]

    text, notes = render.blocks(content)

    assert "one\ntwo\nx:2" == render.joined(text)
    assert [None, None, "text/uri-list"] == [kind for _, kind in text]
    assert ["image not shown: image/png, 8 bytes; use --save DIR to keep it, or --json to see it"] == notes


def test_a_prompt_is_shown_by_role() -> None:
    """Each message stands after the role that speaks it."""
    raw = {"messages": [{"role": "user", "content": {"type": "text", "text": "hello"}}]}

    assert "user: hello" == render.messages(raw)


def test_types_are_words() -> None:
    """Lists, alternatives, formats and unknown types have words."""
    assert "array of string" == render.type_text({"type": "array", "items": {"type": "string"}})
    assert "array of (string | null)" == render.type_text({"type": "array", "items": {"type": ["string", "null"]}})
    assert "string (uri)" == render.type_text({"type": "string", "format": "uri"})
    assert "anything" == render.type_text({})


@pytest.mark.parametrize(
    "schema",
    [
        {"required": 5, "properties": {"a": {"enum": 5}}},
        {"required": "abc", "properties": {"a": {"items": 5, "anyOf": 5}}},
        {"required": {"a": 1}, "properties": {"a": 5}},
    ],
)
def test_a_schema_that_is_none_is_shown_as_far_as_it_goes(schema: Any) -> None:
    """What a server writes where a list or an object belongs is as good as absent."""
    assert "x\n\narguments:\n  a  anything  (optional)" == render.tool({"name": "x", "inputSchema": schema})


def test_a_list_of_itself_ends() -> None:
    """A type that refers to itself is spelled out to a fixed depth."""
    whole = {"$defs": {"Deep": {"type": "array", "items": {"$ref": "#/$defs/Deep"}}}}

    assert "array of array of array of array" == render.type_text({"$ref": "#/$defs/Deep"}, whole)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("hello", "user: hello"),
        ([{"type": "text", "text": "a"}, 5, {"type": "text", "text": "b"}], "user: a\nb"),
        (5, "user: "),
        (None, "user: "),
    ],
)
def test_a_prompt_whose_content_is_no_block_is_shown(content: Any, shown: str) -> None:
    """Bare text and lists of blocks are shown as what they mean; what means nothing, as nothing."""
    assert shown == render.messages({"messages": [{"role": "user", "content": content}]})
