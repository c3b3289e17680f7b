"""
Arguments of a tool, as a person types them: ``-a key=value``, ``-a key:=json``, JSON text, a file, or ``-``.

Decides how a typed word becomes a JSON value by the tool's ``inputSchema``. Leaves the
validation of the whole to the server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcpvault.errors import UsageError

_LONGEST_FILE = 16 * 1024 * 1024  # bytes
_WORDS = {"true": True, "false": False}
_MOST_REFERENCES = 8  # a $ref to a $ref to a …; more is a loop


def from_text(text: str | None, read_stdin: Callable[[], str]) -> dict[str, Any]:
    """
    Return the JSON object that *text* is, or names by ``@file``, or that ``-`` reads from stdin.

    Raises:
        UsageError: It cannot be read, or is not a JSON object.
    """
    if text is None:
        return {}
    if text == "-":
        text, place = read_stdin(), "stdin"
    elif text.startswith("@"):
        text, place = _file(text[1:]), text[1:]
    else:
        place = "arguments"
    value = _json(text, place)
    if not isinstance(value, dict):
        raise UsageError(f"{place}: expected a JSON object, got {_kind(value)}")
    return value


def add_pairs(arguments: dict[str, Any], pairs: Sequence[str], schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Return *arguments* with each ``key=value`` and ``key:=json`` of *pairs* added; later ones win.

    A value after ``=`` gets the type that *schema* gives its key: text stays text, numbers and
    booleans are read as such, lists take JSON or one item per pair, everything else is JSON.
    A key that the schema does not know is text.

    Raises:
        UsageError: A pair has no ``=``, or its value does not fit the schema's type.
    """
    added = dict(arguments)
    began: set[str] = set()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.rstrip(":"):
            raise UsageError(f"argument {pair!r}: expected key=value or key:=json")
        if key.endswith(":"):
            added[key[:-1]] = _json(value, f"argument {key[:-1]!r}")
            continue
        declared = property_schema(schema, key)
        if "array" in types_of(declared, schema) and not value.lstrip().startswith("["):
            item = _typed(key, value, part_of(declared, "items"), schema)
            added[key] = [*added[key], item] if key in began else [item]
            began.add(key)
        else:
            added[key] = _typed(key, value, declared, schema)
    return added


def need_schema(pairs: Sequence[str]) -> bool:
    """Tell whether one of *pairs* is ``key=value``, whose type only the schema knows."""
    return any(not pair.partition("=")[0].endswith(":") for pair in pairs)


def property_schema(schema: Mapping[str, Any] | None, key: str) -> Mapping[str, Any]:
    """Return the schema of the property *key*, local references followed, or an empty one."""
    return follow(part_of(part_of(schema, "properties"), key), schema)


def part_of(schema: Any, key: str) -> Mapping[str, Any]:
    """Return the object that *schema* holds under *key*, or an empty one: what a server sends may be anything."""
    found = schema.get(key) if isinstance(schema, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def list_of(schema: Any, key: str) -> list[Any]:
    """Return the list that *schema* holds under *key*, or an empty one."""
    found = schema.get(key) if isinstance(schema, Mapping) else None
    return found if isinstance(found, list) else []


def follow(part: Mapping[str, Any], schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return what *part* refers to by a ``$ref`` into the same document, or *part* itself."""
    for _ in range(_MOST_REFERENCES):
        reference = part.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return part
        target: Any = schema
        for step in reference[2:].split("/"):
            target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            return part
        part = target
    return part


def types_of(part: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> list[str]:
    """Return the JSON types that *part* allows, as far as it says so; empty when it does not."""
    named = part.get("type")
    if isinstance(named, str):
        return [named]
    if isinstance(named, list):
        return [name for name in named if isinstance(name, str)]
    found: list[str] = []
    for word in ("anyOf", "oneOf"):
        for choice in list_of(part, word):
            if isinstance(choice, Mapping):
                found += [name for name in types_of(follow(choice, schema)) if name not in found]
    if not found:
        values = [part["const"]] if "const" in part else list_of(part, "enum")
        found = list(dict.fromkeys(_kind(value) for value in values))
    return found


def _typed(key: str, value: str, part: Mapping[str, Any], schema: Mapping[str, Any] | None) -> Any:
    types = types_of(follow(part, schema), schema)
    if not types or types == ["string"]:
        return value
    for name in types:
        if name == "boolean" and value in _WORDS:
            return _WORDS[value]
        if name == "null" and value == "null":
            return None
        if name in ("integer", "number") and (number := _number(value, whole=name == "integer")) is not None:
            return number
        if name in ("array", "object") and (read := _structure(value)) is not None and _kind(read) == name:
            return read
    if "string" in types:
        return value
    raise UsageError(f"argument {key!r}: expected {_either(types)}, got {value!r}", hint=_HINTS.get(types[0]))


_HINTS = {
    "boolean": "write true or false",
    "object": "write JSON: -a 'key:={…}'",
    "array": "write JSON: -a 'key:=[…]', or one -a key=item for each item",
}


def _number(text: str, *, whole: bool) -> int | float | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    if isinstance(value, int):
        return value
    return None if whole or value in (float("inf"), float("-inf")) else value


def _structure(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        why = f"{place}: not JSON: {error.msg.lower()} at line {error.lineno} column {error.colno}"
    except RecursionError:
        why = f"{place}: JSON nested too deeply"
    except ValueError as error:
        why = f"{place}: not JSON: {error}"
    raise UsageError(why, hint="put JSON into single quotes, so that the shell leaves it alone")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _file(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        why = f"{path}: {(error.strerror or 'cannot be read').lower()}"
    else:
        if len(content) > _LONGEST_FILE:
            raise UsageError(f"{path}: longer than {_LONGEST_FILE} bytes")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            why = f"{path}: not UTF-8 text"
    raise UsageError(why)


def _kind(value: Any) -> str:
    for name, kinds in (
        ("boolean", bool),
        ("integer", int),
        ("number", float),
        ("string", str),
        ("array", list),
        ("object", dict),
    ):
        if isinstance(value, kinds):
            return name
    return "null"


def _either(types: Sequence[str]) -> str:
    words = [f"{'an' if name[0] in 'aio' else 'a'} {name}" if name != "null" else "null" for name in types]
    return " or ".join(words)
