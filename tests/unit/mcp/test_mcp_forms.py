"""Forms and visits: what is a proper question, what fits it, and what deserves a warning."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault.errors import RemoteProtocolError, UsageError
from mcpvault.mcp import forms
from mcpvault.mcp.elicitation import FormElicitation, UrlElicitation, answer_of

TITLED = {"type": "string", "oneOf": [{"const": "#f00", "title": "Red"}, {"const": "#0f0", "title": "Green"}]}
SEVERAL = {"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}, "minItems": 1, "maxItems": 2}


def field(schema: dict[str, Any]) -> forms.Field:
    """Return the only field of a form."""
    (found,) = forms.fields_of({"properties": {"x": schema}}, server="s")
    return found


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, "", None),
        ({"type": "string"}, 1, "is no text"),
        ({"type": "string", "minLength": 2, "maxLength": 3}, "a", "must be 2 characters or more"),
        ({"type": "string", "minLength": 2, "maxLength": 3}, "abcd", "must be 3 characters or less"),
        ({"type": "string", "format": "email"}, "ada@example.com", None),
        ({"type": "string", "format": "email"}, "ada", "is no email"),
        ({"type": "string", "format": "uri"}, "https://example.com/a", None),
        ({"type": "string", "format": "uri"}, "example.com", "is no uri"),
        ({"type": "string", "format": "date"}, "2026-07-28", None),
        ({"type": "string", "format": "date"}, "20260728", "is no date"),
        ({"type": "string", "format": "date-time"}, "2026-07-28T01:02:03Z", None),
        ({"type": "string", "format": "date-time"}, "2026-07-28T01:02:03", "is no date-time"),
        ({"type": "string", "format": "of the future"}, "anything", None),
        ({"type": "number"}, 95.5, None),
        ({"type": "number"}, True, "is no number"),
        ({"type": "number"}, float("nan"), "is no number"),
        ({"type": "integer"}, 10**400, "is no number"),
        ({"type": "number", "minimum": 0}, -1, "must be 0 or more"),
        ({"type": "integer", "maximum": 9}, 10, "must be 9 or less"),
        ({"type": "integer"}, 1.5, "is no whole number"),
        ({"type": "integer"}, 2.0, None),
        ({"type": "boolean"}, False, None),
        ({"type": "boolean"}, "yes", "is neither true nor false"),
        ({"type": "string", "enum": ["a", "b"]}, "b", None),
        ({"type": "string", "enum": ["a", "b"]}, "c", "is none of the choices"),
        (TITLED, "#0f0", None),
        (TITLED, "Green", "is none of the choices"),
        (SEVERAL, ["a", "c"], None),
        (SEVERAL, [], "must be 1 choices or more"),
        (SEVERAL, ["a", "b", "c"], "must be 2 choices or less"),
        (SEVERAL, ["d"], "is no list of the choices"),
        (SEVERAL, "a", "is no list of the choices"),
    ],
)
def test_a_value_fits_or_does_not(schema: dict[str, Any], value: Any, expected: str | None) -> None:
    """Each rule of the restricted schemas, and the words for breaking it."""
    assert expected == field(schema).fault(value)


def test_choices_have_titles() -> None:
    """Titles come from the constants, from 2025-06-18's ``enumNames``, or are the values themselves."""
    assert (("#f00", "Red"), ("#0f0", "Green")) == field(TITLED).choices
    named = {"type": "string", "enum": ["a", "b"], "enumNames": ["Ay", "Bee"]}
    assert (("a", "Ay"), ("b", "Bee")) == field(named).choices
    assert (("a", "a"), ("b", "b"), ("c", "c")) == field(SEVERAL).choices


def test_only_a_default_that_fits_is_one() -> None:
    """A default that breaks its own schema is as if there were none."""
    assert [3, None, None] == [field({"type": "integer", "default": each}).default for each in (3, "three", 10**400)]


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        {},
        {"properties": {"x": {"type": "object", "properties": {}}}},
        {"properties": {"x": {"type": "array", "items": {"type": "object"}}}},
        {"properties": {"x": {"type": ["string", "null"]}}},
        {"properties": {"x": True}},
        {"properties": {f"x{n}": {"type": "string"} for n in range(1000)}},
    ],
)
def test_a_form_that_is_not_flat_is_refused(schema: Any) -> None:
    """Nested, unknown and endless forms are the server's error."""
    with pytest.raises(RemoteProtocolError):
        forms.fields_of(schema, server="s")


def form(**properties: Any) -> FormElicitation:
    """Return a form whose first field is required."""
    schema = {"type": "object", "properties": properties, "required": [next(iter(properties))]}
    return FormElicitation({"message": "m", "requestedSchema": schema}, "linear")


def test_defaults_are_filled_in_and_can_be_left_out() -> None:
    """What the content leaves out gets its default; None takes a default away."""
    asked = form(a={"type": "string"}, b={"type": "integer", "default": 3}, c={"type": "boolean", "default": False})

    assert {"a": "x", "b": 3, "c": False} == asked.accept({"a": "x"})["content"]
    assert {"a": "x", "c": False} == asked.accept({"a": "x", "b": None})["content"]
    for content, said in (({}, "a: must be filled in"), ({"a": "x", "z": 1}, "z: the form has no such field")):
        with pytest.raises(UsageError, match=said):
            asked.accept(content)


@pytest.mark.parametrize("given", [True, "accept", {"action": "maybe"}, {}])
def test_a_callback_must_answer(given: Any) -> None:
    """What is no ElicitResult is the callback's error; nothing is sent for it."""
    with pytest.raises(UsageError, match="returned no answer"):
        answer_of(form(a={"type": "string"}), given)


@given(st.dictionaries(st.text(max_size=4), st.none() | st.booleans() | st.integers() | st.text(max_size=4)))
def test_a_server_cannot_break_us_with_a_schema(schema: dict[str, Any]) -> None:
    """Whatever a property's schema is, it is a field or a typed error."""
    try:
        found = field(schema)
    except RemoteProtocolError:
        return
    assert isinstance(found.fault("x"), str | None)


def visit(url: Any) -> UrlElicitation:
    """Return a visit to *url*."""
    return UrlElicitation({"mode": "url", "message": "m", "url": url}, "s")


@pytest.mark.parametrize(
    ("url", "doubts"),
    [
        ("https://example.com/a?b=c", 0),
        ("https://xn--pypal-4ve.com/", 1),
        ("https://bank.example@evil.example/", 1),
        ("http://example.com/", 1),
        ("http://localhost:8080/", 0),
        ("http://u@xn--pypal-4ve.com/", 3),
        ("https://192.0.2.7:8443/", 0),
        ("https://[2001:db8::7]:8443/x", 0),
        ("http://[::1]/", 0),
    ],
)
def test_suspicious_urls_are_named(url: str, doubts: int) -> None:
    """Punycode, user names and missing encryption are said before anybody agrees."""
    assert doubts == len(visit(url).warnings)


@pytest.mark.parametrize(
    "url",
    [
        *(None, 7, "", "example.com", "javascript:alert(1)", "file:///etc/passwd", "https://", "https://[::1"),
        *("https://example.com/\nX: y", "https://еxample.com/", "https://example.com/" + "x" * 9000),
    ],
)
def test_what_is_no_url_is_never_shown(url: Any) -> None:
    """Other schemes, broken ones and such with characters that no URL has are the server's error."""
    with pytest.raises(RemoteProtocolError):
        visit(url)


LOOK_ALIKES = [
    "https://%D0%B0pple.com/",
    "https://evil.example\\@good.example/",
    "https://evil.example\\.good.example/",
    "https://good.example/\\evil",
    "https://good.example%00.evil.example/",
    "https://good%2eexample/",
    "https:///evil.example/",
    "https://[::1].evil.example/",
    "https://[fe80::1%25eth0]/",
    "https://good.example:x/",
    "https://good.example:99999/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.0.0.1./",
    "https://good.example;evil.example/",
    "https://good.example\t.evil.example/",
    "https://u@evil.example\\@good.example/",
]


@pytest.mark.parametrize("url", LOOK_ALIKES)
def test_a_url_that_browsers_read_otherwise_is_never_shown(url: str) -> None:
    """Where a browser may go elsewhere than the host that we would show, nobody is asked to go."""
    with pytest.raises(RemoteProtocolError, match="the server wants a visit to"):
        visit(url)
