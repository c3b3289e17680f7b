"""
How a table is laid out on a terminal: what a reader copies stays in one piece.

Decides widths and where lines break: between words, never within one, and never within a command. Where the words of
the columns do not fit side by side, each row is a block of lines. Pure; leaves colours and printing to ``output``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

Line = tuple[str, str]  # what is emphasised, then the rest
_PIECE = re.compile(r"(?<!\S)mcpvault(?: [^\s;,()]+)+[;,)]*|\S+")
_GAP = 3  # blanks between two columns
_READABLE = 24  # characters of running text in the last column, below which it is no column


def laid_out(rows: Sequence[Sequence[str]], headings: Sequence[str], columns: int) -> list[Line]:
    """Return the lines of a table with *headings*, for a terminal that is so many *columns* wide."""
    widths = _widths([headings, *rows] if headings else rows, columns - 1)
    if widths is None:
        return [*_stacked(rows, headings or ("",) * len(rows[0]), columns)]
    lines: list[Line] = [("", "")]
    if headings:
        lines.append((_beside([[each] for each in headings], widths)[0], ""))
        lines.append(("", " " + "─" * (sum(widths) + _GAP * (len(widths) - 1))))
    for row in rows:
        cells = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        lines += [("", line) for line in _beside(cells, widths)]
    return [*lines, ("", "")]


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Return the width of each column; None where they do not fit in *room*."""
    columns = [*zip(*rows, strict=True)]
    widths = [max(map(cell_len, column)) for column in columns]
    least = [
        max((cell_len(piece) for cell in column for piece in _PIECE.findall(cell)), default=0) for column in columns
    ]
    least = [max(each, cell_len(column[0])) for each, column in zip(least, columns, strict=True)]
    # A line that ends the row may be longer than the terminal, and moves nothing.
    least[-1] = min(least[-1], _READABLE)
    widths = [max(each, min(width, room)) for each, width in zip(least, widths, strict=True)]
    while sum(widths) + _GAP * (len(widths) - 1) > room:
        loose = [number for number, width in enumerate(widths) if width > least[number]]
        if not loose:
            return None
        widths[max(loose, key=lambda number: widths[number])] -= 1
    return widths


def _wrapped(text: str, width: int) -> list[str]:
    """Return *text* in lines of *width*, and longer ones where a piece is longer."""
    if cell_len(text) <= width:
        return [text]
    lines: list[str] = []
    for piece in _PIECE.findall(text):
        if lines and cell_len(lines[-1]) + 1 + cell_len(piece) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def _beside(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """Return the lines of one row, whose cells may have several each."""
    made = []
    for number in range(max(map(len, cells))):
        parts = [cell[number] if number < len(cell) else "" for cell in cells]
        padded = [part + " " * (width - cell_len(part)) for part, width in zip(parts, widths, strict=True)]
        made.append(f" {(' ' * _GAP).join(padded)}".rstrip())
    return made


def _stacked(rows: Sequence[Sequence[str]], headings: Sequence[str], columns: int) -> Iterator[Line]:
    """Yield each row as a block: a heading and its cell a line, without those that are empty."""
    margin = max(map(cell_len, headings))
    for row in rows:
        yield "", ""
        for heading, cell in zip(headings, row, strict=True):
            label = f" {heading}{' ' * (margin - cell_len(heading) + 2 if margin else 0)}"
            for line in _wrapped(cell, max(columns - cell_len(label), _READABLE)) if cell else ():
                yield label, line
                label = " " * cell_len(label)
    yield "", ""
