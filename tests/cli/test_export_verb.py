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


def test_entries_are_put_into_a_clients_file(home: Home) -> None:
    """Tried first: what would be added is shown, and nothing of what is there; then written, and not a second time."""
    file = home.home / "mcp.json"
    before = json.dumps({"mcpServers": {"mine": {"url": URL, "authToken": TOKEN}}, "other": [1, 2]}, indent=4)
    file.write_text(before)

    done = home.run("export", "--to", "cursor", "--into", "mcp.json", "--dry-run")
    assert "demo\twould be added\n+ {\n" in done.stdout
    assert '+     "command": "mcpvault",\n' in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert before == file.read_text()

    done = home.run("export", "--to", "cursor", "--into", "mcp.json")
    assert "api\tadded\ndemo\tadded\n" == done.stdout or "demo\tadded\napi\tadded\n" == done.stdout
    after = json.loads(file.read_text())
    assert ({"mine", "demo", "api"}, [1, 2]) == ({*after["mcpServers"]}, after["other"])
    assert before.split("\n")[:5] == file.read_text().split("\n")[:5]
    again = home.run("export", "--to", "cursor", "--into", "mcp.json", "--json")
    assert {"demo": "unchanged", "api": "unchanged"} == json.loads(again.stdout)["became"]


def test_another_server_of_the_name_is_refused(home: Home) -> None:
    """Exit 8 without a change, until ``--force``; its secret is never shown."""
    file = home.home / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"demo": {"url": URL, "authToken": TOKEN}}}))
    words = ("export", "--to", "cursor", "demo", "--into", "mcp.json")

    said = home.refused(*words, code=8)
    assert "has another server demo" in said
    assert TOKEN not in said
    assert "demo\treplaced\n" == home.run(*words, "--force").stdout
    assert TOKEN not in file.read_text()
    assert "do not go together" in home.refused(*words, "--out", "x", code=2)
    assert "--force belongs to --into" in home.refused("export", "--to", "cursor", "--force", code=2)


@pytest.mark.parametrize(
    ("code", "says", "words"),
    [(8, "known are: claude-desktop", ["--to", "emacs"]), (8, "did you mean 'demo'?", ["--to", "zed", "dmo"]),
     (2, "--to", [])],
)  # fmt: skip
def test_what_cannot_be_written_is_told(home: Home, code: int, says: str, words: list[str]) -> None:
    """One line and a hint."""
    assert says in home.refused("export", *words, code=code)
