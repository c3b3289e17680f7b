"""``export --into``: servers in a client's own file; what else is there stays, and nobody's server is lost."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from interop_samples import TOKEN, URL

from mcpvault.errors import ConfigurationError
from mcpvault.interop.exporting import Export
from mcpvault.interop.into import put_into
from mcpvault.interop.source import strict
from mcpvault.interop.targets import TARGETS

ASKS = {"command": "mcpvault", "args": ["stdio", "linear"]}
THEIRS = {"url": URL, "headers": {"Authorization": f"Bearer {TOKEN}"}, "disabled": True, "alwaysAllow": ["x"]}


def exported(client: str, server: Any = ASKS, **more: Any) -> Export:
    """Return an export of one server, ``linear``."""
    target = TARGETS[client]
    return Export("", (), {target.root: {"linear": server}, **more}, target.toml)


def put(path: Path, client: str, server: Any = ASKS, *, force: bool = False, **more: Any) -> str:
    """Put the server into the file, and return what became of it."""
    return put_into(path, exported(client, server, **more), client, force=force)["linear"]


def written(folder: Path, text: str, name: str = "mcp.json") -> Path:
    """Write a client's file."""
    path = folder / name
    path.write_text(text, newline="")
    return path


ZED = """// Zed
{
  "theme": "One Dark", // mine
  "context_servers": {
    "files": {"command": "files", "args": [],}, // theirs
  },
  "tab_size": 4,
}
"""


def test_zeds_settings_stay_as_they_are(tmp_path: Path) -> None:
    """Comments, trailing commas and layout: the text is the old one and the new server, and is the same next time."""
    path = written(tmp_path, ZED, "settings.json")

    assert "added" == put(path, "zed")

    made = path.read_text()
    assert {"files", "linear"} == {*json.loads(strict(made))["context_servers"]}
    before, after = ZED.split("  },\n", 1)
    assert (True, True) == (made.startswith(before), made.endswith(f"  }},\n{after}"))
    assert "unchanged" == put(path, "zed")
    assert made == path.read_text()


CODEX = '# mine\nmodel = "o9"\n\n[mcp_servers.files]  # theirs\ncommand = "files"\n\n[profiles.fast]\nmodel = "mini"\n'


def test_codexs_toml_stays_as_it_is(tmp_path: Path) -> None:
    """A new server comes last; one that is brought up to date keeps its place and its comments."""
    path = written(tmp_path, CODEX, "config.toml")

    assert "added" == put(path, "codex")

    made = path.read_text()
    assert made.startswith(CODEX)
    assert ASKS == tomllib.loads(made)["mcp_servers"]["linear"]
    assert "replaced" == put(path, "codex", {"url": URL}, force=True)
    assert path.read_text().startswith(CODEX)
    assert {"url": URL} == tomllib.loads(path.read_text())["mcp_servers"]["linear"]


def test_a_server_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    """Exit 8, and nothing is written, not even beside it; what it says is not told."""
    path = written(tmp_path, json.dumps({"mcpServers": {"linear": THEIRS}}, indent=2))
    before = path.read_bytes()

    with pytest.raises(ConfigurationError, match="another server linear") as caught:
        put(path, "cursor")

    assert "--force" in (caught.value.hint or "")
    assert TOKEN not in f"{caught.value} {caught.value.hint}"
    assert before == path.read_bytes()


def test_force_takes_its_place(tmp_path: Path) -> None:
    """Its switches stay, its secret goes."""
    path = written(tmp_path, json.dumps({"mcpServers": {"linear": THEIRS, "other": {}}}))

    assert "replaced" == put(path, "cursor", force=True)
    assert {"linear": {**ASKS, "disabled": True}, "other": {}} == json.loads(path.read_text())["mcpServers"]


@pytest.mark.parametrize(
    "ours",
    [
        ASKS,
        {**ASKS, "command": "/opt/bin/mcpvault"},
        {"url": URL, "headersHelper": "mcpvault headers linear"},
        {"url": URL, "headersHelper": "mcpvault headers linear --for https://old.example"},
    ],
    ids=["stdio", "by its path", "headersHelper", "headersHelper for an origin"],
)
def test_what_asks_this_vault_is_brought_up_to_date(tmp_path: Path, ours: dict[str, Any]) -> None:
    """What its user has added stays with it."""
    path = written(tmp_path, json.dumps({"mcpServers": {"linear": {**ours, "alwaysAllow": ["x"], "disabled": False}}}))
    new = {"type": "http", "url": f"{URL}/v2", "headersHelper": "mcpvault headers linear"}

    assert "replaced" == put(path, "claude-code", new)
    assert {**new, "alwaysAllow": ["x"], "disabled": False} == json.loads(path.read_text())["mcpServers"]["linear"]


def test_vs_codes_settings_and_inputs(tmp_path: Path) -> None:
    """Where its settings hold the servers they are put there; an input that is there already is not asked for twice."""
    inputs = [{"type": "promptString", "id": name, "description": name, "password": True} for name in ("A", "B", "C")]
    settings = {"mcp": {"inputs": inputs[:1], "servers": {}}}
    path = written(tmp_path, json.dumps(settings, indent=4), "settings.json")

    assert "added" == put(path, "vscode", {"type": "http", "url": URL}, inputs=inputs)

    made = json.loads(path.read_text())
    assert {"mcp": {"inputs": inputs, "servers": {"linear": {"type": "http", "url": URL}}}} == made


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    """With the whole export."""
    made = exported("cursor").replaced(text="{}\n")
    assert {"linear": "added"} == put_into(tmp_path / "new.json", made, "cursor", dry_run=True)
    assert [] == [*tmp_path.iterdir()]
    put_into(tmp_path / "new.json", made, "cursor")
    assert "{}\n" == (tmp_path / "new.json").read_text()


@pytest.mark.parametrize(
    ("name", "text", "client", "message"),
    [
        (".claude.json", '{"mcpServers": {}}', "claude-code", "is never rewritten"),
        ("config.toml", "", "cursor", "the file of cursor is JSON"),
        ("mcp.json", "{}", "codex", "the file of codex is TOML"),
        ("mcp.json", '{"mcpServers": []}', "cursor", "cannot be edited in place"),
        ("mcp.json", '{"mcpServers": {}, "mcpServers": {}}', "cursor", "cannot be edited in place"),
        ("config.toml", "mcp_servers = 1", "codex", "cannot be edited in place"),
        ("mcp.json", "", "cursor", "is not JSON"),
    ],
)
def test_what_is_not_edited(tmp_path: Path, name: str, text: str, client: str, message: str) -> None:
    """Exit 8, with what to do instead, and the file is as it was."""
    path = written(tmp_path, text, name)

    with pytest.raises(ConfigurationError, match=message) as caught:
        put(path, client)

    assert caught.value.hint
    assert text == path.read_text()
