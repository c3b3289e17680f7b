"""``export``: another client's file on stdout or in a new file, and what it is not told on stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from house import TOKEN, Home, new_vault

URL = "https://mcp.example.com/mcp"


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a sealed token and a reference, and no key at hand."""
    made = new_vault(home)
    with made.open().change() as change:
        auth = {"kind": "bearer", "token": "${env:API_TOKEN}"}
        change.add_server("api", {"url": URL, "auth": auth, "retries": 5})
    made.key.unlink()
    return made


def test_all_entries_are_written(home: Home) -> None:
    """Without a key and without a secret; the reasons and the losses are told beside it."""
    done = home.run("export", "--to", "cursor")

    servers = json.loads(done.stdout)["mcpServers"]
    assert {"command": "mcpvault", "args": ["stdio", "demo"]} == servers["demo"]
    assert {"url": URL, "headers": {"Authorization": "Bearer ${env:API_TOKEN}"}} == servers["api"]
    assert "demo: asks the vault: holds a secret\n" in done.stderr
    assert "mcpvault: warning: api: retries: holds here only\n" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_one_entry_is_written_to_a_new_file(home: Home) -> None:
    """What is there already is not overwritten."""
    told = json.loads(home.run("export", "--to", "codex", "api", "--stdio", "--out", "c.toml", "--json").stdout)

    assert [("api", "stdio")] == [(each["name"], each["form"]) for each in told["servers"]]
    assert '[mcp_servers.api]\ncommand = "mcpvault"' in (home.home / "c.toml").read_text()
    assert "is there already" in home.refused("export", "--to", "codex", "--out", "c.toml", code=8)


@pytest.mark.parametrize(
    ("code", "says", "words"),
    [(8, "known are: claude-desktop", ["--to", "emacs"]), (8, "did you mean 'demo'?", ["--to", "zed", "dmo"]),
     (2, "--to", [])],
)  # fmt: skip
def test_what_cannot_be_written_is_told(home: Home, code: int, says: str, words: list[str]) -> None:
    """One line and a hint."""
    assert says in home.refused("export", *words, code=code)
