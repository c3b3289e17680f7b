"""
New text for a changed tree, touching only what changed.

The unit of change is the ``vault`` part, or one server's tables: its text is cut out by the
scanner, edited with tomlkit and put back. The result is decoded and compared with what was
asked for; if the two differ, the whole text is edited with tomlkit instead.

Spec: SPEC §14.4.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from vault_schema.errors import SchemaError
from vault_schema.splice import Unit, apply, cut

Tree = Mapping[str, Any]


def dump_plain(tree: Tree) -> str:
    """
    Return *tree* as TOML, for a file that only programs write.

    Raises:
        SchemaError: It holds something that TOML cannot say.
    """
    import tomli_w

    try:
        return tomli_w.dumps(tree)
    except (TypeError, ValueError, RecursionError):
        pass
    raise SchemaError("holds a value that a vault cannot hold")


def new_text(tree: Tree) -> str:
    """Return the text of a new vault, or of a part of one (SPEC §14.4)."""
    return dump_plain(tree)


def rewrite(text: str, before: Tree, after: Tree) -> str:
    """
    Return the text of *after*, with the comments, the order and the line ends of *text*.

    Args:
        text: What *before* was decoded from.
        before: The tree of *text*.
        after: The tree wanted. Neither is changed.

    Raises:
        SchemaError: *after* holds something that TOML's subset here cannot.

    Spec: SPEC §14.4.
    """
    for attempt in (_by_units, _edited):
        result = attempt(text, before, after)
        if result is not None and _says(result, after):
            return result
    return new_text(after)


def _says(text: str, wanted: Tree) -> bool:
    try:
        return not _differs(tomllib.loads(text), wanted)
    except ValueError:
        return False


def _differs(left: Any, right: Any) -> bool:
    """Tell whether two trees differ: ``==`` alone takes ``True`` for 1."""
    return left is not right and (left != right or not _same_types(left, right))


def _same_types(left: Any, right: Any) -> bool:
    """Tell whether trees that are equal are so type by type."""
    kind = type(left)
    if kind is str or left is right:
        return True
    if kind is dict:
        return all(_same_types(value, right[key]) for key, value in left.items())
    if kind is list:
        return all(map(_same_types, left, right))
    return kind is type(right)


def _by_units(text: str, before: Tree, after: Tree) -> str | None:
    """Return *text* with only the changed units replaced, or None where units cannot be told apart."""
    from vault_schema.scanner import table_headers

    headers = table_headers(text)
    if headers is None or not (before.keys() | after.keys()) <= {"vault", "servers"}:
        return None
    changed = _changed_units(before, after)
    regions = cut(text, headers)
    at: dict[Unit, list[int]] = {}
    for index, (unit, _) in enumerate(regions):
        if unit in changed:
            at.setdefault(unit, []).append(index)
    pieces = [piece for _, piece in regions]
    added: list[str] = []
    crlf = "\r\n" in text
    for unit in changed:
        places = at.get(unit)
        old, new = _under(before, unit), _under(after, unit)
        if places is None:
            if old is not None:
                return None  # written inline or with dotted keys: it has no tables of its own
            added.append(_with_ends(new_text(_wrapped(unit, new)), crlf))
        elif new is None:
            for index in places:
                pieces[index] = ""
        else:
            if places[-1] - places[0] != len(places) - 1:
                return None
            chunk = "".join(pieces[index] for index in places)
            pieces[places[0]] = _unit_text(chunk, _wrapped(unit, old), _wrapped(unit, new))
            for index in places[1:]:
                pieces[index] = ""
    if after.get("servers") == {} and before.get("servers") and all(unit != ("servers",) for unit, _ in regions):
        added.append(_with_ends("[servers]\n", crlf))  # the last server took the table with it
    result = "".join(pieces)
    end = "\r\n" if crlf else "\n"
    for block in added:
        result += ("" if not result or result.endswith("\n") else end) + (end if result.strip() else "") + block
    return result


def _unit_text(chunk: str, before: Tree, after: Tree) -> str:
    edited = _edited(chunk, before, after)
    if edited is not None and _says(edited, after):
        end = "\r\n" if "\r\n" in chunk else "\n"
        # A table that was put at the end stands before the blank line no more.
        return edited + end if chunk.endswith(2 * end) and not edited.endswith(2 * end) else edited
    # Its own comments are lost, but no other unit's.
    return _with_ends(new_text(after) + "\n", "\r\n" in chunk)


def _changed_units(before: Tree, after: Tree) -> dict[Unit, None]:
    units: dict[Unit, None] = {}
    if _differs(before.get("vault"), after.get("vault")):
        units["vault",] = None
    old, new = before.get("servers", {}), after.get("servers", {})
    for name in (*old, *(name for name in new if name not in old)):
        if name not in new or name not in old or _differs(old[name], new[name]):
            units["servers", name] = None
    return units


def _under(tree: Tree, unit: Unit) -> Any:
    value: Any = tree
    for part in unit:
        value = value.get(part) if value is not None else None
    return value


def _wrapped(unit: Unit, value: Any) -> dict[str, Any]:
    for part in reversed(unit):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def _edited(text: str, before: Tree, after: Tree) -> str | None:
    """Return *text* changed with tomlkit, or None where tomlkit stumbles over a layout, as over some legal ones."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    # tomlkit ends new lines with a bare line feed whatever the file does.
    crlf = "\r\n" in text and text.count("\r\n") == text.count("\n")
    try:
        document = tomlkit.parse(text.replace("\r\n", "\n") if crlf else text)
        apply(document, before, after)
        return _with_ends(tomlkit.dumps(document), crlf)
    except (TOMLKitError, LookupError, TypeError, ValueError, AttributeError):
        return None


def _with_ends(text: str, crlf: bool) -> str:
    return text.replace("\n", "\r\n") if crlf else text
