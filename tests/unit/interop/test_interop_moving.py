"""``--move``: servers that were taken over ask the vault; everything else of the file stays."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
from interop_samples import TOKEN, URL

from mcpvault.errors import ConfigurationError, VaultChangedError
from mcpvault.interop.editing import check_writable
from mcpvault.interop.moving import move
from mcpvault.interop.source import Source, strict

ASKS = {"command": "mcpvault", "args": ["stdio", "ours"]}


def written(folder: Path, content: object, name: str = "mcp.json", indent: int | str | None = 2) -> Path:
    """Write a configuration, bytes as they are and anything else as JSON."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, indent=indent).encode())
    return path


def moved(path: Path, *places: tuple[str, ...], typed: bool = False) -> Any:
    """Rewrite the servers at *places*, and return what the file says then."""
    move(Source.load(path), dict.fromkeys(places, "ours"), typed=typed)
    return json.loads(strict(path.read_text("utf-8-sig")))


def test_a_moved_server_asks_the_vault(tmp_path: Path) -> None:
    """Nothing of it is left, the others and all other keys stay in their order."""
    content = {
        "first": 1,
        "mcpServers": {"a": {"url": URL, "authToken": TOKEN}, "b": {"command": "b", "env": {"X": "ä"}}},
        "last": [None, True, 1.5],
    }
    path = written(tmp_path, content)

    assert {**content, "mcpServers": {"a": ASKS, "b": content["mcpServers"]["b"]}} == moved(path, ("mcpServers", "a"))  # type: ignore[index]
    assert ["first", "mcpServers", "last"] == list(json.loads(path.read_text()))
    assert TOKEN not in path.read_text()
    assert ["mcp.json"] == os.listdir(tmp_path)


def test_servers_at_any_depth_are_moved(tmp_path: Path) -> None:
    """As the place says."""
    content = {"projects": {"/a.b": {"mcpServers": {"x": {"url": URL}}}}}

    after = moved(written(tmp_path, content), ("projects", "/a.b", "mcpServers", "x"))

    assert {"projects": {"/a.b": {"mcpServers": {"x": ASKS}}}} == after


@pytest.mark.parametrize(
    ("old", "typed", "expected"),
    [
        ({"url": URL}, False, ASKS),
        ({"url": URL}, True, {"type": "stdio", **ASKS}),
        ({"type": "http", "url": URL}, False, {"type": "stdio", **ASKS}),
        ({"url": URL, "disabled": True, "alwaysAllow": ["a"]}, False, {**ASKS, "disabled": True}),
    ],
    ids=["plain", "typed client", "typed entry", "switch"],
)
def test_the_new_entry_is_as_the_client_wants_it(
    tmp_path: Path, old: dict[str, Any], typed: bool, expected: dict[str, Any]
) -> None:
    """With its type where it needs one, and switched off if it was."""
    assert {"s": {"a": expected}} == moved(written(tmp_path, {"s": {"a": old}}), ("s", "a"), typed=typed)


@pytest.mark.parametrize(
    ("indent", "begins"), [(2, '{\n  "s"'), (4, '{\n    "s"'), ("\t", '{\n\t"s"'), (None, '{"s": {"a"')]
)
def test_the_layout_stays(tmp_path: Path, indent: int | str | None, begins: str) -> None:
    """Indented as it was."""
    path = written(tmp_path, {"s": {"a": {"url": URL}}}, indent=indent)

    moved(path, ("s", "a"))

    assert path.read_text().startswith(begins)
    assert not path.read_text().endswith("\n")


def test_line_ends_stay(tmp_path: Path) -> None:
    """CRLF, and the one at the end."""
    path = written(tmp_path, json.dumps({"s": {"a": {"url": URL}}}, indent=2).replace("\n", "\r\n").encode() + b"\r\n")

    moved(path, ("s", "a"))

    data = path.read_bytes()
    assert data.endswith(b"}\r\n")
    assert data.count(b"\n") == data.count(b"\r\n")


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_mode_stays(tmp_path: Path, mode: int) -> None:
    """Who could read it can read it."""
    path = written(tmp_path, {"s": {"a": {"url": URL}}})
    path.chmod(mode)

    moved(path, ("s", "a"))

    assert mode == path.stat().st_mode & 0o7777


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """A file kept by a dotfile tool stays where it is."""
    (tmp_path / "link").symlink_to(written(tmp_path, {"s": {"a": {"url": URL}}}))

    moved(tmp_path / "link", ("s", "a"))

    assert (tmp_path / "link").is_symlink()
    assert URL not in (tmp_path / "mcp.json").read_text()


@pytest.mark.parametrize("text", [rb'"\ud83d"', rb'"\uD83D\ude00"', '"😀"'.encode()])
def test_characters_that_stand_as_escapes_survive(tmp_path: Path, text: bytes) -> None:
    """Half of a surrogate pair, too, which no UTF-8 can hold."""
    path = written(tmp_path, b'{"s": {"a": {"url": "x"}}, "note": ' + text + b"}")

    assert json.loads(text) == moved(path, ("s", "a"))["note"]


@pytest.mark.parametrize("around", ["%s, }", "// mine\n%s // yours\n}", "/* s */ %s}"])
def test_comments_and_commas_stay(tmp_path: Path, around: str) -> None:
    """All but the server itself is as it was, byte for byte."""
    text = '{"s": {"a": ' + around.replace("{", "") % '{"url": "x" /* gone */}' + "}"
    path = written(tmp_path, text.encode())

    assert {"s": {"a": ASKS}} == moved(path, ("s", "a"))
    assert text.replace('{"url": "x" /* gone */}', json.dumps(ASKS)) == path.read_text()


# What is not rewritten


def test_what_stands_there_twice_is_left(tmp_path: Path) -> None:
    """The secret in the first of two would stay in the file; the hint has what to write by hand."""
    content = b'{"s": {"a": {"authToken": "x"}, "a": {}}}'
    path = written(tmp_path, content)

    with pytest.raises(ConfigurationError, match="cannot be edited in place") as caught:
        moved(path, ("s", "a"))

    assert '"args": ["stdio", "NAME"]' in (caught.value.hint or "")
    assert content == path.read_bytes()


@pytest.mark.parametrize("linked", [False, True])
def test_claude_codes_own_file_is_never_rewritten(tmp_path: Path, linked: bool) -> None:
    """Claude Code writes it all the time, also through a link; the hint has its own commands."""
    path = written(tmp_path, {"mcpServers": {"a": {"url": URL}}}, ".claude.json")
    if linked:
        (tmp_path / "link.json").symlink_to(path)
    before = path.read_bytes()

    with pytest.raises(ConfigurationError, match="is never rewritten") as caught:
        check_writable(Source.load(tmp_path / "link.json" if linked else path))

    assert "claude mcp add NAME -- mcpvault stdio NAME" in (caught.value.hint or "")
    assert before == path.read_bytes()


def test_a_file_that_has_changed_is_exit_7(tmp_path: Path) -> None:
    """What somebody wrote meanwhile stays."""
    path = written(tmp_path, {"s": {"a": {"url": URL}}})
    source = Source.load(path)
    path.write_bytes(b'{"s": {}}')

    with pytest.raises(VaultChangedError, match="changed since it was read") as caught:
        move(source, {("s", "a"): "ours"}, typed=False)

    assert 7 == caught.value.exit_code
    assert b'{"s": {}}' == path.read_bytes()


def test_a_file_that_has_gone_is_exit_8(tmp_path: Path) -> None:
    """The system's reason is told, and where the servers are."""
    path = written(tmp_path, {"s": {"a": {"url": URL}}})
    source = Source.load(path)
    path.unlink()

    with pytest.raises(ConfigurationError, match="not rewritten: No such file") as caught:
        move(source, {("s", "a"): "ours"}, typed=False)

    assert "its servers are in the vault" == caught.value.hint
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_a_disk_that_refuses_is_exit_8(tmp_path: Path) -> None:
    """The file is as it was, and what it holds is not quoted."""
    path = written(tmp_path, {"s": {"a": {"url": URL, "authToken": TOKEN}}, "rest": "x" * 4096})
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    source = Source.load(path)

    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(ConfigurationError, match="not rewritten: .*File too large") as caught:
            move(source, {("s", "a"): "ours"}, typed=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)

    assert before == path.read_bytes()
    assert TOKEN not in caught.value.message
    assert ["mcp.json"] == os.listdir(tmp_path)
