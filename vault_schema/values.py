"""
The judge of single values: types, forms, secrets, references.

Decides what one field may hold; ``check`` decides which fields there may be. A ``Fault``
never quotes a value.

Spec: SPEC §11, §13.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from itertools import takewhile
from typing import Any, Final

from vault_schema.canonical import INT_MAX, INT_MIN
from vault_schema.errors import SchemaError
from vault_schema.fields import is_sensitive_name, is_token_for_name, looks_secret
from vault_schema.forms import (
    FORMS,
    MATCH,
    FieldSpec,
    has_control,
    has_default,
    has_reference,
    variables_in,
    without_references,
)
from vault_schema.origin import origin_of

# What to do with a secret that stands in clear; NAME and FIELD are filled in where they are known.
SEAL: Final = "seal it: mcpvault set NAME FIELD --stdin, or refer to it: ${env:VARIABLE}"
BY_ENVIRONMENT: Final = "give it to the program by its environment: mcpvault set NAME env.VARIABLE --stdin"
BY_REFERENCE: Final = "refer to it: ${env:VARIABLE}"
BASIC: Final = "leave user and password to auth of kind basic: mcpvault add NAME URL --basic USER"
_BARE: Final = r"[A-Za-z0-9_.@-]{1,128}"
_LONG_WORD: Final = r"[^\s,;:&?]{16}"  # "Bearer ", "ApiKey " are words; this long, it is the secret
_NAMES: Final = {str: "text", bool: "a boolean", int: "an integer", float: "a float", list: "an array", dict: "a table"}


class Fault(Exception):
    """Something wrong at ``trail``, which grows at its front on the way out."""

    def __init__(self, what: str, *trail: str | int, literal: bool = False, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.trail: list[str | int] = list(trail)
        self.literal = literal
        self.hint = hint

    def path(self) -> str:
        """Return the trail as people write it: ``servers.github.auth.token[0].v``."""
        shown = (f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in self.trail)
        return "".join(shown).removeprefix(".")

    def remedy(self) -> str | None:
        """Return the hint, with the names of the entry and of the field that it is about."""
        if self.hint is None or self.trail[:1] != ["servers"] or len(self.trail) < 3:
            return self.hint
        from shlex import quote

        name, *field = takewhile(lambda part: isinstance(part, str), self.trail[1:])
        place = quote(".".join(map(str, field)))
        return self.hint.replace("NAME FIELD", f"{quote(str(name))} {place}").replace(" NAME ", f" {quote(str(name))} ")


def _shown(key: str) -> str:
    return key if re.fullmatch(_BARE, key) else repr(key if len(key) <= 64 else f"{key[:64]}…")


def name_of(value: object) -> str:
    """Return what a message calls the type of *value*."""
    return _NAMES.get(type(value), "a date or time")


def expected(what: str, value: object) -> Fault:
    """Return the fault for a value of the wrong type."""
    return Fault(f"expected {what}, got {name_of(value)}")


def unknown(key: str, known: Collection[str]) -> Fault:
    """Return the fault for a key that means nothing, with the likeliest that does."""
    from difflib import get_close_matches

    close = get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    return Fault(f"unknown key, did you mean {close[0]!r}?" if close else "unknown key")


def text(value: Any, spec: FieldSpec) -> None:
    """Judge a text field: form, choices, references where they may stand."""
    if type(value) is not str:
        raise expected("text", value)
    form = spec.form
    if form is not None and MATCH[form](value) is None:
        wanted = FORMS[form]
        raise Fault(f"expected {wanted.expects}", literal=wanted.instead is not None, hint=wanted.instead)
    if spec.choices and value not in spec.choices:
        raise Fault(f"expected one of {', '.join(map(repr, spec.choices))}")
    if has_control(value):
        raise Fault("holds a control character")
    if "${" in value and not spec.references and has_reference(value):
        raise Fault("holds a reference, which has no meaning here")
    variables(value, SEAL if spec.bound_to else BY_REFERENCE)


def variables(value: str, hint: str) -> None:
    """Judge the names in references: ``${env:ghp_…}`` is a token where its variable's name was asked for."""
    if any(map(is_token_for_name, variables_in(value))):
        raise Fault("a reference has what looks like a secret for a name", literal=True, hint=hint)


def integer(value: Any, spec: FieldSpec) -> None:
    """Judge an integer and its bounds."""
    if type(value) is not int:
        raise expected("an integer", value)
    low, high = spec.minimum, spec.maximum
    if not (INT_MIN if low is None else low) <= value <= (INT_MAX if high is None else high):
        if high is None:
            raise Fault(f"expected an integer from {low} to 2^63-1")
        raise Fault(f"expected an integer from {low} to {high}")


def boolean(value: Any, _: FieldSpec) -> None:
    """Judge a boolean."""
    if type(value) is not bool:
        raise expected("a boolean", value)


def texts(value: Any, spec: FieldSpec) -> None:
    """Judge an array of text; an element that looks like a token is a secret in clear."""
    if type(value) is not list:
        raise expected("an array of text", value)
    for index, item in enumerate(value):
        try:
            text(item, spec)
            if looks_secret(without_references(item)):
                hint = BY_ENVIRONMENT if spec.form == "argument" else BY_REFERENCE
                raise Fault("looks like a secret in clear", literal=True, hint=hint)
        except Fault as fault:
            fault.trail.insert(0, index)
            raise


def tables(value: Any, _: FieldSpec) -> None:
    """Judge that an array of tables is one, and not empty."""
    if type(value) is not list:
        raise expected("an array of tables", value)
    if not value:
        raise Fault("expected at least one table")
    for index, item in enumerate(value):
        if type(item) is not dict:
            raise Fault(f"expected a table, got {name_of(item)}", index)


def url(value: Any, _: FieldSpec) -> None:
    """Judge an MCP endpoint (SPEC §11.1)."""
    if type(value) is not str:
        raise expected("text", value)
    try:
        origin_of(value)
    except SchemaError as error:
        raise Fault(error.message, literal=error.literal_secret, hint=BASIC if error.literal_secret else None) from None
    if "?" in value or "${" in value:
        variables(value, BY_REFERENCE)
        _query(value)


def _query(value: str) -> None:
    from urllib.parse import parse_qsl

    for name, part in parse_qsl(value.partition("?")[2], keep_blank_values=True):
        clear = without_references(part)
        alone = clear and is_sensitive_name(name) and (has_default(part) or not has_reference(part))
        if alone or looks_secret(clear):
            raise Fault("the query holds what looks like a secret in clear", literal=True, hint=BY_REFERENCE)


def proxy(value: Any, spec: FieldSpec) -> None:
    """Judge a proxy's URL; a password in it may only come from a reference."""
    text(value, spec)
    user, at, _ = value.partition("://")[2].partition("/")[0].rpartition("@")
    if at and without_references(user).partition(":")[2]:
        raise Fault("holds a password in clear", literal=True, hint="write the password as ${env:VARIABLE}")


def secret_text(value: str, spec: FieldSpec) -> None:
    """Judge the text of a secret field: a reference, and nothing secret beside it."""
    if not has_reference(value):
        raise Fault("a secret stands here in clear", literal=True, hint=SEAL)
    if has_default(value):
        raise Fault("a reference in a secret field cannot have a default", literal=True, hint=SEAL)
    beside = without_references(value)
    if re.search(_LONG_WORD, beside) is not None or looks_secret(beside):
        raise Fault("a secret stands beside the reference in clear", literal=True, hint=SEAL)
    text(value, spec)


def plain_by_name(value: str, spec: FieldSpec) -> None:
    """Judge a header or variable whose name says nothing secret."""
    text(value, spec)
    if looks_secret(without_references(value)):
        raise Fault("looks like a secret in clear", literal=True, hint=SEAL)


def extra_name(key: str) -> None:
    """Judge the name of an ``x-`` key, or of one below it."""
    if has_control(key):
        raise Fault("holds a control character in its name")


def extra(value: Any, depth: int) -> None:
    """Judge what stands under an ``x-`` key: any tree that has a canonical form."""
    kind = type(value)
    if kind is str:
        if looks_secret(without_references(value)):
            raise Fault("looks like a secret in clear", literal=True, hint="secrets have fields of their own")
        variables(value, "secrets have fields of their own")
        if has_control(value):
            raise Fault("holds a control character")
    elif kind is int:
        if not INT_MIN <= value <= INT_MAX:
            raise Fault("expected an integer of 64 bits")
    elif kind is list or kind is dict:
        if not depth:
            raise Fault("nested too deeply")
        for key, item in value.items() if kind is dict else enumerate(value):
            try:
                if isinstance(key, str):
                    extra_name(key)
                extra(item, depth - 1)
            except Fault as fault:
                fault.trail.insert(0, key)
                raise
    elif kind is not bool:
        raise expected("text, an integer, a boolean, an array or a table", value)


CHECKS: Final[dict[str, Callable[[Any, FieldSpec], None]]] = {
    "text": text,
    "integer": integer,
    "boolean": boolean,
    "texts": texts,
    "tables": tables,
    "url": url,
    "proxy": proxy,
}
