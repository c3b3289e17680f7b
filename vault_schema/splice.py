"""
The two hands of ``edit``: cutting a text into regions, and changing a tomlkit container.

Spec: SPEC §14.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from vault_schema.scanner import TableHeader

Tree = Mapping[str, Any]
Unit = tuple[str, ...]
_ARRAY_KEYS = ("id", "v")  # what tells the tables of an array apart: slots, versions


def unit_of(path: Sequence[str]) -> Unit:
    """Return the unit that a table belongs to: ``("vault",)``, ``("servers", name)``, or itself."""
    return tuple(path[: 2 if path[0] == "servers" else 1])


def cut(text: str, headers: Sequence[TableHeader]) -> list[tuple[Unit, str]]:
    """
    Return *text* in pieces, each with the unit it belongs to; the text before the first header has unit ``()``.

    A comment block directly above a header belongs to that header.
    """
    regions: list[tuple[Unit, str]] = []
    unit: Unit = ()
    start = 0
    for header in headers:
        here = unit_of(header.path)
        if here == unit:
            continue
        begin = _with_comment_above(text, header.start, start)
        regions.append((unit, text[start:begin]))
        unit, start = here, begin
    regions.append((unit, text[start:]))
    return regions


def _with_comment_above(text: str, position: int, floor: int) -> int:
    while position > floor:
        line = text.rfind("\n", floor, position - 1) + 1 or floor
        if not text[line:position].lstrip(" \t").startswith("#"):
            break
        position = line
    return position


def apply(container: Any, before: Tree, after: Tree, *, inline: bool = False) -> None:
    """
    Change a tomlkit *container*, which says *before*, until it says *after*.

    Below dotted keys and in inline tables (*inline*), new tables have to be inline too.
    """
    for key in before:
        if key not in after:
            del container[key]
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            dotted = inline or _is_dotted(container, key)
            if dotted and old and not value:
                del container[key]
                container[key] = _item(value, inline=True)
            else:
                apply(container[key], old, value, inline=dotted)
        elif _tables(value) and _tables(old) and not inline and _apply_tables(container[key], old, value):
            continue
        elif key not in before or old != value or type(old) is not type(value):
            container[key] = _item(value, inline=inline)


def _is_dotted(container: Any, key: str) -> bool:
    body: Any = getattr(container, "body", None) or getattr(getattr(container, "value", None), "body", ())
    return any(name is not None and name.key == key and name.is_dotted() for name, _ in body)


def _item(value: Any, *, inline: bool) -> Any:
    import tomlkit

    if not inline or not isinstance(value, (dict, list)):
        return tomlkit.item(value)
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        for key, item in value.items():
            table[key] = _item(item, inline=True)
        return table
    array = tomlkit.array()
    for item in value:
        array.append(_item(item, inline=True))
    return array


def _tables(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _apply_tables(array: Any, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> bool:
    """Change an array of tables in place; False where its tables cannot be told apart or were reordered."""
    import tomlkit

    name = next((key for key in _ARRAY_KEYS if all(key in item for item in (*before, *after))), None)
    if name is None or not isinstance(array, tomlkit.items.AoT):
        return False
    old = [item[name] for item in before]
    new = [item[name] for item in after]
    if len({*old}) < len(old) or len({*new}) < len(new) or [x for x in old if x in new] != [x for x in new if x in old]:
        return False
    for index in reversed(range(len(old))):
        if old[index] not in new:
            del array[index]
    kept = {item[name]: item for item in before if item[name] in new}
    for index, item in enumerate(after):
        if item[name] in kept:
            apply(array[index], kept[item[name]], item)
        else:
            table = tomlkit.item(item)
            if index < len(array):
                table.add(tomlkit.nl())
            array.insert(index, table)
    return True
