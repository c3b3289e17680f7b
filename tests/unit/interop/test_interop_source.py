"""A foreign file: what is JSON here, what is refused, and that nothing of it shows in a traceback."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interop_samples import TOKEN, source

from mcpvault.errors import ConfigurationError
from mcpvault.interop.source import LARGEST, Source, Written

TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
JSONC = b"""\
// my servers
{
  "mcpServers": {   /* all of
                       them */
    "a": {"url": "https://a.example//not-a-comment", "note": "/* nor this */, ]", "escaped": "\\" // \\\\"},
  },
}
"""


def shown(value: object) -> object:
    """Return a tree with its texts in clear."""
    if isinstance(value, Written):
        return value.reveal()
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    return value


def refusal(data: bytes) -> ConfigurationError:
    """Return the error with which bytes are refused; neither it nor its frames show what stood there."""
    with pytest.raises(ConfigurationError) as caught:
        Source.of(Path("/somewhere/mcp.json"), data)
    error = caught.value
    held = [
        repr(value)
        for frame, _ in traceback.walk_tb(error.__traceback__)
        for value in frame.f_locals.values()
        if "/tests/" not in frame.f_code.co_filename
    ]
    assert 8 == error.exit_code
    assert error.message.startswith("/somewhere/mcp.json: ")
    assert (None, None) == (error.__cause__, error.__context__)
    assert [] == [each for each in (error.message, *held) if TOKEN in each]
    return error


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=5), TREES, max_size=3))
def test_json_is_read_as_it_is(tree: dict[str, object]) -> None:
    """Every text is hidden, everything else is as in the file."""
    made = source(tree)

    assert tree == shown(made.tree) == made.plain()


def test_comments_and_trailing_commas_are_read(tmp_path: Path) -> None:
    """As VS Code, Cursor and others write them; what only looks like a comment is text."""
    made = source(JSONC)

    entry = shown(made.tree)["mcpServers"]["a"]  # type: ignore[index]
    assert ("https://a.example//not-a-comment", "/* nor this */, ]", '" // \\') == tuple(entry.values())
    assert entry == made.plain()["mcpServers"]["a"]


def test_a_byte_order_mark_is_read() -> None:
    """Windows editors write it; it alone does not stop a rewrite."""
    made = source(b'\xef\xbb\xbf{"a": "b"}')

    assert {"a": "b"} == shown(made.tree)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (f'{{"a": "{TOKEN}"'.encode(), "is not JSON (line 1, column 49)"),
        (f'{{\n"a": "{TOKEN}",,}}'.encode(), "is not JSON (line 2"),
        (f'{{"a": "{TOKEN}" /* open'.encode(), "is not JSON"),
        (f'/*\n\n*/ {{"a": "{TOKEN}" x}}'.encode(), "is not JSON (line 3"),
        (f'{{"a": "{TOKEN}\xff"}}'.encode("latin-1"), "is not UTF-8 text"),
        (f'["{TOKEN}"]'.encode(), "expected a JSON object"),
        (f'"{TOKEN}"'.encode(), "expected a JSON object"),
        (f'{{"a": NaN, "b": "{TOKEN}"}}'.encode(), "is not JSON"),
        (f'{{"a": -Infinity, "b": "{TOKEN}"}}'.encode(), "is not JSON"),
        (b"", "is not JSON (line 1, column 1)"),
        (b"url: yaml", "is not JSON"),
        (b'{"a":' * 100_000, "is nested too deeply"),
    ],
    ids=["cut", "commas", "open comment", "after comment", "latin-1", "list", "text", "nan", "infinity", "empty",
         "yaml", "deep"],
)  # fmt: skip
def test_what_is_no_json_object_is_exit_8(data: bytes, message: str) -> None:
    """Line and column are told, and count comments; nothing is quoted."""
    assert message in refusal(data).message


@pytest.mark.parametrize("depth", [200, 500, 700, 900])
def test_a_deep_tree_is_read_or_refused(depth: int) -> None:
    """How deep is too deep, the interpreter says; it is told as any other fault."""
    data = b'{"a":' * depth + b"1" + b"}" * depth
    try:
        assert ["a"] == list(Source.of(Path("/somewhere/mcp.json"), data).tree)
    except ConfigurationError as error:
        assert "is nested too deeply" in error.message


def test_a_file_that_is_too_large_is_exit_8() -> None:
    """Somebody named a log."""
    assert "larger than 64 MiB" in refusal(b" " * (LARGEST + 1)).message


def test_a_file_is_loaded(tmp_path: Path) -> None:
    """With its bytes, for the comparison before it is rewritten."""
    (tmp_path / "mcp.json").write_bytes(b'{"a": 1}')

    made = Source.load(tmp_path / "mcp.json")

    assert (tmp_path / "mcp.json", {"a": 1}, b'{"a": 1}') == (made.path, made.tree, made.reveal())


@pytest.mark.parametrize(("what", "reason"), [("missing", "No such file"), ("folder", "Is a directory")])
def test_a_file_that_cannot_be_read_is_exit_8(tmp_path: Path, what: str, reason: str) -> None:
    """The system's reason is told."""
    (tmp_path / "folder").mkdir()

    with pytest.raises(ConfigurationError, match=f"{what}: cannot be read: {reason}") as caught:
        Source.load(tmp_path / what)

    assert f"run: ls -l {tmp_path / what}" == caught.value.hint
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_a_source_shows_nothing() -> None:
    """Neither itself nor the texts in its tree."""
    made = source({"a": TOKEN, "b": [TOKEN]})

    assert TOKEN not in repr(made) + repr(made.tree)
    assert "Source('/somewhere/mcp.json')" == repr(made)
    assert json.loads(made.reveal()) == made.plain()
    assert os.fspath(made.path)
