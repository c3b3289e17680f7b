"""
One value put into a text of JSON; every other byte stays, comments and trailing commas too.

Pure. Knows where things stand in a text that was parsed before, and judges nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

END = "-"  # after the last item of an array, as RFC 6902 writes it

_SKIPPED = re.compile(r"(?:\s++|//[^\n]*+|/\*.*?\*/)*+", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_WORD = re.compile(r"[^\s,\]}/]++")
_PIECE = re.compile(r'"(?:[^"\\]++|\\.)*+"|//[^\n]*+|/\*.*?\*/|[\[\]{}]', re.DOTALL)
_REMARK = re.compile(r"[ \t]*+(?://[^\r\n]*+|/\*[^\r\n]*?\*/)")
_FIRST_INDENT = re.compile(r"\{[ \t]*\r?\n([ \t]+)")


class _Item(NamedTuple):
    """A member or an item: where it begins (at its key), where its value does, and where it ends."""

    key: str | None
    start: int
    value: int
    end: int


class _Container(NamedTuple):
    """An object or array: where its bracket is, what it holds, where it closes, whether a comma is the last in it."""

    opens: int
    items: list[_Item]
    closes: int
    comma: bool


def put(text: str, place: tuple[str, ...], value: Any) -> str:
    """
    Return *text* with *value* at *place*.

    Args:
        text: JSON, its top level an object; with comments and trailing commas, perhaps.
        place: Keys of objects; ``END`` where there is an array. What is missing on the way is made.
        value: As ``json`` takes it.
    """
    at = _skip(text, text.startswith("\ufeff"))
    for depth, key in enumerate(place):
        container = _container(text, at)
        found = next((item for item in reversed(container.items) if item.key == key), None)
        if found is None:
            for missing in reversed(place[depth + 1 :]):
                value = [value] if missing == END else {missing: value}
            return _inserted(text, container, None if text[at] == "[" else key, value)
        if depth == len(place) - 1:
            wide = "\n" in text[found.value : found.end]
            made = _dumped(text, value, _indent(text, found.start) if wide else None)
            return text[: found.value] + made + text[found.end :]
        at = found.value
    return text


def _inserted(text: str, inside: _Container, key: str | None, value: Any) -> str:
    name = "" if key is None else f"{json.dumps(key, ensure_ascii=False)}: "
    line = "\r\n" if "\r\n" in text else "\n"
    if not inside.items:
        before, between, rest = text[: inside.opens + 1], text[inside.opens + 1 : inside.closes], text[inside.closes :]
        if "\n" not in text:
            return f"{before}{name}{_dumped(text, value, None)}{between if between.strip() else ''}{rest}"
        outer = _indent(text, inside.opens)
        indent = outer + _unit(text)
        between = between if between.strip() else f"{line}{outer}"
        return f"{before}{line}{indent}{name}{_dumped(text, value, indent)}{between}{rest}"
    last = inside.items[-1].end
    after = _skip(text, last) + 1 if inside.comma else last
    between = "" if inside.comma else ","
    if "\n" not in text[inside.opens : inside.items[0].start]:
        made = f" {name}{_dumped(text, value, None)}{',' if inside.comma else ''}"
        return text[:last] + between + text[last:after] + made + text[after:]
    remark = _REMARK.match(text, after)
    after = remark.end() if remark else after  # it stays with what it is about
    indent = _indent(text, inside.items[0].start)
    made = f"{line}{indent}{name}{_dumped(text, value, indent)}{',' if inside.comma else ''}"
    if text[after : inside.closes].strip(" \t"):
        return text[:last] + between + text[last:after] + made + text[after:]
    closing = f"{line}{_indent(text, inside.opens)}{text[inside.closes :]}"
    return text[:last] + between + text[last:after] + made + closing


def _dumped(text: str, value: Any, indent: str | None) -> str:
    """Return *value* as it is written beside others that are indented by *indent*; None: on one line."""
    if indent is None:
        return json.dumps(value, ensure_ascii=False)
    line = "\r\n" if "\r\n" in text else "\n"
    return json.dumps(value, ensure_ascii=False, indent=_unit(text)).replace("\n", line + indent)


def _unit(text: str) -> str:
    found = _FIRST_INDENT.search(text)
    return found[1] if found else "  "


def _indent(text: str, at: int) -> str:
    """Return how far the line of *at* is indented."""
    begins = text.rfind("\n", 0, at) + 1
    found = re.match(r"[ \t]*", text[begins:at])
    return found[0] if found else ""


def _skip(text: str, at: int) -> int:
    found = _SKIPPED.match(text, at)
    return found.end() if found else at


def _container(text: str, at: int) -> _Container:
    items: list[_Item] = []
    here, comma = _skip(text, at + 1), False
    while text[here] not in "]}":
        start, key = here, None
        if text[at] == "{":
            quoted = _STRING.match(text, here)
            assert quoted is not None  # noqa: S101  it was parsed before
            key = json.loads(quoted[0])
            here = _skip(text, _skip(text, quoted.end()) + 1)
        end = _end(text, here)
        items.append(_Item(key, start, here, end))
        here = _skip(text, end)
        comma = text[here] == ","
        here = _skip(text, here + 1) if comma else here
    return _Container(at, items, here, comma)


def _end(text: str, at: int) -> int:
    """Return where the value that begins at *at* ends."""
    if text[at] not in "[{":
        found = (_STRING if text[at] == '"' else _WORD).match(text, at)
        return found.end() if found else at
    depth = 0
    for piece in _PIECE.finditer(text, at):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(piece[0], 0)
        if depth == 0:
            return piece.end()
    return len(text)
