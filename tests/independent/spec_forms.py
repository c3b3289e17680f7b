"""The forms that SPEC.md gives to values: each check refuses what has another form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spec_bytes import Refused, b64
from spec_text import looks_secret, names_a_secret, references

Check = Callable[[Any, str], None]


def need(holds: object, place: str, why: str, reason: str = "format") -> None:
    """Refuse, unless *holds*."""
    if not holds:
        raise Refused(reason, place, why)


def text(value: Any, place: str) -> None:
    """A text, without a reference."""
    need(type(value) is str, place, "text")
    need(not references(value), place, "no reference here")


def ref(value: Any, place: str) -> None:
    """A text that may hold references."""
    need(type(value) is str, place, "text")
    need(not names_a_secret(value), place, "a secret for the name of a variable", "literal")


def clean(value: Any, place: str) -> None:
    """A text that may hold references, but nothing that looks like a secret."""
    ref(value, place)
    need(not looks_secret(value), place, "a secret in clear", "literal")


def line(value: Any, place: str) -> None:
    """One line of such text."""
    clean(value, place)
    need("\n" not in value and "\r" not in value, place, "one line")


def boolean(value: Any, place: str) -> None:
    """True or false."""
    need(type(value) is bool, place, "boolean")


def integer(low: int, high: int) -> Check:
    """Return the check of an integer within bounds."""
    return lambda value, place: need(type(value) is int and low <= value <= high, place, f"{low} to {high}")


def encoded(size: int) -> Check:
    """Return the check of base64url of *size* bytes."""
    return lambda value, place: need(type(value) is str and b64(value, size) is not None, place, f"{size} bytes")


def matching(pattern: re.Pattern[str]) -> Check:
    """Return the check of a text of one form."""
    return lambda value, place: need(type(value) is str and pattern.fullmatch(value), place, "another form")


def one_of(*words: str) -> Check:
    """Return the check of a text out of a few."""
    return lambda value, place: need(type(value) is str and value in words, place, f"one of {words}")


def such(test: Callable[[str], bool]) -> Check:
    """Return the check of a text that passes *test*."""
    return lambda value, place: need(type(value) is str and test(value), place, "another form")


def each(check: Check) -> Check:
    """Return the check of an array."""

    def judge(value: Any, place: str) -> None:
        need(type(value) is list, place, "array")
        for number, item in enumerate(value):
            check(item, f"{place}[{number}]")

    return judge


def table(optional: Mapping[str, Check], required: Mapping[str, Check] | None = None) -> Check:
    """Return the check of a table with exactly these keys."""

    def judge(value: Any, place: str) -> None:
        need(type(value) is dict, place, "table")
        known = {**optional, **(required or {})}
        for key in required or {}:
            need(key in value, f"{place}.{key}", "required")
        for key, item in value.items():
            need(key in known, f"{place}.{key}", "no such key")
            known[key](item, f"{place}.{key}")

    return judge


def unique(names: Iterable[str], place: str) -> None:
    """Refuse names that differ by case only, or not at all."""
    seen: set[str] = set()
    for name in names:
        need(name.lower() not in seen, f"{place}.{name}", "twice")
        seen.add(name.lower())
