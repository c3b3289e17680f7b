"""
What a server asks of the person at the terminal: forms to fill in, pages to visit.

Decides how it is asked, on stderr, and what a typed word means. Without a terminal everything is
declined. A page is opened only after the person agreed; until then nothing has fetched any of it.

Spec: MCP 2026-07-28 "Elicitation", user interaction and security considerations.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from mcpvault.cli import app
from mcpvault.cli.output import note
from mcpvault.cli.render import one_line, printable
from mcpvault.mcp.elicitation import FormElicitation, UrlElicitation
from mcpvault.mcp.forms import Field, filled_in
from mcpvault.mcp.wire import Json

_BOOLEANS = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}
_BOUNDS = {
    "minLength": "{} characters or more",
    "maxLength": "{} characters or less",
    "minimum": "{} or more",
    "maximum": "{} or less",
    "minItems": "{} choices or more",
    "maxItems": "{} choices or less",
}
_KINDS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "y or n", "array": "several"}


class Asking:
    """
    Asks the person at the terminal; declines where there is none.

    Args:
        paused: Takes other drawings off the screen while somebody is asked.
        quiet: Do not mention what was declined.
    """

    def __init__(self, paused: Callable[[], AbstractContextManager[None]], *, quiet: bool) -> None:
        self._paused = paused
        self._quiet = quiet

    def fill_in(self, form: FormElicitation) -> Json:
        """Let a person fill a form in, review it, and send it or not."""
        if not self._somebody(form):
            return form.decline()
        with self._paused():
            note(f"\n{form.server} asks: {_words(form.message)}")
            try:
                return self._filled(form)
            except EOFError:
                note("closed without an answer")
                return form.cancel()

    def visit(self, page: UrlElicitation) -> Json:
        """Show a person where they are to go, and open it if they agree."""
        if not self._somebody(page):
            return page.decline()
        with self._paused():
            note(f"\n{page.server} wants you to visit a page: {_words(page.message)}\n\n  {page.url}\n")
            note(f"  it leads to {page.host}")
            for warning in page.warnings:
                note(f"  warning: {warning}")
            try:
                if not _agreed("Open it in your browser?", default=False):
                    note("declined")
                    return page.decline()
                _open(page.url)
                _read("Press Enter when you are done there: ")
            except EOFError:
                note("closed without an answer")
                return page.cancel()
            return page.accept()

    def _somebody(self, asked: FormElicitation | UrlElicitation) -> bool:
        if app.on_terminal() and sys.stderr is not None and sys.stderr.isatty():
            return True
        if not self._quiet:
            note(f"{asked.server} asks: {_words(asked.message)}\n  declined: there is no terminal to ask on")
        return False

    def _filled(self, form: FormElicitation) -> Json:
        if not _agreed(f"Fill in {len(form.fields)} fields?" if form.fields else "Agree?", default=True):
            note("declined")
            return form.decline()
        content: Json = {}
        while True:
            for field in form.fields:
                content[field.name] = _asked(field, content.get(field.name, field.default))
            filled = filled_in(form.fields, content)
            if not form.fields:
                return form.accept()
            note(f"This goes to {form.server}:")
            for field in form.fields:
                shown = _shown(field, filled[field.name]) if field.name in filled else "(left out)"
                note(f"  {one_line(field.title)}: {shown}")
            match _choice("Send it? [Y]es, [c]hange, [n]o: ", {"": "y", "y": "y", "yes": "y", "c": "c", "n": "n"}):
                case "y":
                    return form.accept(content)
                case "n":
                    note("declined")
                    return form.decline()


def _asked(field: Field, begun: Any) -> Any:
    """Ask for one field until what was typed fits; an empty line takes what is begun, or leaves the field out."""
    note(f"{one_line(field.title)} ({', '.join(_facts(field))})")
    if field.description:
        note(f"  {one_line(field.description)}")
    for number, (value, title) in enumerate(field.choices, 1):
        note(f"  {number}) {one_line(title)}" + ("" if title == value else f" ({one_line(value)})"))
    prompt = f"  [{_shown(field, begun)}]: " if begun is not None else "  : "
    while True:
        typed = _read(prompt).strip()
        if not typed and begun is not None:
            return begun
        if not typed and not field.required:
            return None
        value = _value(field, typed)
        fault = "must be filled in" if not typed else "is none of the choices" if value is None else field.fault(value)
        if fault is None:
            return value
        note(f"  {one_line(field.title)} {fault}")


def _facts(field: Field) -> list[str]:
    """Return what a person has to know about a field to fill it in."""
    kind = "one of these" if field.choices and field.type != "array" else _KINDS[field.type]
    kind = f"{kind}, separated by commas" if field.type == "array" else kind
    form = [str(field.schema["format"])] if isinstance(field.schema.get("format"), str) else []
    bounds = [words.format(field.schema[key]) for key, words in _BOUNDS.items() if key in field.schema]
    return [one_line(kind), *map(one_line, form), *map(one_line, bounds), *([] if field.required else ["optional"])]


def _value(field: Field, typed: str) -> Any:
    """Return the value that *typed* means; a word that means none is left to the field's own judgement."""
    if field.type == "array":
        chosen = [_chosen(field, word.strip()) for word in typed.split(",") if word.strip()]
        return None if None in chosen else chosen
    if field.choices:
        return _chosen(field, typed)
    if field.type == "boolean":
        return _BOOLEANS.get(typed.lower(), typed)
    return _numeral(typed) if field.type in ("integer", "number") else typed


def _numeral(typed: str) -> int | float | str:
    for read in (int, float):
        try:
            return read(typed)
        except ValueError:
            continue
    return typed


def _chosen(field: Field, typed: str) -> str | None:
    for value, title in field.choices:
        if typed in (value, title):
            return value
    if typed.isascii() and typed.isdigit() and 1 <= int(typed) <= len(field.choices):
        return field.choices[int(typed) - 1][0]
    return None


def _shown(field: Field, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(one_line(dict(field.choices).get(each, each)) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return one_line(dict(field.choices).get(value, value)) if isinstance(value, str) else str(value)


def _words(text: str) -> str:
    return printable(text).strip().replace("\n", "\n  ")


def _open(url: str) -> None:
    from mcpvault.http.browser import open_browser

    if not open_browser(url, os.environ):
        note("no browser could be opened: visit the address above yourself")


def _agreed(question: str, *, default: bool) -> bool:
    answers = {**_BOOLEANS, "": default}
    return bool(_choice(f"{question} [{'Y/n' if default else 'y/N'}]: ", answers))


def _choice(prompt: str, answers: dict[str, Any]) -> Any:
    while (typed := _read(prompt).strip().lower()) not in answers:
        pass
    return answers[typed]


def _read(prompt: str) -> str:
    """
    Return a line that the person types.

    Not by ``input``, which would put it into the history of ``mcpvault shell``.

    Raises:
        EOFError: They closed the question.
    """
    sys.stderr.write(prompt)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
        raise EOFError
    return line.removesuffix("\n")
