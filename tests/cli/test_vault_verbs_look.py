"""``list``, ``show``, ``get``, ``history``: what they show, and what they need a key for."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from house import LONGEST, TOKEN, Home, new_vault

from mcpvault import Secret

NEWER = "the-newer-token-9Rf3"


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault: a token of two versions, an entry that refers, a command."""
    made = new_vault(home)
    with made.open().change() as change:
        change.set_secret("demo", "auth.token", Secret(NEWER), not_after="2031-01-01T00:00:00Z")
        change.set_plain("demo", "owner", "ops")
        change.set_plain("demo", "timeout.total", 90)
        auth = {"kind": "bearer", "token": "${env:API_TOKEN}"}
        change.add_server("api", {"url": "https://api.example.com/mcp", "auth": auth})
        change.add_server("local", {"command": "/opt/a server", "args": ["-v"]})
    return made


LISTED = """\
demo\tbearer\thttps://mcp.example.com/mcp\tops
api\tbearer\thttps://api.example.com/mcp\t
local\tstdio\t/opt/a server -v\t
"""


@pytest.mark.parametrize("words", [["list"], ["show", "odd"], ["get", "odd"], ["show", "odd", "--json"]])
def test_nothing_draws_on_a_screen_behind_a_pipe(home: Home, words: list[str]) -> None:
    """A pager shows what a pipe brings: what a terminal would obey is escaped there too, and JSON says the same."""
    said = "\x9b31mgood\u202elive"
    with home.open().change() as change:
        change.add_server("odd", {"url": "https://odd.example.com/mcp", "owner": said})

    shown = home.run(*words).stdout

    assert "31mgood" in shown
    assert not [mark for mark in said if mark in shown and not mark.isprintable()]
    assert "--json" not in words or said == json.loads(shown)["owner"]


def test_list_needs_no_key(home: Home) -> None:
    """Names, kinds, addresses and owners come from the file alone, one line a server, in its order."""
    home.key.unlink()

    assert LISTED == home.run("list").stdout


def test_list_as_json(home: Home) -> None:
    """``--json`` has one object a server."""
    rows = json.loads(home.run("list", "--json").stdout)

    assert {"name": "local", "kind": "stdio", "auth": "stdio", "where": "/opt/a server -v", "owner": None} == rows[2]
    assert ["demo", "api", "local"] == [row["name"] for row in rows]


def test_an_empty_vault_lists_nothing(tmp_path: Path) -> None:
    """No server is no error: no line, or an empty list."""
    empty = Home(tmp_path)
    empty.run("init")

    assert "" == empty.run("list").stdout
    assert [] == json.loads(empty.run("list", "--json").stdout)
    assert "" == empty.talk("list")


def test_on_a_terminal_a_table_is_drawn(home: Home) -> None:
    """People see headings; scripts never do."""
    shown = home.talk("list")

    assert re.search(r"name +auth +where +owner", shown)
    assert re.search(r"demo +bearer +https://mcp.example.com/mcp +ops", shown)


def test_show_needs_no_key(home: Home) -> None:
    """Fields stand as the file says them; of a secret one sees its versions, stages and dates."""
    home.key.unlink()
    shown = dict(line.split("\t") for line in home.run("show", "demo").stdout.splitlines())

    assert ("https://mcp.example.com/mcp", "bearer", "ops", "90") == (
        shown["url"],
        shown["auth.kind"],
        shown["owner"],
        shown["timeout.total"],
    )
    assert re.fullmatch(r"<sealed v2 current [-0-9T:]+Z>, <sealed v1 previous [-0-9T:]+Z>", shown["auth.token"])


def test_get_shows_fields_with_secrets_sealed(home: Home) -> None:
    """A sealed value shows its fingerprint, a reference its name; neither is opened or looked up."""
    fields = json.loads(home.run("get", "demo", "--json").stdout)

    assert re.fullmatch("<sealed [0-9a-f]{8}>", fields["auth.token"])
    assert 90 == fields["timeout.total"]
    assert "${env:API_TOKEN}\n" == home.run("get", "api", "auth.token", API_TOKEN=TOKEN).stdout
    assert {"owner": "ops"} == json.loads(home.run("get", "demo", "owner", "--json").stdout)


def test_get_reveals_one_secret(home: Home) -> None:
    """``--reveal`` prints the named secret and nothing else, of the wanted stage."""
    assert f"{NEWER}\n" == home.run("get", "demo", "auth.token", "--reveal").stdout
    assert f"{TOKEN}\n" == home.run("get", "demo", "auth.token", "--reveal", "--stage", "previous").stdout
    assert {"server": "demo", "field": "auth.token", "value": NEWER} == json.loads(
        home.run("get", "demo", "auth.token", "--reveal", "--json").stdout
    )


def test_a_revealed_secret_draws_nothing_on_a_terminal(home: Home) -> None:
    """Control characters of a value reach a pipe as they are, and a terminal not at all."""
    with home.open().change() as change:
        change.set_secret("local", "env.PASSWORD", Secret("a\x1b[2Jb"))

    assert "a\x1b[2Jb\n" == home.run("get", "local", "env.PASSWORD", "--reveal").stdout
    assert "a[2Jb\r\n" == home.talk("get", "local", "env.PASSWORD", "--reveal")


def test_history_shows_versions_by_fingerprint(home: Home) -> None:
    """Newest first, with stage, dates and fingerprint, and never a value."""
    newer, older = json.loads(home.run("history", "demo", "--json").stdout)

    assert ("auth.token", 2, "current", "2031-01-01T00:00:00Z") == (
        newer["field"],
        newer["version"],
        newer["stage"],
        newer["not_after"],
    )
    assert (1, "previous", None) == (older["version"], older["stage"], older["not_after"])
    assert f"<sealed {newer['fingerprint']}>\n" == home.run("get", "demo", "auth.token").stdout
    assert newer["fingerprint"] != older["fingerprint"]
    assert [["auth.token", "v2", "current"], ["auth.token", "v1", "previous"]] == [
        line.split("\t")[:3] for line in home.run("history", "demo").stdout.splitlines()
    ]
    assert "" == home.run("history", "api").stdout


def test_equal_secrets_have_equal_fingerprints(home: Home) -> None:
    """Somebody who put the same token in twice can see it."""
    with home.open().change() as change:
        change.set_secret("demo", "headers.X-Other", Secret(NEWER))
    fields = json.loads(home.run("get", "demo", "--json").stdout)

    assert fields["headers.X-Other"] == fields["auth.token"]


REFUSED = [
    (8, "did you mean 'demo'?", ["get", "dmo"]),
    (8, "did you mean 'demo'?", ["show", "demo2"]),
    (8, "did you mean 'demo'?", ["history", "demmo"]),
    (8, "mcpvault list", ["get", "nothing-like-it"]),
    (8, "did you mean 'auth.token'?", ["get", "demo", "auth.tken"]),
    (8, "mcpvault get demo", ["get", "demo", "nothing-like-it"]),
    (8, "is not set", ["get", "demo", "auth"]),
    (8, "holds no sealed value", ["get", "demo", "url", "--reveal"]),
    (8, "holds no sealed value", ["get", "api", "auth.token", "--reveal"]),
    (8, "of stage 'pending'", ["get", "demo", "auth.token", "--reveal", "--stage", "pending"]),
    (2, "--stage", ["get", "demo", "auth.token", "--reveal", "--stage", "newest"]),
    (2, "name the FIELD", ["get", "demo", "--reveal"]),
    (2, "missing argument", ["get"]),
    (2, "missing argument", ["show"]),
    (2, "unexpected extra argument", ["list", "demo"]),
    (6, "there is no vault", ["list", "--vault", "elsewhere.toml"]),
    (8, "expected a regular file", ["list", "--vault", "."]),
]


@pytest.mark.parametrize(("code", "says", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_not_there_is_told(home: Home, code: int, says: str, words: list[str]) -> None:
    """One clear line, the nearest name where there is one, and the right exit code."""
    assert says in home.refused(*words, code=code)


def test_nothing_is_revealed_without_the_key(home: Home) -> None:
    """``get`` and ``history`` open the vault; without a key they are exit 6."""
    home.key.unlink()

    for words in (["get", "demo"], ["get", "demo", "auth.token", "--reveal"], ["history", "demo"]):
        assert "no key at hand" in home.refused(*words, code=6)


@pytest.mark.parametrize(
    "words", [["list"], ["show", "local"], ["get", "demo"], ["list", "--help"], ["show", "local", "--json"]]
)
def test_a_reader_that_goes_away_is_no_error(home: Home, words: list[str]) -> None:
    """``mcpvault list | head -0`` says nothing on stderr and is exit 0, however much there was to say."""
    with home.open().change() as change:
        change.set_plain("local", "note", "much " * 50_000)
    command, env = home.command(tuple(words), {})
    script = 'set -o pipefail; ("$@"; echo $? >code) | head -0'

    done = subprocess.run(
        ["bash", "-c", script, "bash", *command], env=env, cwd=home.home, capture_output=True, timeout=LONGEST,
        check=False,
    )  # fmt: skip

    assert ((home.home / "code").read_text(), b"", b"") == ("0\n", done.stdout, done.stderr)


def test_values_are_written_as_the_file_writes_them(home: Home) -> None:
    """A list and a switch are no Python."""
    with home.open().change() as change:
        change.set_plain("api", "allow_http", True)

    for verb in ("get", "show"):
        assert 'args\t["-v"]\n' in home.run(verb, "local").stdout
        assert "allow_http\ttrue\n" in home.run(verb, "api").stdout
    assert '["-v"]\n' == home.run("get", "local", "args").stdout
