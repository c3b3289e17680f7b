"""
``x-mcp-header``: arguments of a tool that are mirrored into headers.

Decides which annotations are valid, and what each header says. Leaves dropping tools and
sending headers to the transport.

Spec: MCP 2026-07-28 "Custom Headers from Tool Parameters"; T6–T8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mcpvault.errors import UsageError
from mcpvault.mcp.era import ANNOTATION, header_value

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Json

_HEADER_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 §5.6.2
_PRIMITIVES = frozenset({"string", "integer", "boolean"})
_SAFE = 2**53 - 1  # what JavaScript can hold exactly
_ONE = frozenset(
    {
        "items",
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_LISTS = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_MAPS = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties"})

Path = tuple[str, ...]
_Steps = tuple[()] | tuple["_Steps", str]
Mirrored = dict[Path, str]  # where the value stands in the arguments, and its header


def annotations_of(schema: Any) -> Mirrored | str:
    """Return the annotations of an ``inputSchema``, or what is wrong with one of them."""
    found: Mirrored = {}
    for path, annotated in _annotated(schema):
        name = annotated[ANNOTATION]
        shown = ".".join(path or ("the schema",))
        if not path:
            return f"{shown}: no chain of properties leads to it"
        if not isinstance(name, str) or not re.fullmatch(_HEADER_NAME, name):
            return f"{shown}: the name is no header name"
        kinds = annotated.get("type")
        named = {kinds} if isinstance(kinds, str) else {*map(str, kinds)} if isinstance(kinds, list) else set()
        if len(named - {"null"}) != 1 or not named - {"null"} <= _PRIMITIVES:
            return f"{shown}: only text, integers and booleans can be mirrored"
        if name.lower() in {other.lower() for other in found.values()}:
            return f"{shown}: the name is taken"
        found[path] = name
    return found


def _annotated(schema: Any) -> Iterator[tuple[Path | None, Json]]:
    """Yield each annotated subschema and its path; without one where no chain of ``properties`` leads to it."""
    # A path is kept as its last step and the path before it: a deep schema costs no more than a broad one.
    todo: list[tuple[_Steps | None, Any]] = [((), schema)]
    while todo:
        steps, here = todo.pop()
        if not isinstance(here, dict):
            continue
        if ANNOTATION in here:
            yield _path(steps), here
        for keyword, below in here.items():
            if keyword == "properties" and isinstance(below, dict):
                todo += [(None if steps is None else (steps, name), each) for name, each in below.items()]
            elif keyword in _MAPS and isinstance(below, dict):
                todo += [(None, each) for each in below.values()]
            elif keyword in _LISTS and isinstance(below, list):
                todo += [(None, each) for each in below]
            elif keyword in _ONE:
                todo.append((None, below))


def _path(steps: _Steps | None) -> Path | None:
    """Return the steps in order; None where there are none."""
    found: list[str] = []
    while steps:
        steps, name = steps
        found.append(name)
    return tuple(reversed(found)) or None


def headers_for(mirrored: Mirrored, arguments: Mapping[str, Any]) -> dict[str, str]:
    """
    Return the headers that mirror *arguments*; none for what is absent or null.

    Raises:
        UsageError: An integer is too large for any server to compare.
    """
    headers: dict[str, str] = {}
    for path, name in mirrored.items():
        value: Any = arguments
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if isinstance(value, bool):
            headers[f"Mcp-Param-{name}"] = "true" if value else "false"
        elif isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            if abs(value) > _SAFE:
                raise UsageError(f"argument {'.'.join(path)!r}: integers beyond 2^53-1 cannot be mirrored to a header")
            headers[f"Mcp-Param-{name}"] = str(int(value))
        elif isinstance(value, str):
            headers[f"Mcp-Param-{name}"] = header_value(value)
    return headers
