"""
Where the tables of a TOML text begin and end, without decoding their values.

Runs of plain lines are passed over by one regular expression; strings, comments and
nested arrays are never mistaken for headers. What it cannot follow ends the scan with
``None``, and callers decode the whole text instead.

Spec: TOML 1.0.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Final, NamedTuple

_BASIC: Final = r'"(?!"")(?:[^"\\\n]++|\\[^\n])*+"'
_LITERAL: Final = r"'(?!'')[^'\n]*+'"
_KEY: Final = rf"(?:[A-Za-z0-9_. \t-]++|{_BASIC}|{_LITERAL})++"
_FLAT_ARRAY: Final = rf"\[(?:[^\[\]{{}}\"'#]++|{_BASIC}|{_LITERAL}|\#[^\n]*+\n)*+\]"
_END: Final = r"[ \t\r]*+(?:\#[^\n]*+)?(?:\n|\Z)"
_PLAIN_LINE: Final = rf"(?:{_KEY}=[ \t]*+(?:{_BASIC}|{_LITERAL}|{_FLAT_ARRAY}|[^\"'\[{{\#\n]++)|[ \t]*+){_END}"
_HEADER: Final = rf"[ \t]*+(?P<open>\[\[?+)(?P<key>{_KEY})\]\]?+{_END}"

# An empty line at the very end would match for ever, hence the guard before each line.
_PLAIN: Final = re.compile(rf"(?:(?!\Z){_PLAIN_LINE})*+")
_PLAIN_THEN_HEADER: Final = re.compile(rf"(?:(?!\Z){_PLAIN_LINE})*+(?P<header>{_HEADER})")
_KEY_THEN_EQUALS: Final = re.compile(rf"[ \t]*+(?P<key>{_KEY})=")
_LINES: Final = r'"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}' + r"|'''(?:[^']++|'(?!''))*+'{3,5}"
_TOKEN: Final = re.compile(
    rf"{_LINES}|{_BASIC}|{_LITERAL}"
    r"|\#[^\n]*+|[\[{]|[\]}]|\n|[^\"'\#\[\]{}\n]++",
    re.DOTALL,
)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")

MOST_PARTS: Final = 32  # of a key; SPEC §3 rule 6
_PART: Final = rf"(?:[A-Za-z0-9_-]++|{_BASIC}|{_LITERAL})"
_ONE_MORE: Final = rf"[ \t]*+\.[ \t]*+{_PART}"
_SHORT_KEY: Final = rf"{_PART}(?:{_ONE_MORE}){{0,{MOST_PARTS - 1}}}+(?!{_ONE_MORE})"
# No decoder gets past a quote without its end, so that whatever follows one is passed over.
_SHORT_KEYS: Final = rf"(?s:[^\"'#A-Za-z0-9_-]++|{_SHORT_KEY}|\#[^\n]*+|{_LINES}|(?!{_PART}|{_LINES})[\"'].*+)*+"


class TableHeader(NamedTuple):
    """One ``[a.b]`` or ``[[a.b]]``: where its line begins and ends, and whether it adds to an array."""

    start: int
    end: int
    path: tuple[str, ...]
    array: bool


def table_headers(text: str) -> list[TableHeader] | None:
    """Return the table headers of *text* in order, or None if it cannot be followed."""
    found: list[TableHeader] = []
    position, size = 0, len(text)
    while position < size:
        match = _PLAIN_THEN_HEADER.match(text, position)
        if match is not None:
            key = match["key"]
            path = tuple(key.split(".")) if _BARE.fullmatch(key) else key_path(key)
            if path is None:
                return None
            found.append(TableHeader(match.start("header"), match.end(), path, len(match["open"]) == 2))
            position = match.end()
            continue
        plain = _PLAIN.match(text, position)
        if plain is not None and plain.end() > position:
            position = plain.end()
            continue
        end = _statement_end(text, position)
        if end is None:
            return None
        position = end
    return found


def statements(text: str, start: int, end: int) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield the key and the offset of every ``key = value`` between two offsets of one table's body."""
    while start < end:
        found = _KEY_THEN_EQUALS.match(text, start, end)
        if found is not None:
            path = key_path(found["key"])
            if path is not None:
                yield path, start
        after = _statement_end(text, start)
        if after is None:
            return
        start = after


def long_key(text: str) -> int | None:
    """
    Return the offset of the first key with more than ``MOST_PARTS`` parts, None if there is none.

    It takes time in proportion to the text; ``tomllib`` takes the square of the number of parts.
    """
    found = re.match(_SHORT_KEYS, text)
    at = found.end() if found else 0
    return at if at < len(text) else None


def key_path(key: str) -> tuple[str, ...] | None:
    """Return the parts of a dotted TOML key, or None if it is no key."""
    try:
        table = tomllib.loads(f"[{key.strip()}]")
    except ValueError:
        return None
    path = []
    while table:
        ((part, table),) = table.items()
        path.append(part)
    return tuple(path)


def _statement_end(text: str, position: int) -> int | None:
    depth = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return None
        position = token.end()
        first = token[0][0]
        if first in "[{":
            depth += 1
        elif first in "]}":
            depth -= 1
        elif first == "\n" and depth <= 0:
            return position
    return position
