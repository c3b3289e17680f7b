"""``set``: one field of a server, by every way a value comes in."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from house import END, INTERRUPT, LONGEST, TOKEN, Home, new_vault

from mcpvault import Secret

SECRET = "set-by-a-test-4Jw8"


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault: a bearer entry, an entry without a credential, a command."""
    made = new_vault(home)
    with made.open().change() as change:
        change.add_server("open", {"url": "https://open.example.com/mcp", "note": "free"})
        change.add_server("local", {"command": "server", "args": ["-v"]})
        change.set_secret("local", "env.DB_PASSWORD", Secret(TOKEN))
    return made


def entry(home: Home, name: str) -> dict[str, Any]:
    """Return the entry as the file says it."""
    table: dict[str, Any] = tomllib.loads(home.vault.read_text())["servers"][name]
    return table


def revealed(home: Home, server: str, field: str, stage: str = "current") -> str:
    """Return a secret, opened."""
    return home.open().file.secret(server, field, stage=stage).reveal()


def private(home: Home, text: str) -> str:
    """Write *text* into a private file and return its name."""
    path = home.home / "secret.txt"
    path.touch(0o600)
    path.write_text(text)
    return str(path)


def test_a_secret_from_stdin_is_sealed(home: Home) -> None:
    """``set NAME FIELD --stdin`` seals the new value and keeps the old one as ``previous``."""
    done = home.run("set", "demo", "auth.token", "--stdin", stdin=f"{SECRET}\n")

    assert "sealed demo.auth.token\n" == done.stdout
    assert (SECRET, TOKEN) == (
        revealed(home, "demo", "auth.token"),
        revealed(home, "demo", "auth.token", "previous"),
    )
    assert SECRET not in home.vault.read_text()


def test_a_secret_from_a_private_file(home: Home) -> None:
    """``--file`` takes a file that only its owner reads; another one is refused with the command that mends it."""
    path = private(home, f"{SECRET}\n")
    home.run("set", "demo", "auth.token", "--file", path)
    assert SECRET == revealed(home, "demo", "auth.token")

    Path(path).chmod(0o644)
    assert "chmod 600" in home.refused("set", "demo", "auth.token", "--file", path, code=8)


def test_a_secret_out_of_a_variable_is_sealed_now(home: Home) -> None:
    """``--env VAR`` seals the value; the variable is not needed afterwards."""
    home.run("set", "demo", "auth.token", "--env", "GIVEN", GIVEN=SECRET)

    assert SECRET == revealed(home, "demo", "auth.token")


def test_a_secret_from_a_descriptor(home: Home) -> None:
    """``--fd N`` reads an inherited descriptor to its end."""
    command, env = home.command(("set", "demo", "auth.token", "--fd", "9"), {})
    script = 'exec "$0" "$@" 9<secret.txt'
    private(home, f"{SECRET}\n")

    done = subprocess.run(["sh", "-c", script, *command], env=env, cwd=home.home, timeout=LONGEST, check=False)

    assert 0 == done.returncode
    assert SECRET == revealed(home, "demo", "auth.token")


@pytest.mark.parametrize("option", ["--prompt", "--stdin"])
def test_a_secret_is_typed_without_echo(home: Home, option: str) -> None:
    """On a terminal both ask, and show nothing of the answer."""
    shown = home.talk("set", "demo", "auth.token", option, answers=[("auth.token: ", f"{SECRET}\n")])

    assert SECRET not in shown
    assert SECRET == revealed(home, "demo", "auth.token")


@pytest.mark.parametrize(("typed", "code"), [(INTERRUPT, 130), (END, 130), ("\n", 2)])
def test_leaving_the_prompt_changes_nothing(home: Home, typed: str, code: int) -> None:
    """Ctrl-C, ctrl-D and an empty line keep the old value."""
    before = home.files()
    home.talk("set", "demo", "auth.token", "--prompt", answers=[("auth.token: ", typed)], code=code)

    assert before == home.files()


def test_nobody_waits_for_somebody_who_types(home: Home) -> None:
    """While one person is asked another one writes; the first is told that the file changed, and nothing is lost."""

    def meanwhile(_: str) -> str:
        home.run("set", "demo", "note", "meanwhile")
        return f"{SECRET}\n"

    shown = home.talk("set", "demo", "auth.token", "--prompt", answers=[("auth.token: ", meanwhile)], code=7)

    assert "try again" in shown
    assert "meanwhile" == entry(home, "demo")["note"]
    assert TOKEN == revealed(home, "demo", "auth.token")


PLAIN = [
    ("demo", "note", "two words", "two words"),
    ("demo", "timeout.total", "90", 90),
    ("demo", "retries", "0", 0),
    ("demo", "allow_http", "true", True),
    ("demo", "headers.X-API-Version", "2026-01-01", "2026-01-01"),
    ("demo", "headers.X-API-Key", "${env:KEY}", "${env:KEY}"),
    ("open", "auth.token", "${env:TOKEN}", "${env:TOKEN}"),
    ("demo", "auth.header", "X-Token", "X-Token"),
    ("demo", "allow_private_hosts", '["10.0.0.1"]', ["10.0.0.1"]),
    ("demo", "url", "https://mcp.example.com/other", "https://mcp.example.com/other"),
    ("local", "env.MODE", "fast", "fast"),
    ("local", "cwd", "/srv", "/srv"),
]


@pytest.mark.parametrize(("server", "field", "text", "value"), PLAIN)
def test_a_plain_field_gets_its_type(home: Home, server: str, field: str, text: str, value: Any) -> None:
    """VALUE becomes what the schema wants there; references go into secret fields too."""
    assert f"set {server}.{field}\n" == home.run("set", server, field, text).stdout

    table: Any = entry(home, server)
    for part in field.split(".", 1):
        table = table[part]
    assert value == table


def test_a_credential_makes_its_kind(home: Home) -> None:
    """An entry without ``auth`` becomes a bearer entry by its token."""
    home.run("set", "open", "auth.token", "--stdin", stdin=SECRET)

    assert "bearer" == entry(home, "open")["auth"]["kind"]
    assert SECRET == revealed(home, "open", "auth.token")


def test_endless_nesting_is_no_list_of_texts(home: Home) -> None:
    """A hundred thousand brackets are refused as any other text that is no list."""
    assert "expected a JSON list of texts" in home.run("set", "local", "args", "[" * 100_000, code=2).stderr


def test_a_field_is_removed(home: Home) -> None:
    """``--unset`` removes a field, and the table that it leaves empty."""
    home.run("set", "open", "note", "--unset")
    home.run("set", "local", "env.DB_PASSWORD", "--unset")

    assert {"url": "https://open.example.com/mcp"} == entry(home, "open")
    assert {"command": "server", "args": ["-v"]} == entry(home, "local")


REFUSED: list[tuple[int, str, list[str]]] = [
    (2, "mcpvault set demo auth.token --stdin", ["demo", "auth.token", "in-clear"]),
    (2, "mcpvault set demo headers.X-API-Key --stdin", ["demo", "headers.X-API-Key", "in-clear"]),
    (2, "mcpvault set local env.DB_PASSWORD --stdin", ["local", "env.DB_PASSWORD", "in-clear"]),
    (8, "a reference is not closed", ["demo", "auth.token", "${env:TOKEN"]),
    (8, "already begins with 'Bearer'", ["demo", "auth.token", "Bearer ${env:TOKEN}", "--yes"]),
    (8, "malformed reference", ["demo", "auth.token", "${nope:TOKEN}"]),
    (8, "malformed reference", ["demo", "auth.token", "${env:1}"]),
    (8, "did you mean 'auth.token'?", ["demo", "auth.tokn", "--stdin"]),
    (8, "did you mean 'note'?", ["demo", "nte", "x"]),
    (8, "did you mean 'note'?", ["open", "nte", "--unset"]),
    (8, "did you mean 'total'?", ["demo", "timeout.totl", "5"]),
    (8, "unknown key", ["demo", "auth.token.deeper", "x"]),
    (8, "unknown key", ["demo", "", "x"]),
    (8, "did you mean 'demo'?", ["demos", "note", "x"]),
    (8, "no field that can hold a sealed value", ["demo", "note", "--stdin"]),
    (8, "is not set", ["demo", "owner", "--unset"]),
    (8, "needs it", ["demo", "auth.token", "--unset"]),
    (2, "expected a number", ["demo", "timeout.total", "long"]),
    (8, "from 1 to 86400", ["demo", "timeout.total", "0"]),
    (2, "expected true or false", ["demo", "allow_http", "yes"]),
    (2, "expected a JSON list of texts", ["local", "args", "v"]),
    (2, "expected a JSON list of texts", ["local", "args", "[1]"]),
    (8, "http or https", ["demo", "url", "ftp://x.example/"]),
    (8, "user name or password", ["demo", "url", "https://a:b@mcp.example.com/"]),
    (8, "set by the transport", ["demo", "headers.Host", "x"]),
    (8, "not a header name", ["demo", "headers.X Y", "x"]),
    (2, "expected one of", ["demo", "auth.token"]),
    (2, "expected one of", ["demo", "auth.token", "x", "--stdin"]),
    (2, "expected one of", ["demo", "auth.token", "--stdin", "--unset"]),
    (2, "no terminal", ["demo", "auth.token", "--prompt"]),
    (2, "stdin: is empty", ["demo", "auth.token", "--stdin"]),
    (2, "variable 'NOWHERE' is not set", ["demo", "auth.token", "--env", "NOWHERE"]),
    (2, "descriptor 99: cannot be read", ["demo", "auth.token", "--fd", "99"]),
    (2, "--fd", ["demo", "auth.token", "--fd", "-1"]),
    (8, "cannot be read", ["demo", "auth.token", "--file", "/nonexistent"]),
    (8, "expected a regular file", ["demo", "auth.token", "--file", "/dev/null"]),
]


@pytest.mark.parametrize(("code", "says", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_is_refused(home: Home, code: int, says: str, words: list[str]) -> None:
    """One clear line, at most one hint, the right exit code, and no file has changed."""
    said = home.refused("set", *words, code=code)

    assert says in said
    assert "in-clear" not in said


def test_a_literal_does_not_replace_a_sealed_value(home: Home) -> None:
    """A header whose name tells nothing stays secret once it was sealed."""
    home.run("set", "demo", "headers.X-Plain", "--stdin", stdin=SECRET)

    assert "--stdin" in home.refused("set", "demo", "headers.X-Plain", "in-clear", code=2)


def test_a_reference_in_place_of_sealed_values_asks(home: Home) -> None:
    """They would be lost: without a terminal it needs ``--yes``, and a dry run says what would go."""
    home.run("set", "demo", "auth.token", "--stdin", stdin=SECRET)
    words = ("set", "demo", "auth.token", "${env:TOKEN}")

    assert "sealed there (current, previous) is lost" in home.refused(*words, code=2)
    assert "stands here in clear" in home.refused(*words[:3], "$${env:TOKEN}", code=8)
    home.talk(*words, answers=[("[y/N]: ", "n\n")], code=2)
    assert "(current, previous) is lost" in home.run(*words, "--dry-run").stderr
    assert SECRET == revealed(home, "demo", "auth.token")

    home.run(*words, "--yes")
    assert "${env:TOKEN}" == entry(home, "demo")["auth"]["token"]
    home.run("set", "demo", "auth.token", "${env:OTHER}")
    assert "${env:OTHER}" == entry(home, "demo")["auth"]["token"]


def test_a_token_with_its_scheme(home: Home) -> None:
    """It is refused where it is typed, as when it is sent; an entry whose scheme is empty may hold it."""
    assert "already begins with 'Bearer'" in home.refused(
        "set", "demo", "auth.token", "--stdin", code=8, stdin="bearer x"
    )

    home.run("set", "demo", "auth.scheme", "")
    home.run("set", "demo", "auth.token", "Bearer ${env:TOKEN}", "--yes")
    assert "Bearer ${env:TOKEN}" == entry(home, "demo")["auth"]["token"]


MOVES = [
    ("demo", "url", "https://elsewhere.example/mcp", "auth.token"),
    ("local", "command", "other", "env.DB_PASSWORD"),
    ("local", "args", '["-q"]', "env.DB_PASSWORD"),
]


@pytest.mark.parametrize(("server", "field", "value", "secret"), MOVES)
def test_where_a_secret_goes_is_asked(home: Home, server: str, field: str, value: str, secret: str) -> None:
    """A changed url, command or args names the sealed values that would follow, and asks on a terminal."""
    before = home.files()
    shown = home.talk("set", server, field, value, answers=[("[y/N]: ", "n\n")], code=2)
    assert secret in shown
    assert before == home.files()
    home.talk("set", server, field, value, answers=[("[y/N]: ", INTERRUPT)], code=130)
    assert before == home.files()

    home.talk("set", server, field, value, answers=[("[y/N]: ", "y\n")])
    assert TOKEN == revealed(home, server, secret)


def test_without_a_terminal_a_secret_goes_nowhere_else(home: Home) -> None:
    """Exit 8 names ``--yes``; with it the values are sealed again for the new place, old versions too."""
    home.run("set", "demo", "auth.token", "--stdin", stdin=SECRET)
    assert "--yes" in home.refused("set", "demo", "url", "https://elsewhere.example/mcp", code=8)

    home.run("set", "demo", "url", "https://elsewhere.example/mcp", "--yes")
    assert (SECRET, TOKEN) == (
        revealed(home, "demo", "auth.token"),
        revealed(home, "demo", "auth.token", "previous"),
    )
    assert {"https://elsewhere.example:443"} == {v["bound"][1] for v in entry(home, "demo")["auth"]["token"]}


def test_a_dry_run_asks_nothing(home: Home) -> None:
    """``--dry-run`` warns of the values that would follow, and writes nothing."""
    before = home.files()
    done = home.run("set", "demo", "url", "https://elsewhere.example/mcp", "--dry-run", "--json")

    assert {"server": "demo", "field": "url", "done": "set", "dry_run": True} == json.loads(done.stdout)
    assert "mcpvault: warning: " in done.stderr
    assert before == home.files()


def test_the_same_value_again_writes_nothing(home: Home) -> None:
    """A field that has its value already leaves file and serial alone."""
    home.run("set", "demo", "note", "x")
    before = home.files()
    home.run("set", "demo", "note", "x")

    assert before == home.files()
