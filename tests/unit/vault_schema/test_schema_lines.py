"""Finding the line of a field, and tables among strings that look like tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_schema import line_of
from vault_schema.scanner import table_headers

TEXT = '''\
top = 1
[vault] # [not]
a.b = 2
"quoted key" = 3
s = """
[servers.fake]
x = 1
"""
l = \'\'\'
[servers.fake]\'\'\'

[[vault.slots]]
id = "a"
[[vault.slots]]
id = "b"
nested = [["x]"], [
["y"] ] ]
inline = { a = "[", b = '#' } # ]
[servers.one.headers]
X.Y = "a"
[ servers . "two" . auth ]
kind = "none"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("top", 1), ("vault", 2), ("vault.a.b", 3), ("vault.a", 3), ("vault.s", 5), ("vault.l", 9),
        ("vault.slots", 12), ("vault.slots[0].id", 13), ("vault.slots[1]", 14), ("vault.slots[1].id", 15),
        ("vault.slots[1].nested[1]", 16), ("vault.slots[1].inline.b", 18), ("servers.one", 19),
        ("servers.one.headers.X.Y", 20), ("servers.two.auth.kind", 22), ("servers.two.auth.token", 21),
        ("servers.three", None), ("servers", 19), ("vault.missing", 2), ("elsewhere", None),
        (["vault", "quoted key"], 4), (["vault", "slots", 0, "id"], 13),
    ],
)  # fmt: skip
def test_a_path_has_a_line(path: str | list[str | int], line: int | None) -> None:
    """The line of the key, or of the innermost table around it that is written out."""
    assert line == line_of(TEXT, path)


def test_arrays_within_arrays_count_anew() -> None:
    """The second outer table's inner tables begin at 0 again."""
    assert 5 == line_of("[[a]]\n[[a.b]]\n[[a]]\n[[a.b]]\nx = 1\n", "a[1].b[0].x")


def test_headers_are_not_found_in_strings() -> None:
    """Only tables are tables."""
    assert [
        ("vault",), ("vault", "slots"), ("vault", "slots"), ("servers", "one", "headers"), ("servers", "two", "auth"),
    ] == [found.path for found in table_headers(TEXT) or []]  # fmt: skip


@given(st.text(alphabet="ab=.[]{}\"'\\#\n\r ,1", max_size=60))
def test_any_text_can_be_scanned(text: str) -> None:
    """The scanner ends on every text, well-formed or not."""
    headers = table_headers(text)

    assert headers is None or all(0 <= found.start < found.end <= len(text) for found in headers)
    line_of(text, "a.b")
