"""
``${…}`` as other clients write it, translated into the one grammar of the vault.

Decides what each client's reference becomes. Nothing is expanded, and a foreign file cannot bring in
a reference that reads a file, runs a command or opens another entry: only ``${env:NAME}`` comes out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_KIND = re.compile(r"([A-Za-z]+):(.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """
    A client's references, apart from ``${NAME}``, ``${NAME:-default}`` and ``${env:NAME}``.

    Args:
        client: The client's name, for messages.
        fixed: Its own variables that have an equal here.
        own: Its own variables, and kinds of them, that only it knows.
        expands: Whether it expands anything at all.
        inputs: VS Code's inputs: id to default, None where there is none that may be written down.
        declared: Those inputs as the file has them, by id.
        named: The kind under which ``normal`` writes a variable that a key of the client's own names.
    """

    client: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    expands: bool = True
    inputs: Mapping[str, str | None] | None = None
    declared: Mapping[str, Any] = field(default_factory=dict)
    named: str | None = None


@dataclass(slots=True)
class Translated:
    """A translated text, the variables that must be set for it, and what was lost; no values in the lists."""

    text: str = field(repr=False)
    todo: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)  # variable to the id of the input that it was
    literal: str = field(default="", repr=False)  # what stands beside the references
    kept_back: bool = False  # something of it has no place here, so the source must keep it


def translate(text: str, dialect: Dialect, *, secret: bool) -> Translated:
    """
    Return *text* in the vault's grammar.

    Args:
        text: As the client's file has it.
        dialect: The client's.
        secret: Whether it stands in a secret field, which takes no defaults.
    """
    out = Translated("")
    position = 0
    while (start := text.find("${", position)) >= 0:
        _plain(out, text[position:start])
        end = _end(text, start + 2)
        if end < 0:
            position = start
            break
        _reference(out, text[start + 2 : end], dialect, secret)
        position = end + 1
    rest = text[position:]
    _plain(out, rest.replace("${", "$${"), rest)
    return out


def _plain(out: Translated, text: str, literal: str | None = None) -> None:
    out.text += text
    out.literal += text if literal is None else literal


def _end(text: str, start: int) -> int:
    """Return where the reference that begins before *start* ends; a default may hold references."""
    depth, position = 1, start
    while position < len(text):
        if text.startswith("${", position):
            depth, position = depth + 1, position + 2
            continue
        if text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    return -1


def _reference(out: Translated, inner: str, dialect: Dialect, secret: bool) -> None:
    kind = _KIND.match(inner)
    scheme, body = (kind[1], kind[2]) if kind and not kind[2].startswith("-") else ("", inner)
    if inner in dialect.fixed:
        _put(out, dialect.fixed[inner])
    elif scheme == "input" and dialect.inputs is not None:
        _input(out, body, dialect, secret)
    elif inner in dialect.own or scheme in dialect.own:
        name = variable(inner, "CLIENT")
        _put(out, f"${{env:{name}}}", name)
        out.todo.append(f"only {dialect.client} knows ${{{_short(inner)}}}: write what it stands for, or set {name}")
    elif scheme and scheme == dialect.named and _NAME.match(body):
        _put(out, f"${{env:{body}}}", body)
    elif scheme in ("", "env") and _NAME.match(body.partition(":-")[0]):
        _environment(out, body, dialect, secret)
    else:
        _plain(out, f"$${{{inner}}}", f"${{{inner}}}")
        out.todo.append(f"a reference of kind {_short(scheme or inner)!r} is not taken over: it stands as plain text")


def _input(out: Translated, body: str, dialect: Dialect, secret: bool) -> None:
    name, default = variable(body, "INPUT"), (dialect.inputs or {}).get(body)
    out.inputs.setdefault(name, body)
    if default is None or secret or "${" in default or "}" in default:
        _put(out, f"${{env:{name}}}", name)
        out.todo.append(f"{dialect.client} asks for {_short(body)!r}: set {name} where mcpvault runs")
    else:
        _put(out, f"${{env:{name}:-{default}}}", name)


def _environment(out: Translated, body: str, dialect: Dialect, secret: bool) -> None:
    name, dash, default = body.partition(":-")
    if dash and (secret or "${" in default):
        out.losses.append(f"the default of ${{{name}:-…}} was left out")
        out.kept_back |= bool(default)
        dash = ""
    _put(out, f"${{env:{name}:-{default}}}" if dash else f"${{env:{name}}}", name)
    out.literal += default if dash else ""
    if not dialect.expands:
        out.todo.append(f"{dialect.client} sends ${{{name}}} as it stands; here it is the variable {name}")


def _put(out: Translated, text: str, name: str | None = None) -> None:
    if out.text.endswith("$") and text.startswith("${"):
        # Both together would be the escape "$${", and the reference a literal.
        out.losses.append("a '$' before a reference was left out")
        out.text = out.text.rstrip("$")
    out.text += text
    if name is not None and name not in out.references:
        out.references.append(name)


def variable(text: str, otherwise: str) -> str:
    """Return a variable's name made of *text*: letters, digits and ``_``, as people write them."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    name = re.sub(r"[^A-Za-z0-9]+", "_", spaced).strip("_").upper()[:64]
    if not name:
        return otherwise
    return name if not name[0].isdigit() else f"{otherwise}_{name}"


def _short(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_ :./-]", "?", text)[:40]
