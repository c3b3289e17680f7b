"""
A client's file, edited in place: values put where they belong, and the whole replaced in one step.

Decides which files may be written. A text is written only if it says exactly what it said before, and the new values;
and only over the very bytes that were read.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcpvault.errors import ConfigurationError, McpVaultError, VaultChangedError
from mcpvault.interop.clients import Place, at
from mcpvault.interop.source import Source, Written, strict
from mcpvault.interop.splicing import END, put
from mcpvault.vault import file


def check_writable(source: Source) -> None:
    """
    Refuse a file that its own program writes all the time.

    Raises:
        ConfigurationError: The hint says what to do by hand.
    """
    if ".claude.json" in (source.path.resolve().name, source.path.name):
        raise ConfigurationError(
            f"{source.path}: Claude Code writes this file all the time, so it is never rewritten",
            hint="in its own words: claude mcp remove NAME; claude mcp add NAME -- mcpvault stdio NAME",
        )


def edited(source: Source, values: Sequence[tuple[Place, Any]]) -> Written | None:
    """
    Return the text of *source* with *values* at their places, all else as it was; None where that cannot be done.

    Nothing is raised, for the frames here hold the text.
    """
    try:
        expected = source.plain()
        for place, value in values:
            _put(expected, place, value)
        text = source.reveal().decode("utf-8")
        if not source.is_toml:
            # What is there twice counts once, and would go on to stand there.
            json.loads(strict(text.removeprefix("\ufeff")), object_pairs_hook=_once)
        made = _toml(text, values) if source.is_toml else _json(text, values)
        said = tomllib.loads(made) if source.is_toml else json.loads(strict(made.removeprefix("\ufeff")))
    except Exception:  # whatever is odd about the file: it is left as it is
        return None
    return Written(made) if said == expected else None


def write(source: Source, text: Written, *, remedy: str) -> None:
    """
    Put *text* in the place of the file that *source* was read from.

    Raises:
        VaultChangedError: It is no longer what was read; nothing was written to it.
        ConfigurationError: It cannot be written; *remedy* is the hint.
    """
    problem, changed = _written(source, text)
    if changed:
        raise VaultChangedError(f"{source.path}: changed since it was read", hint="run it again")
    if problem is not None:
        raise ConfigurationError(f"{source.path}: not rewritten: {problem}", hint=remedy)


def _written(source: Source, text: Written) -> tuple[str | None, bool]:
    """Replace the file; return the problem, or that it changed, for the bytes may stand in a frame here."""
    try:
        if Path(source.path).read_bytes() != source.reveal():
            return None, True
        file.replace(source.path, text.reveal().encode(), keep_previous=False)
    except OSError as error:
        return error.strerror or "refused", False
    except McpVaultError as error:
        return error.message, False
    return None, False


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(members)) < len(members):
        raise ValueError
    return found


def _json(text: str, values: Sequence[tuple[Place, Any]]) -> str:
    for place, value in values:
        text = put(text, place, value)
    return text


def _toml(text: str, values: Sequence[tuple[Place, Any]]) -> str:
    """Return the text with comments and order as they were; a table that is new comes last."""
    import tomli_w
    import tomlkit

    tree = tomllib.loads(text)
    new = [(place, value) for place, value in values if at(tree, place) is None]
    if len(new) < len(values):
        document: Any = tomlkit.parse(text)
        for place, value in values:
            if (place, value) not in new:
                _put(document, place, value)
        text = tomlkit.dumps(document)
    line = "\r\n" if "\r\n" in text else "\n"
    for place, value in new:
        for key in reversed(place):
            value = {key: value}
        ends = line if not text or text.endswith("\n") else line * 2
        text += (ends if text else "") + tomli_w.dumps(value).replace("\n", line)
    return text


def _put(tree: Any, place: Place, value: Any) -> None:
    for key in place[:-1]:
        tree = tree.setdefault(key, [] if place[-1] == END and key == place[-2] else {})
    if isinstance(tree, list) and place[-1] == END:
        tree.append(value)
    else:
        tree[place[-1]] = value
