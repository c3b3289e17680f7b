"""What every verb keeps to: help with an example, JSON, dry runs, errors, streams, and never a wait."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import click
import pytest
from house import LONGEST, Home, new_vault

from mcpvault import Secret
from mcpvault.cli.main import VERBS, group

URL = "https://new.example.com/mcp"
MCP_JSON = {"mcpServers": {"imported": {"url": "https://i.example.com/mcp", "headers": {"Authorization": "Bearer t0"}}}}


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a vault, a command that waits for approval, and another client's file."""
    made = new_vault(home)
    with made.open().change() as change:
        change.add_server("child", {"command": "/opt/x", "approved": False})
        change.set_secret("child", "env.DB_PASSWORD", Secret("pw"))
    (home / "mcp.json").write_text(json.dumps(MCP_JSON))
    (home / "editor.sh").write_text("""sed -i 's/approved = false/approved = true/' "$1" """)
    return made


def sub_verbs(command: click.Command, *words: str) -> list[tuple[str, ...]]:
    """Return the words of every verb below *command*."""
    if not isinstance(command, click.Group):
        return [words]
    context = click.Context(command)
    found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [words, *(line for name, sub in found if sub is not None for line in sub_verbs(sub, *words, name))]


@pytest.mark.parametrize("words", sub_verbs(group), ids=" ".join)
def test_every_verb_has_help(home: Home, words: tuple[str, ...]) -> None:
    """``--help`` says how it is used and ends with 0; a verb's own help shows an example."""
    done = home.run(*words, "--help", HOME="/nonexistent")

    assert done.stdout.startswith(f"Usage: {' '.join(['mcpvault', *words])} ")
    assert (True, "") == (len(words) > 1 or "Example" in done.stdout, done.stderr)
    assert done.stdout == home.run(*words, "-h", HOME="/nonexistent").stdout


def test_the_overview_lists_every_verb(home: Home) -> None:
    """``mcpvault --help`` has one line a verb, from the table."""
    shown = home.run("--help", COLUMNS="120").stdout

    assert [] == [verb for verb, (_, line) in VERBS.items() if f"  {verb} " not in shown or line not in shown]


def options(words: tuple[str, ...]) -> set[str]:
    """Return the options of the verb *words*."""
    command: click.Command = group
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word) or command
    return {spelling for parameter in command.params for spelling in parameter.opts}


VERBS_ALONE = [words for words in sub_verbs(group) if words and not any(
    other[: len(words)] == words and other != words for other in sub_verbs(group)
)]  # fmt: skip
# They change no file of ours and nothing at an issuer; a login is a person's consent, and asked for as such.
READING = {
    verb.strip()
    for verb in """
    get, list, show, history, slots list, login, status, tools, resources, prompts, call, complete, headers, token,
    probe, explain, due, forecast, audit show, audit verify, scan, git textconv, export, stdio, shell, demo, exit-codes,
    completion, listen, client sessions list, client prompts get, client prompts list, client resources list,
    client resources read, client tools call, client tools describe, client tools list
    """.split(",")
}
WITHOUT_JSON = {"stdio", "shell"}  # what they print is the protocol's, or a person's


@pytest.mark.parametrize("words", VERBS_ALONE, ids=" ".join)
def test_every_verb_has_json_and_those_that_change_something_a_dry_run(words: tuple[str, ...]) -> None:
    """``--json`` everywhere; ``--dry-run`` wherever a file of ours or something at an issuer is changed."""
    found, verb = options(words), " ".join(words)

    assert ("--json" in found) or verb in WITHOUT_JSON
    assert ("--dry-run" in found) or verb in READING


JSON = [
    "init --vault other.toml", "add new https://new.example.com/mcp", "set demo note x",
    "set child env.DB_PASSWORD --unset", "get demo url", "get demo auth.token --reveal", "list", "show demo",
    "show child", "get demo", "history demo", "due", "forecast", "edit", "remove demo --yes",
    "sign --yes", "trust --accept --yes",
    "approve child --yes", "slots list", "slots add x --new-key-file x.key", "slots keygen h.key", "import mcp.json",
    "client connect https://new.example.com/mcp --name new", "client sessions list", "client sessions switch demo",
    "client disconnect demo", "client disconnect --all --yes", "exit-codes", "completion bash", "explain demo",
    "explain child",
    "headers demo", "token demo", "inject mcp.json", "inject mcp.json --out out",
    "run --set T=demo --dry-run --json -- true", "export --to cursor",
]  # fmt: skip


@pytest.mark.parametrize("line", JSON)
def test_json_is_one_document(home: Home, line: str) -> None:
    """With ``--json`` stdout holds one JSON value and nothing else, and stderr no error."""
    done = home.run(*line.split(), "--json", EDITOR="sh editor.sh")

    assert isinstance(json.loads(done.stdout), dict | list)
    assert "mcpvault: " not in done.stderr


DRY = [
    "rotate demo --stdin",
    "init --vault other.toml", "add new https://new.example.com/mcp", "set demo note x", "set demo auth.token --stdin",
    "set demo url https://new.example.com/mcp", "set child env.DB_PASSWORD --unset", "edit", "remove demo", "sign",
    "trust --accept", "trust ROOT", "approve child", "slots add x --new-key-file x.key", "slots keygen h.key",
    "import mcp.json", "import mcp.json --move", "client connect https://new.example.com/mcp --name new",
    "client disconnect demo", "client disconnect --all", "client sessions switch demo",
]  # fmt: skip


@pytest.mark.parametrize("line", DRY)
def test_a_dry_run_changes_nothing(home: Home, line: str) -> None:
    """``--dry-run`` asks nothing and leaves vault, state, keys and sources as they are, byte for byte."""
    words = line.replace("ROOT", home.open().file.root_fingerprint).split()
    before = home.files()

    assert "" != home.run(*words, "--dry-run", stdin="a-token\n", EDITOR="sh editor.sh").stdout
    assert before == home.files()


ERRORS = [
    (2, "usage", "get"),
    (2, "usage", "get demo --bogus"),
    (2, "usage", "nonsense"),
    (2, "usage", "slots nonsense"),
    (2, "usage", "remove demo"),
    (2, "usage", "add new https://new.example.com/mcp --header X-API-Key=x"),
    (6, "vault_not_found", "list --vault nowhere.toml"),
    (6, "vault_format", "list --vault mcp.json"),
    (6, "untrusted_root", f"trust mvr1-{'a' * 32}"),
    (8, "unknown_server", "get nobody"),
    (8, "unknown_field", "get demo nothing"),
    (8, "configuration", "add demo https://new.example.com/mcp"),
    (8, "binding_mismatch", "set demo url https://new.example.com/mcp"),
    (8, "permissions", "set demo auth.token --file /nonexistent"),
    (8, "header_refused", "set demo headers.Host x"),
]


@pytest.mark.parametrize(("code", "kind", "line"), ERRORS)
def test_an_error_is_one_line_of_json(home: Home, code: int, kind: str, line: str) -> None:
    """With ``--json`` an error is one line on stderr with its seven facts, and stdout is empty."""
    done = home.run(*line.split(), "--json", code=code)
    [said] = done.stderr.splitlines()
    error = json.loads(said)

    assert (["error"], "") == ([*error], done.stdout)
    assert ["kind", "code", "message", "hint", "server", "retry_after", "login_command"] == [*error["error"]]
    assert (kind, code) == (error["error"]["kind"], error["error"]["code"])


ASKING = [
    (2, "remove demo"),
    (2, "approve child"),
    (2, "sign"),
    (2, "trust --accept"),
    (2, "client disconnect --all"),
    (2, "init --vault other.toml --passphrase"),
    (2, "slots add x --passphrase"),
    (2, "add new https://new.example.com/mcp --bearer-prompt"),
    (2, "set demo auth.token --prompt"),
    (8, "set demo url https://new.example.com/mcp"),
    (6, "get demo --vault phrase.toml"),
    (0, "edit"),
]


@pytest.mark.parametrize(("code", "line"), ASKING)
def test_nobody_waits_without_a_terminal(home: Home, code: int, line: str) -> None:
    """With a stdin that never ends and no terminal, what would ask ends at once, with a hint and no change."""
    (home.home / "phrase.toml").write_text(home.vault.read_text().replace(home.state.name, "A" * 22))
    before = home.files()
    command, env = home.command(tuple(line.split()), {"EDITOR": "true"})
    reading, writing = os.pipe()

    done = subprocess.run(
        command, env=env, cwd=home.home, stdin=reading, capture_output=True, encoding="utf-8", timeout=LONGEST,
        start_new_session=True, check=False,
    )  # fmt: skip
    for end in (reading, writing):
        os.close(end)

    assert (code, "Traceback" in done.stderr) == (done.returncode, False), done.stderr
    assert code == 0 or "mcpvault: hint: " in done.stderr
    assert before == home.files()


STREAMS = [
    ("list", "0</dev/null >&-", 0),
    ("list --json", "<&-", 0),
    ("get nobody", "<&- >&-", 8),
    ("get demo", "2>&-", 0),
    ("set demo auth.token --stdin", "<&-", 2),
    ("add new https://new.example.com/mcp --bearer-stdin", "<&- >&-", 2),
    ("remove demo", "<&-", 2),
    ("set demo note x", "<&- >&- 2>&-", 0),
    ("list", ">/dev/full", 1),
    ("list --help", ">/dev/full", 1),
]


@pytest.mark.parametrize(("line", "streams", "code"), STREAMS)
def test_a_closed_stream_is_survived(home: Home, line: str, streams: str, code: int) -> None:
    """Cron and daemons close streams: no traceback, the right exit code, no file written through a reused number."""
    command, env = home.command(tuple(line.split()), {})
    script = f'exec "$@" {streams}'

    done = subprocess.run(
        ["sh", "-c", script, "sh", *command], env=env, cwd=home.home, stdin=subprocess.DEVNULL, capture_output=True,
        encoding="utf-8", timeout=LONGEST, check=False,
    )  # fmt: skip

    assert (code, False) == (done.returncode, "Traceback" in done.stderr or "Exception ignored" in done.stderr)
    home.run("get", "demo")


@pytest.mark.parametrize("line", ["list", "get demo auth.token --reveal", "list --help", "list --json"])
@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_a_full_disk_below_stdout_is_told(home: Home, line: str, env: dict[str, str]) -> None:
    """Exit 1 and what it was, not something to be reported to us."""
    command, around = home.command(tuple(line.split()), {})

    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, env=around | env, cwd=home.home, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
            encoding="utf-8", timeout=LONGEST, check=False,
        )  # fmt: skip

    said = done.stderr.replace("\n", " ")
    assert (1, True) == (done.returncode, "stdout: cannot be written: no space left on device" in said), said
    assert "report it" not in said


def test_options_follow_the_verb(home: Home) -> None:
    """An option before the verb is exit 2 and told where it belongs."""
    assert "mcpvault VERB --vault" in home.refused("--vault", "x", "list", code=2)
    assert "mcpvault VERB --json" in home.run("--json", "lst", code=2).stderr
    assert "did you mean '--version'?" in home.refused("--versoin", code=2)
    assert "did you mean 'list'?" in home.refused("lst", code=2)
    assert "mcpvault --help" in home.refused("xyzzy", code=2)


@pytest.mark.parametrize("words", [["list"], ["remove", "demo", "--yes"], ["init"], ["doctor"]])
def test_an_empty_vault_option_is_no_vault(home: Home, words: list[str]) -> None:
    """What a script's unset variable leaves of ``--vault "$V"`` is exit 2, and not the default vault."""
    before = home.files()
    assert "--vault: is empty" in home.refused(*words, "--vault", "", code=2)
    assert before == home.files()


def test_a_vault_in_a_home_that_nobody_has(home: Home) -> None:
    """Exit 8, from the option and from the variable."""
    place = "~nobody-of-that-name/x"
    assert f"{place}: there is no such home" in home.refused("list", "--vault", place, code=8)
    assert f"{place}: there is no such home" in home.refused("list", code=8, MCPVAULT_FILE=place)


def test_debug_shows_the_traceback_redacted(home: Home) -> None:
    """``--debug`` is for reports: it adds the traceback before the error's line, with no secret in it."""
    done = home.run("get", "demo", "auth.tkn", "--debug", code=8, traceback=True)

    assert ("Traceback" in done.stderr, done.stderr.splitlines()[-1].startswith("mcpvault: hint: ")) == (True, True)
