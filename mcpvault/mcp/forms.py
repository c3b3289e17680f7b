"""
Forms: the flat schemas of elicitation, their defaults, and what is wrong with what was filled in.

Pure. Spec: MCP 2026-07-28 "Elicitation", requested schema (PrimitiveSchemaDefinition).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any

from mcpvault.errors import RemoteProtocolError
from mcpvault.figures import finite
from mcpvault.mcp.wire import Json
from vault_schema.record import Record

_TYPES = frozenset({"string", "number", "integer", "boolean"})
_MOST_FIELDS = 200
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z")


class Field(Record):
    """
    One field of a form.

    Args:
        name: Its key in the content.
        type: ``string``, ``number``, ``integer``, ``boolean``, or ``array`` for several choices.
        required: Whether it must be filled in.
        schema: All that the server says about it.
        choices: The values to choose from, each with its title; empty where anything goes.
    """

    name: str
    type: str
    required: bool
    schema: Json
    choices: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """What to call it."""
        return str(self.schema.get("title") or self.name)

    @property
    def description(self) -> str | None:
        """What it is for, in the server's words."""
        return self.schema.get("description")

    @property
    def default(self) -> Any:
        """What to begin with, or None."""
        value = self.schema.get("default")
        return value if value is not None and self.fault(value) is None else None

    def fault(self, value: Any) -> str | None:
        """Return what is wrong with *value*, or None."""
        if self.type == "array":
            return self._fault_in_choices(value)
        if self.choices:
            return None if value in [each for each, _ in self.choices] else "is none of the choices"
        return _CHECKS[self.type](value, self.schema)

    def _fault_in_choices(self, value: Any) -> str | None:
        known = {each for each, _ in self.choices}
        if not isinstance(value, list) or not all(isinstance(each, str) and each in known for each in value):
            return "is no list of the choices"
        return _outside(len(value), self.schema, "minItems", "maxItems", "choices")


def fields_of(schema: Any, *, server: str) -> list[Field]:
    """
    Return the fields of a requested schema, in the server's order.

    Raises:
        RemoteProtocolError: It is no flat object of primitive fields.
    """
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(properties) > _MOST_FIELDS:
        raise RemoteProtocolError(f"{server}: the server asks with a form that is no flat object", server=server)
    required = schema.get("required")
    needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    return [_field(name, each, name in needed, server) for name, each in properties.items()]


def filled_in(fields: list[Field], content: Mapping[str, Any]) -> Json:
    """Return *content* with the defaults of the fields that it leaves out; a field that is None stays out."""
    begun = {field.name: field.default for field in fields if field.default is not None}
    return {name: value for name, value in {**begun, **content}.items() if value is not None}


def fault_in(fields: list[Field], content: Mapping[str, Any]) -> str | None:
    """Return what is wrong with *content*, beginning with the field, or None."""
    known = {field.name: field for field in fields}
    for name, value in content.items():
        if name not in known:
            return f"{name}: the form has no such field"
        if (fault := known[name].fault(value)) is not None:
            return f"{name}: {fault}"
    missing = [field.name for field in fields if field.required and field.name not in content]
    return f"{missing[0]}: must be filled in" if missing else None


def _field(name: str, schema: Any, required: bool, server: str) -> Field:
    if isinstance(schema, dict):
        kind = schema.get("type")
        if kind == "array" and (choices := _choices(schema.get("items"), "anyOf")):
            return Field(name, kind, required, schema, choices)
        if isinstance(kind, str) and kind in _TYPES:
            return Field(name, kind, required, schema, _choices(schema, "oneOf"))
    raise RemoteProtocolError(f"{server}: the server asks with a form whose field {name[:80]!r} is not flat")


def _choices(schema: Any, titled: str) -> tuple[tuple[str, str], ...]:
    """Return the values of an enum and their titles: of ``const``s, of ``enumNames`` (2025-06-18), or themselves."""
    if not isinstance(schema, dict):
        return ()
    if isinstance(consts := schema.get(titled), list):
        pairs = [(each.get("const"), each.get("title")) for each in consts if isinstance(each, dict)]
    elif isinstance(values := schema.get("enum"), list):
        names = schema.get("enumNames")
        titles = names if isinstance(names, list) and len(names) == len(values) else values
        pairs = [*zip(values, titles, strict=True)]
    else:
        return ()
    return tuple((value, str(title or value)) for value, title in pairs if isinstance(value, str))


def _string(value: Any, schema: Json) -> str | None:
    if not isinstance(value, str):
        return "is no text"
    form = _FORMATS.get(str(schema.get("format")))
    if form is not None and not form(value):
        return f"is no {schema['format']}"
    return _outside(len(value), schema, "minLength", "maxLength", "characters")


def _number(value: Any, schema: Json) -> str | None:
    if finite(value) is None:
        return "is no number"
    if schema["type"] == "integer" and value != int(value):
        return "is no whole number"
    return _outside(value, schema, "minimum", "maximum", "")


def _boolean(value: Any, _: Json) -> str | None:
    return None if isinstance(value, bool) else "is neither true nor false"


def _outside(size: float, schema: Json, least: str, most: str, unit: str) -> str | None:
    low, high = schema.get(least), schema.get(most)
    if isinstance(low, int | float) and size < low:
        return f"must be {low} {unit} or more".replace("  ", " ")
    if isinstance(high, int | float) and size > high:
        return f"must be {high} {unit} or less".replace("  ", " ")
    return None


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _is_date_time(text: str) -> bool:
    # RFC 3339 §5.6: a date, a time, and an offset
    try:
        return datetime.datetime.fromisoformat(text).tzinfo is not None and text[10:11] in ("T", "t")
    except ValueError:
        return False


_FORMATS: dict[str, Callable[[str], object]] = {
    "email": _EMAIL.match,
    "uri": _URI.match,
    "date": _is_date,
    "date-time": _is_date_time,
}
_CHECKS = {"string": _string, "number": _number, "integer": _number, "boolean": _boolean}
