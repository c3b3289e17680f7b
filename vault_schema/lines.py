"""
The line of a field in the text it came from, for messages.

Spec: SPEC §15.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vault_schema.scanner import TableHeader

_PART = r"\[(\d+)\]|([^.\[]+)"


def line_of(text: str, path: str | Sequence[str | int]) -> int | None:
    """
    Return the line of the field *path*, or of the innermost table around it that has one.

    Args:
        text: The document's text.
        path: ``servers.github.auth.token[0].v``, or its parts, indexes as integers.
    """
    from vault_schema.scanner import statements, table_headers

    if isinstance(path, str):
        path = [int(index) if index else name for index, name in re.findall(_PART, path)]
    wanted = tuple(path)
    best, offset = 0, None
    arrays: Counter[tuple[str | int, ...]] = Counter()
    headers = table_headers(text) or []
    bodies: list[tuple[tuple[str | int, ...], int, int, int]] = [((), 0, 0, headers[0].start if headers else len(text))]
    for number, header in enumerate(headers):
        body_end = headers[number + 1].start if number + 1 < len(headers) else len(text)
        bodies.append((_indexed(header, arrays), header.start, header.end, body_end))
    for place, start, body, end in bodies:
        if place != wanted[: len(place)]:
            if wanted == place[: len(wanted)] and best < len(wanted):
                best, offset = len(wanted), start  # only its sub-tables are written out
            continue
        if len(place) > best:
            best, offset = len(place), start
        for key, at in statements(text, body, end):
            full = (*place, *key)
            shared = _shared(full, wanted)
            if shared > len(place) and shared > best:
                best, offset = shared, at
    return None if offset is None else text.count("\n", 0, offset) + 1


def _indexed(header: TableHeader, arrays: Counter[tuple[str | int, ...]]) -> tuple[str | int, ...]:
    """Return the path of a table with the indexes of the arrays it is in; count it where it adds to one."""
    parts: list[str | int] = []
    for depth, name in enumerate(header.path, 1):
        parts.append(name)
        place = tuple(parts)
        if header.array and depth == len(header.path):
            arrays[place] += 1
        if place in arrays:
            parts.append(arrays[place] - 1)
    return tuple(parts)


def _shared(left: Sequence[str | int], right: Sequence[str | int]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
