"""The seed's verbs: ``client connect``, ``client tools call`` and the rest, on the active server."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import TOKEN, House, furnished

STDIO_SERVER = [sys.executable, "-m", "mcpvault.testing.stdio_server"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and the server that it names."""
    with furnished(tmp_path) as made:
        yield made


def test_connect_adds_a_server_and_makes_it_the_active_one(house: House) -> None:
    """``connect`` stores the server and its token; later commands need no name."""
    house.run("client", "connect", house.server.url, "--name", "second", "--auth", "-", stdin=TOKEN + "\n")

    assert ["demo", "second"] == json.loads(house.run("list", "--json").stdout) or "second" in house.run("list").stdout
    assert "x\n" == house.run("client", "tools", "call", "echo", '{"message": "x"}').stdout
    assert f"Bearer {TOKEN}" == house.server.requests[-1].headers["authorization"]


def test_a_token_in_argv_is_taken_with_a_warning(house: House) -> None:
    """``--auth TOKEN`` works as in the seed, and says who can see the token."""
    done = house.run("client", "connect", house.server.url, "--name", "second", "--auth", TOKEN)

    assert "mcpvault: warning: " in done.stderr
    assert "--auth -" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_the_saved_token_is_sealed(house: House) -> None:
    """The token stands nowhere in clear: not in the vault, not in the state."""
    house.run("client", "connect", house.server.url, "--name", "second", "--auth", "-", stdin=TOKEN)

    files = [path for path in house.home.rglob("*") if path.is_file()]
    assert house.vault in files
    assert [] == [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert 0o600 == house.vault.stat().st_mode & 0o777


def test_a_header_is_stored(house: House) -> None:
    """``--header`` adds one that is no secret, such as a version."""
    house.run("client", "connect", house.server.url, "--name", "second", "--auth", "-",
              "--header", "X-API-Version=2024-01-01", stdin=TOKEN)  # fmt: skip
    house.run("client", "tools", "list")

    assert "2024-01-01" == house.server.requests[-1].headers["x-api-version"]


def test_a_command_is_connected(house: House) -> None:
    """A stdio server is given after ``--``, or as one text with ``--stdio``."""
    house.run("client", "connect", "--name", "child", "--", *STDIO_SERVER)
    assert "x\n" == house.run("client", "tools", "call", "echo", '{"message": "x"}').stdout

    house.run("client", "connect", "--name", "other", "--stdio", shlex.join(STDIO_SERVER))
    assert "y\n" == house.run("client", "tools", "call", "echo", '{"message": "y"}').stdout


def test_tools_of_the_active_server(house: House) -> None:
    """``tools list`` and ``tools describe`` ask the active server with its stored token."""
    house.run("client", "sessions", "switch", "demo")

    assert house.run("tools", "demo").stdout == house.run("client", "tools", "list").stdout
    assert house.run("tools", "demo", "add").stdout == house.run("client", "tools", "describe", "add").stdout


def test_a_tool_is_called_on_the_active_server(house: House) -> None:
    """``tools call TOOL JSON`` prints the tool's text; a failing tool is exit 5."""
    house.run("client", "sessions", "switch", "demo")

    assert "3\n" == house.run("client", "tools", "call", "add", '{"a": 1, "b": 2}').stdout
    assert "3\n" == house.run("client", "tools", "call", "add", "-a", "a=1", "-a", "b=2").stdout
    house.run("client", "tools", "call", "fail", "{}", code=5)


def test_resources_and_prompts_of_the_active_server(house: House) -> None:
    """Resources are listed and read, prompts listed and got."""
    house.run("client", "sessions", "switch", "demo")

    assert "fake://text/greeting" in house.run("client", "resources", "list").stdout
    assert "7\n" == house.run("client", "resources", "read", "fake://number/7").stdout
    assert "greet" in house.run("client", "prompts", "list").stdout
    assert "user: greet Ada\n" == house.run("client", "prompts", "get", "greet", "-a", "who=Ada").stdout
    assert "user: greet Ada\n" == house.run("client", "prompts", "get", "greet", '{"who": "Ada"}').stdout


def test_a_session_can_be_named(house: House) -> None:
    """``--session NAME`` asks another server than the active one, and does not switch."""
    house.run("client", "connect", "http://127.0.0.1:9/mcp", "--name", "nobody")

    assert "echo" in house.run("client", "tools", "list", "--session", "demo").stdout
    house.run("client", "tools", "list", code=4)


def test_sessions_are_listed_and_switched(house: House) -> None:
    """The active server is marked; ``switch`` marks another."""
    house.run("client", "connect", house.server.url, "--name", "second")
    assert [("demo", False), ("second", True)] == [
        (row["name"], row["active"]) for row in json.loads(house.run("client", "sessions", "list", "--json").stdout)
    ]

    house.run("client", "sessions", "switch", "demo")
    assert [("demo", True), ("second", False)] == [
        (row["name"], row["active"]) for row in json.loads(house.run("client", "sessions", "list", "--json").stdout)
    ]


def test_switching_to_an_unknown_server_is_exit_8(house: House) -> None:
    """What the vault does not name cannot become active."""
    assert "did you mean 'demo'?" in house.run("client", "sessions", "switch", "demon", code=8).stderr


def test_without_an_active_server_a_name_is_asked_for(house: House) -> None:
    """Before any ``connect`` or ``switch``, the active server's verbs are exit 8 with a hint."""
    assert "mcpvault client sessions switch" in house.run("client", "tools", "list", code=8).stderr


def test_disconnect_removes_the_entry_and_its_secret(house: House) -> None:
    """After ``disconnect`` the vault does not name the server, and it is active no more."""
    house.run("client", "connect", house.server.url, "--name", "second", "--auth", "-", stdin=TOKEN)

    house.run("client", "disconnect", "second")

    assert b"second" not in house.vault.read_bytes()
    house.run("client", "tools", "list", code=8)


def test_disconnect_all_asks_first(house: House) -> None:
    """``--all`` needs ``--yes`` where there is nobody to ask, and then empties the vault."""
    house.run("client", "disconnect", "--all", code=2)
    assert b"servers.demo" in house.vault.read_bytes()

    house.run("client", "disconnect", "--all", "--yes")
    assert b"servers.demo" not in house.vault.read_bytes()


def test_connect_needs_exactly_one_target(house: House) -> None:
    """No URL and no command, or both, is a usage error."""
    house.run("client", "connect", "--name", "x", code=2)
    house.run("client", "connect", house.server.url, "--name", "x", "--stdio", "echo", code=2)
    house.run("client", "connect", house.server.url, code=2)
