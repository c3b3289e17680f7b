"""Tables on terminals of any width: what is copied from them is in one piece."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpvault.cli.columns import laid_out

HEADINGS = ("when", "server", "what", "why", "command", "owner")
ROWS = [
    ("2026-11-26", "demo", "rotate", "env.API_KEY: policy", "mcpvault rotate demo env.API_KEY", "ada"),
    ("2026-12-24", "linear", "login", "its refresh token ends", "mcpvault login linear", ""),
]
WORDS = st.text(st.sampled_from("ab-.:é漢"), min_size=1, max_size=30)
CELLS = st.lists(WORDS, max_size=6).map(" ".join)


def shown(columns: int, rows: list[tuple[str, ...]] = ROWS, headings: tuple[str, ...] = HEADINGS) -> list[str]:
    """Return the lines of the table."""
    return [strong + rest for strong, rest in laid_out(rows, headings, columns)]


@pytest.mark.parametrize("columns", [20, 44, 60, 80, 100, 120, 300])
def test_dates_names_and_commands_are_whole(columns: int) -> None:
    """At every width; where the terminal has room for the longest of them no line is wider than it."""
    lines = shown(columns)

    for row in ROWS:
        for cell in (row[0], row[1], *row[3].split(), row[4]):
            assert any(cell in line for line in lines), cell
    assert columns < 44 or [] == [line for line in lines if len(line) > columns]


def test_columns_while_they_fit_and_blocks_where_not() -> None:
    """Running text gives way first, at its blanks."""
    assert [
        "",
        " when         server   what     why               command                            owner",
        " " + "─" * 89,
        " 2026-11-26   demo     rotate   env.API_KEY:      mcpvault rotate demo env.API_KEY   ada",
        "                                policy",
        " 2026-12-24   linear   login    its refresh       mcpvault login linear",
        "                                token ends",
        "",
    ] == shown(90)
    assert [
        "", " when     2026-11-26", " server   demo", " what     rotate", " why      env.API_KEY: policy",
        " command  mcpvault rotate demo env.API_KEY", " owner    ada",
        "", " when     2026-12-24", " server   linear", " what     login", " why      its refresh token ends",
        " command  mcpvault login linear", "",
    ] == shown(60)  # fmt: skip


def test_a_command_in_running_text_is_whole() -> None:
    """Up to the comma or semicolon that ends it."""
    note = "its grant belongs to web-1; run: mcpvault login demo; or, if it is gone: mcpvault refresh demo --adopt"

    lines = shown(50, [("demo", note)], ("name", "notes"))

    assert any("mcpvault login demo;" in line for line in lines)
    assert any("mcpvault refresh demo --adopt" in line for line in lines)
    assert [] == [line for line in lines if len(line) > 50]


def test_a_word_that_is_too_long_moves_no_other_column() -> None:
    """In the last column its line is longer than the terminal, and nothing else is."""
    address = f"https://{'x' * 80}/mcp"

    lines = shown(60, [("demo", f"one or two words that break, then {address}"), ("other", "short")], ("name", "where"))

    assert [line for line in lines if address in line] == [line for line in lines if len(line) > 60]
    assert " other   short" in lines


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=4), st.integers(1, 80))
def test_no_word_is_broken(rows: list[tuple[str, ...]], columns: int) -> None:
    """Whatever the cells say: each word of each is there, between blanks, and no other."""
    lines = shown(columns, rows, ("a", "b", "c"))

    words = [word for line in lines for word in line.split() if not re.fullmatch(r"─+|[abc]", word)]
    wanted = [word for row in rows for cell in row for word in cell.split() if word not in ("a", "b", "c")]
    assert sorted(wanted) == sorted(words)


def test_a_long_text_takes_no_long_time() -> None:
    """A server's description may be a megabyte."""
    began = time.process_time()

    shown(80, [("tool", "words of a description " * 40_000)], ("name", "description"))

    assert time.process_time() - began < 5
