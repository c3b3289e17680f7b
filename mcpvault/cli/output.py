"""What a verb prints: data on stdout, remarks on stderr, tables drawn only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mcpvault.cli.report import one_line
from mcpvault.cli.report import warn as warn

if TYPE_CHECKING:
    from rich.console import Console


def json(value: Any) -> None:
    """Print *value* as JSON."""
    import json as encoder

    try:
        text = encoder.dumps(value, ensure_ascii=False, indent=2)
    except RecursionError:  # a level takes more room when it is laid out
        text = encoder.dumps(value, ensure_ascii=False)
    if not text.replace("\n", "").isprintable():
        import re

        text = re.sub(r"[^\n -~]", lambda found: _escaped(found[0]), text)
    print(text)


def _escaped(char: str) -> str:
    import json as encoder

    return char if char.isprintable() else encoder.dumps(char)[1:-1]


def say(text: str, *, as_json: bool = False, json: Any = None) -> None:
    """Print *text*, or with ``--json`` the value it was made from."""
    if as_json:
        globals()["json"](json)
    else:
        raw(text)


def line(text: str) -> None:
    """Print one line at once: whoever reads a pipe does not wait for more of them."""
    print(text, flush=True)


def raw(data: str | bytes) -> None:
    """Print content as it is; on a terminal without control characters, and bytes are refused there."""
    if isinstance(data, str):
        print(_for_reader(data) if sys.stdout.isatty() else data)
    elif sys.stdout.isatty():
        warn(f"{len(data)} bytes that are no text are not shown on a terminal; redirect the output, or --save DIR")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)


def content(data: str | bytes, mime_type: str | None = None) -> None:
    """Print one piece of a server's content: on a terminal Markdown is laid out, elsewhere all is as it came."""
    if isinstance(data, str) and sys.stdout.isatty():
        from mcpvault.cli.markdown import is_markdown, laid_out

        text = _for_reader(data)
        if is_markdown(text, mime_type):
            console().print(laid_out(text))
            return
    # ``raw`` ends a text with a line feed; one that has its own gets no second.
    raw(data.removesuffix("\n") if isinstance(data, str) else data)


def _for_reader(text: str) -> str:
    from mcpvault.cli.render import printable

    return printable(text)


def table(
    rows: Sequence[Sequence[str]], *, headings: Sequence[str] = (), as_json: bool = False, json: Any = None
) -> None:
    """
    Print rows: as JSON with ``--json``, drawn on a terminal, tab-separated elsewhere.

    What could draw on a screen is escaped in all of them, for a pager may stand behind a pipe.
    """
    if as_json:
        globals()["json"](json)
    elif sys.stdout.isatty() and rows:
        _drawn(rows, headings)
    else:
        for row in rows:
            print("\t".join(one_line(" ".join(cell.split())) for cell in row))


def _drawn(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
    from rich.text import Text

    from mcpvault.cli.columns import laid_out

    screen = console()
    for strong, rest in laid_out([[*map(one_line, row)] for row in rows], headings, screen.width):
        screen.print(Text.assemble((strong, "bold"), rest), soft_wrap=True)  # a line may be longer


def console() -> Console:
    """Return what draws on stdout, as wide as the terminal is: rich takes one that is dumb for 80 columns wide."""
    from shutil import get_terminal_size

    from rich.console import Console

    columns, lines = get_terminal_size()
    return Console(width=columns, height=lines)  # the width alone would not be believed


def textfile(path: str, text: str) -> None:
    """
    Write *text* for another program, in one step: it must not read half of it. ``-`` is stdout.

    Raises:
        PermissionsError: It cannot be written.
    """
    from pathlib import Path

    from mcpvault import public_file

    if path == "-":
        raw(text.rstrip("\n"))
    else:
        public_file.replace(Path(path), text.encode("utf-8"), what=path)


def note(text: str) -> None:
    """Print a remark on stderr."""
    print(text, file=sys.stderr)
