"""``add``: a server and its credential, every option, and what is refused before anything is written."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from house import END, INTERRUPT, Home, new_vault

URL = "https://api.example.com/mcp"
SECRET = "added-by-a-test-7Gq2"


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault."""
    return new_vault(home)


def entry(home: Home, name: str = "new") -> dict[str, Any]:
    """Return the entry as the file says it, sealed values as the word for it."""
    table: dict[str, Any] = tomllib.loads(home.vault.read_text())["servers"][name]
    for held in table.values():
        if isinstance(held, dict):
            held.update({key: "sealed" for key, value in held.items() if isinstance(value, list)})
    return table


OPTIONS: list[tuple[list[str], str | None, dict[str, Any]]] = [
    ([URL], None, {"url": URL}),
    ([URL, "--bearer-env", "T"], None, {"url": URL, "auth": {"kind": "bearer", "token": "${env:T}"}}),
    ([URL, "--bearer-stdin"], SECRET, {"url": URL, "auth": {"kind": "bearer", "token": "sealed"}}),
    ([URL, "--basic", "ada"], SECRET, {"url": URL, "auth": {"kind": "basic", "username": "ada", "password": "sealed"}}),
    ([URL, "--header", "X-V=1", "--header", "X-W=a=b"], None, {"url": URL, "headers": {"X-V": "1", "X-W": "a=b"}}),
    ([URL, "--header", "Authorization=${env:T}"], None, {"url": URL, "headers": {"Authorization": "${env:T}"}}),
    ([URL, "--header-stdin", "X-API-Key"], SECRET, {"url": URL, "headers": {"X-API-Key": "sealed"}}),
    ([URL, "--header-env", "X-API-Key=K"], None, {"url": URL, "headers": {"X-API-Key": "${env:K}"}}),
    ([URL, "--note", "n", "--owner", "o"], None, {"url": URL, "note": "n", "owner": "o"}),
    (["http://10.0.0.1/mcp", "--allow-http"], None, {"url": "http://10.0.0.1/mcp", "allow_http": True}),
    (["--", "npx", "-y", "a server"], None, {"command": "npx", "args": ["-y", "a server"]}),
    (["--", "server"], None, {"command": "server"}),
    (["--env", "A=b", "--cwd", "/srv", "--", "x"], None, {"command": "x", "cwd": "/srv", "env": {"A": "b"}}),
    (["--env-stdin", "DB_PASSWORD", "--", "x"], SECRET, {"command": "x", "env": {"DB_PASSWORD": "sealed"}}),
    (["--env-from", "DB_PASSWORD=PW", "--", "x"], None, {"command": "x", "env": {"DB_PASSWORD": "${env:PW}"}}),
]


@pytest.mark.parametrize(
    ("words", "stdin", "made"), OPTIONS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_every_option(home: Home, words: list[str], stdin: str | None, made: dict[str, Any]) -> None:
    """The entry says what the options said; a value from stdin is sealed, one from the environment stays a name."""
    done = home.run("add", "new", *words, stdin=stdin and f"{stdin}\n")

    assert made == entry(home)
    assert done.stdout.startswith("added new")
    assert "" == done.stderr
    assert SECRET not in done.stdout + home.vault.read_text()


def test_a_prompted_token_is_sealed_and_not_echoed(home: Home) -> None:
    """``--bearer-prompt`` asks on the terminal and shows nothing of the answer."""
    shown = home.talk("add", "new", URL, "--bearer-prompt", answers=[("Token: ", f"{SECRET}\n")])

    assert "added new (auth.token sealed)" in shown
    assert SECRET not in shown
    assert f"{SECRET}\n" == home.run("get", "new", "auth.token", "--reveal").stdout


@pytest.mark.parametrize("option", [["--bearer-stdin"], ["--header-stdin", "X-Key"], ["--basic", "ada"]])
def test_on_a_terminal_stdin_is_prompted_for(home: Home, option: list[str]) -> None:
    """Where stdin is a terminal the secret is asked for without echo, instead of read in clear."""
    assert SECRET not in home.talk("add", "new", URL, *option, answers=[(": ", f"{SECRET}\n")])


def test_a_carriage_return_at_the_end_is_not_part_of_the_secret(home: Home) -> None:
    """One line end is taken off, whether from Unix or from Windows, and nothing else."""
    home.run("add", "new", "--env-stdin", "PEM", "--", "x", stdin=" two\nlines \r\n")

    assert " two\nlines \n" == home.run("get", "new", "env.PEM", "--reveal").stdout


@pytest.mark.parametrize(("typed", "code"), [(INTERRUPT, 130), (END, 130), ("\n", 2)])
def test_leaving_the_prompt_changes_nothing(home: Home, typed: str, code: int) -> None:
    """Ctrl-C, ctrl-D and an empty line add no server."""
    before = home.files()
    home.talk("add", "new", URL, "--bearer-prompt", answers=[("Token: ", typed)], code=code)

    assert before == home.files()


REFUSED: list[tuple[int, str, list[str]]] = [
    (8, "an entry's name is", ["bad.name", URL]),
    (8, "an entry's name is", ["bad name", URL]),
    (8, "an entry's name is", ["", URL]),
    (8, "an entry's name is", ["x" * 65, URL]),
    (8, "an entry's name is", ["ünïcode", URL]),
    (8, r"servers.'a\nb'", ["a\nb", URL]),
    (8, "there is a server 'demo' already", ["demo", URL]),
    (8, "there is a server 'demo' already", ["DEMO", URL]),
    (8, "user name or password", ["new", "https://ada:pw@api.example.com/mcp"]),
    (8, "looks like a secret", ["new", "https://api.example.com/mcp?api_key=123"]),
    (8, "fragment", ["new", "https://api.example.com/mcp#x"]),
    (8, "http or https", ["new", "ftp://api.example.com/mcp"]),
    (8, "needs a host", ["new", "https:///mcp"]),
    (8, "port", ["new", "https://api.example.com:99999/mcp"]),
    (8, "cannot hold a reference", ["new", "https://${env:HOST}/mcp"]),
    (8, "ASCII", ["new", "https://exämple.com/mcp"]),
    (8, "control character", ["new", "https://api.example.com/\x1b[2J"]),
    (8, "control character", ["new", URL, "--note", "\x1b[2J"]),
    (2, "'api.example.com/mcp' is no URL", ["new", "api.example.com/mcp"]),
    (2, "unexpected 'more'", ["new", URL, "more"]),
    (2, "expected a NAME", []),
    (2, "there is none for 'nowhere'", ["--preset", "nowhere"]),
    (2, "expected a URL", ["new"]),
    (2, "expected a URL", ["new", "--"]),
    (2, "--header-stdin X-API-Key", ["new", URL, "--header", "X-API-Key=literal"]),
    (2, "--header-stdin Authorization", ["new", URL, "--header", "Authorization=Bearer literal"]),
    (2, "--env-stdin API_TOKEN", ["new", "--env", "API_TOKEN=literal", "--", "x"]),
    (2, "expected NAME=VALUE", ["new", URL, "--header", "X-V"]),
    (2, "expected NAME=VALUE", ["new", URL, "--header", "=1"]),
    (8, "not a header name", ["new", URL, "--header", "X V=1"]),
    (8, "set by the transport", ["new", URL, "--header", "Host=elsewhere"]),
    (8, "line break", ["new", URL, "--header", "X-V=1\r\nX-W: 2"]),
    (8, "variable name", ["new", "--env", "A B=1", "--", "x"]),
    (2, "no name of a variable", ["new", URL, "--bearer-env", "$TOKEN"]),
    (2, "no name of a variable", ["new", URL, "--header-env", "X-Key=lit eral"]),
    (2, "--bearer-env: is empty", ["new", URL, "--bearer-env", ""]),
    (2, "goes with a command only", ["new", URL, "--env", "A=b"]),
    (2, "goes with a command only", ["new", URL, "--cwd", "/srv"]),
    (2, "goes with a URL only", ["new", "--bearer-env", "T", "--", "x"]),
    (8, "env.VARIABLE", ["new", "--", "x", "--token", "${file:/run/token}"]),
    (2, "goes with a URL only", ["new", "--allow-http", "--", "x"]),
    (2, "exclude each other", ["new", URL, "--bearer-env", "T", "--bearer-stdin"]),
    (2, "one secret only", ["new", URL, "--bearer-stdin", "--header-stdin", "X-Key"]),
    (2, "no terminal", ["new", URL, "--bearer-prompt"]),
    (2, "did you mean '--bearer-env'", ["new", URL, "--bearer-enw", "T"]),
]


@pytest.mark.parametrize(("code", "says", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_is_refused(home: Home, code: int, says: str, words: list[str]) -> None:
    """One clear line, at most one hint, the right exit code, and no file has changed."""
    assert says in home.refused("add", *words, code=code, stdin="a secret\n")


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (b"", 2, "stdin: is empty"),
        (b"\n", 2, "stdin: is empty"),
        (b"\xff\xfe", 2, "not UTF-8"),
        (b"x" * 70_000, 2, "too long"),
        (b"two\nlines\n", 8, "line break"),
        (b" padded\n", 8, "surrounding space"),
        ("naïve\n".encode(), 8, "non-ASCII"),
    ],
)
def test_a_token_that_no_header_can_carry_is_refused(home: Home, given: bytes, code: int, says: str) -> None:
    """What could never be sent is not sealed, and the message does not quote it."""
    (home.home / "given").write_bytes(given)
    command, env = home.command(("add", "new", URL, "--bearer-stdin"), {})
    before = home.files()

    with (home.home / "given").open("rb") as stdin:
        done = subprocess.run(command, env=env, stdin=stdin, capture_output=True, check=False)

    assert (code, b"") == (done.returncode, done.stdout)
    assert says in done.stderr.decode()
    assert before == home.files()


def test_nobody_is_asked_for_what_will_be_refused(home: Home) -> None:
    """A taken name and a bad URL are told before the token is typed."""
    assert "already" in home.talk("add", "demo", URL, "--bearer-prompt", code=8)
    assert "http or https" in home.talk("add", "new", "ftp://x.example/mcp", "--bearer-prompt", code=8)


def test_plain_http_is_warned_of(home: Home) -> None:
    """An address that nothing will be sent to is stored with a warning; loopback needs none."""
    assert "plain http" in home.run("add", "far", "http://api.example.com/mcp").stderr
    assert "" == home.run("add", "near", "http://127.0.0.1:1/mcp").stderr


def test_add_as_json(home: Home) -> None:
    """``--json`` says what was sealed, and ``--dry-run`` writes nothing."""
    before = home.files()
    dry = home.run("add", "new", URL, "--bearer-stdin", "--dry-run", "--json", stdin=SECRET)
    assert {"server": "new", "sealed": ["auth.token"], "dry_run": True, "login_command": None} == json.loads(dry.stdout)
    assert before == home.files()

    done = home.run("add", "new", URL, "--bearer-stdin", "--json", stdin=SECRET)
    assert {"server": "new", "sealed": ["auth.token"], "dry_run": False, "login_command": None} == json.loads(
        done.stdout
    )


def test_words_of_the_command_are_not_ours(home: Home) -> None:
    """``--json`` and ``--help`` after ``--`` belong to the server's command."""
    home.run("add", "new", "--", sys.executable, "--json", "--help")
    assert ["--json", "--help"] == entry(home)["args"]

    assert "mcpvault: error: " in home.run("add", "new", "--", "x", "--json", code=8).stderr
