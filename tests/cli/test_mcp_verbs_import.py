"""``import``: configurations of other clients."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, furnished

LITERAL = "ghp_9f8e7d6c5b4a39281706f5e4d3c2b1a0zzzz"
SEED = {
    "mcpServers": {
        "github": {
            "url": "https://api.githubcopilot.com/mcp/",
            "headers": {"Authorization": f"Bearer {LITERAL}"},
        },
        "linear": {"url": "https://mcp.linear.app/mcp", "authToken": "lin_api_0123456789abcdefghij"},
        "custom-api": {
            "url": "https://api.example.com/mcp",
            "headers": {"Authorization": "Bearer ${CUSTOM_TOKEN}", "X-API-Version": "2024-01-01"},
        },
    }
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and the server that it names."""
    with furnished(tmp_path) as made:
        yield made


def source(house: House, content: object, name: str = "mcp-config.json") -> Path:
    """Write a configuration and return its path."""
    path = house.home / name
    path.write_text(json.dumps(content, indent=2))
    return path


def test_the_seeds_own_example_is_imported(house: House) -> None:
    """Three servers come in; literals are sealed, references stay references, and nothing is expanded."""
    path = source(house, SEED)
    before = path.read_bytes()

    done = house.run("import", str(path), CUSTOM_TOKEN="must-not-be-expanded")

    vault = house.vault.read_text()
    for name in SEED["mcpServers"]:
        assert f"[servers.{name}]" in vault
        assert name in done.stdout
    assert [] == [text for text in (LITERAL, "lin_api_0123456789abcdefghij", "must-not-be-expanded") if text in vault]
    assert "CUSTOM_TOKEN}" in vault
    assert LITERAL not in done.stdout + done.stderr
    assert before == path.read_bytes()


def test_a_dry_run_changes_nothing(house: House) -> None:
    """``--dry-run`` reports the same and writes nothing."""
    before = house.vault.read_bytes()

    done = house.run("import", str(source(house, SEED)), "--dry-run")

    assert "linear" in done.stdout
    assert before == house.vault.read_bytes()


def test_move_leaves_no_secret_behind(house: House) -> None:
    """``--move`` rewrites the source so that it starts ``mcpvault stdio NAME``."""
    path = source(house, SEED)

    house.run("import", str(path), "--move")

    left = json.loads(path.read_text())["mcpServers"]["github"]
    assert ("mcpvault", ["stdio", "github"]) == (left["command"], left["args"])
    assert LITERAL not in path.read_text()


def test_a_move_that_is_not_whole_is_exit_8(house: House) -> None:
    """What came in and could not be moved is named, also by a dry run; the rest is moved."""
    half = {"url": f"https://a.example/mcp?token={LITERAL}"}
    path = source(house, {"mcpServers": {"half": half, "b": {"url": "https://b.example/mcp"}}})

    for words in (("--dry-run",), ()):
        done = house.run("import", str(path), "--move", *words, code=8)
        assert "not everything was moved: half" in done.stderr

    left = json.loads(path.read_text())["mcpServers"]
    assert (half, ["stdio", "b"]) == (left["half"], left["b"]["args"])


def test_an_imported_command_needs_approval(house: House) -> None:
    """A command from somebody's file runs nothing before an admin has seen all of it, and is a server afterwards."""
    ran, long = house.home / "ran", "--word=" + "y" * 3000
    script = f"touch {ran}; exec {sys.executable} -m mcpvault.testing.stdio_server"
    entry = {"command": "sh", "args": ["-c", script, long], "env": {"REGION": "eu"}, "cwd": str(house.home)}
    house.run("import", str(source(house, {"mcpServers": {"tool": entry}})))

    for verb in (["tools", "tool"], ["call", "tool", "echo", "{}"]):
        assert "run: mcpvault approve tool" in house.run(*verb, code=8).stderr
    assert not ran.exists()

    shown = house.run("approve", "tool", "--yes").stderr
    assert [] == [part for part in (script, long, "REGION", str(house.home)) if part not in shown]
    assert "environment" in house.run("tools", "tool").stdout
    assert ran.exists()


def test_what_exists_is_not_overwritten(house: House) -> None:
    """An entry of the same name is kept, and the report says so."""
    other = {"mcpServers": {"demo": {"url": "https://elsewhere.example/mcp"}}}

    done = house.run("import", str(source(house, other)), code=8)

    assert "demo" in done.stdout + done.stderr
    assert "elsewhere.example" not in house.vault.read_text()


def test_the_report_as_json(house: House) -> None:
    """``--json`` tells per server what was sealed and what could not be carried."""
    report = json.loads(house.run("import", str(source(house, SEED)), "--json").stdout)

    assert list(SEED["mcpServers"]) == [row["name"] for row in report["servers"]]


def test_a_file_that_is_no_configuration_is_exit_8(house: House) -> None:
    """A file of another shape is refused with its name."""
    assert "notes.json" in house.run("import", str(source(house, {"a": 1}, "notes.json")), code=8).stderr
    house.run("import", str(house.home / "missing.json"), code=2)
