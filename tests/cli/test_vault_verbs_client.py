"""``client connect``, ``disconnect``, ``sessions``: what they ask, warn of and refuse; ``mcp_verbs`` has their work."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from house import INTERRUPT, TOKEN, Home, new_vault

URL = "https://new.example.com/mcp"
CONNECT = ("client", "connect")


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault of two servers."""
    made = new_vault(home)
    with made.open().change() as change:
        change.add_server("other", {"url": "https://other.example.com/mcp"})
    return made


def servers(home: Home) -> dict[str, Any]:
    """Return the entries of the file."""
    found: dict[str, Any] = tomllib.loads(home.vault.read_text()).get("servers", {})
    return found


def test_a_token_in_argv_is_sealed_with_a_warning(home: Home) -> None:
    """``--auth TOKEN`` names both leaks and the way without them, and does not repeat the token."""
    done = home.run(*CONNECT, URL, "--name", "new", "--auth", TOKEN)

    [warning] = done.stderr.splitlines()
    words = ["mcpvault: warning: ", "process list", "shell's history", "--auth -", "replace this token"]
    assert [] == [word for word in words if word not in warning]
    assert TOKEN not in done.stdout + done.stderr + home.vault.read_text()
    assert TOKEN == home.open().file.secret("new", "auth.token").reveal()


def test_with_json_the_warning_stays_on_stderr(home: Home) -> None:
    """Stdout is one document: the name, whether it is active, whether it was a dry run."""
    done = home.run(*CONNECT, URL, "--name", "new", "--auth", TOKEN, "--json")

    assert {"name": "new", "active": True, "dry_run": False} == json.loads(done.stdout)
    assert "mcpvault: warning: " in done.stderr


def test_a_token_on_stdin_needs_no_warning(home: Home) -> None:
    """``--auth -`` reads a pipe, and asks without echo on a terminal."""
    assert "" == home.run(*CONNECT, URL, "--name", "piped", "--auth", "-", stdin=f"{TOKEN}\n").stderr

    shown = home.talk(*CONNECT, URL, "--name", "typed", "--auth", "-", answers=[("token: ", f"{TOKEN}\n")])
    assert TOKEN not in shown
    for name in ("piped", "typed"):
        assert TOKEN == home.open().file.secret(name, "auth.token").reveal()


def test_leaving_the_prompt_connects_nothing(home: Home) -> None:
    """Ctrl-C is 130; the file and the active server stay."""
    before = home.files()
    home.talk(*CONNECT, URL, "--name", "new", "--auth", "-", answers=[("token: ", INTERRUPT)], code=130)

    assert before == home.files()


REFUSED = [
    (2, "expected one of: a URL", ["connect", "--name", "new"]),
    (2, "expected one of: a URL", ["connect", URL, "--name", "new", "--stdio", "x"]),
    (2, "missing option '--name'", ["connect", URL]),
    (2, "is no URL", ["connect", "new.example.com", "--name", "new"]),
    (2, "--auth: is empty", ["connect", URL, "--name", "new", "--auth", ""]),
    (2, "stdin: is empty", ["connect", URL, "--name", "new", "--auth", "-"]),
    (2, "--auth is for a URL", ["connect", "--name", "new", "--auth", "t", "--", "x"]),
    (2, "--header-stdin Authorization", ["connect", URL, "--name", "new", "--header", "Authorization=Bearer x"]),
    (2, "--stdio: no closing quotation", ["connect", "--name", "new", "--stdio", "x 'y"]),
    (2, "--stdio: empty", ["connect", "--name", "new", "--stdio", ""]),
    (8, "an entry's name", ["connect", URL, "--name", "new.one"]),
    (8, "already", ["connect", URL, "--name", "Demo"]),
    (8, "http or https", ["connect", "ftp://x.example/", "--name", "new"]),
    (2, "expected NAME or --all", ["disconnect"]),
    (2, "expected NAME or --all", ["disconnect", "demo", "--all"]),
    (8, "did you mean 'other'?", ["disconnect", "othr"]),
    (8, "did you mean 'other'?", ["sessions", "switch", "othr"]),
    (2, "missing argument", ["sessions", "switch"]),
    (2, "did you mean 'sessions'?", ["session"]),
]


@pytest.mark.parametrize(("code", "says", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_is_refused(home: Home, code: int, says: str, words: list[str]) -> None:
    """One clear line, the right exit code; vault and active server as they were."""
    assert says in home.refused("client", *words, code=code)


def test_a_command_as_one_text(home: Home) -> None:
    """``--stdio`` is split as a shell would; after ``--`` the words are taken as they are."""
    home.run(*CONNECT, "--name", "one", "--stdio", "npx -y 'a server'")
    home.run(*CONNECT, "--name", "two", "--", "npx", "--json", "a server")

    assert {"command": "npx", "args": ["-y", "a server"]} == servers(home)["one"]
    assert {"command": "npx", "args": ["--json", "a server"]} == servers(home)["two"]


def test_sessions_are_listed_without_a_key(home: Home) -> None:
    """The list unlocks nothing; an asterisk marks the active server."""
    home.run("client", "sessions", "switch", "other")
    home.key.unlink()

    lines = home.run("client", "sessions", "list").stdout.splitlines()
    assert ["demo\thttps://mcp.example.com/mcp", "* other\thttps://other.example.com/mcp"] == lines
    rows = json.loads(home.run("client", "sessions", "list", "--json").stdout)
    assert [("demo", False), ("other", True)] == [(row["name"], row["active"]) for row in rows]


def test_switch_needs_no_admin_and_no_change_of_the_vault(home: Home) -> None:
    """What is active is state: the vault keeps its bytes."""
    before = home.vault.read_bytes()

    assert "'other' is the active server\n" == home.run("client", "sessions", "switch", "other").stdout
    assert before == home.vault.read_bytes()


def test_disconnect_all_asks_on_a_terminal(home: Home) -> None:
    """Only a yes empties the vault; nothing is active then."""
    home.run("client", "sessions", "switch", "demo")
    before = home.files()
    question = "remove all 2 servers and their secrets [y/N]: "
    home.talk("client", "disconnect", "--all", answers=[(question, "n\n")], code=2)
    home.talk("client", "disconnect", "--all", answers=[(question, INTERRUPT)], code=130)
    assert "give --yes" in home.run("client", "disconnect", "--all", stdin="y\n", code=2).stderr
    assert before == home.files()

    home.talk("client", "disconnect", "--all", answers=[(question, "y\n")])
    assert {} == servers(home)
    assert "there is no active server" in home.run("client", "tools", "list", code=8).stderr


def test_disconnect_names_what_it_removed(home: Home) -> None:
    """One server goes with its secrets, the other stays active."""
    home.run("client", "sessions", "switch", "other")

    assert {"removed": ["demo"], "dry_run": False, "tokens": []} == json.loads(
        home.run("client", "disconnect", "demo", "--json").stdout
    )
    assert {"other"} == {*servers(home)}
    assert home.run("client", "sessions", "list").stdout.startswith("* other")
