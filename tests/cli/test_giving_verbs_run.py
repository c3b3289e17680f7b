"""``run``: what the program gets, what it does not, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from house import LONGEST, TOKEN, Home, new_vault
from hypothesis import given
from hypothesis import strategies as st

from mcpvault import Secret
from mcpvault.errors import ConfigurationError
from mcpvault.upkeep.handing import parsed
from mcpvault.upkeep.masking import Masker

PASSWORD = "a password / with signs"
ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a bearer entry and a stdio entry that holds a password."""
    made = new_vault(home)
    with made.open().change() as change:
        change.add_server("db", {"command": "/opt/db"})
        change.set_secret("db", "env.DB_PASSWORD", Secret(PASSWORD))
        change.set_plain("demo", "run_env.DEMO_TOKEN", "auth.token")
        change.set_plain("demo", "run_env.DEMO_URL", "url")
    return made


def python(code: str) -> list[str]:
    """Return the words of a program after ``--``."""
    return ["--", sys.executable, "-c", code]


def test_the_entry_says_which_variables(home: Home) -> None:
    """``run_env`` names variables and fields; the vault's key is not passed on, all else of the caller is."""
    key = home.key.rename(home.home / "k.key")
    env = {"MCPVAULT_KEY_FILE": str(key), "CREDENTIALS_DIRECTORY": "/run/c", "OTHER": "kept"}

    seen = json.loads(home.run("run", "demo", *python(ENVIRONMENT), **env).stdout)

    assert (TOKEN, "https://mcp.example.com/mcp", "kept") == (seen["DEMO_TOKEN"], seen["DEMO_URL"], seen["OTHER"])
    assert [] == [name for name in seen if name.startswith(("MCPVAULT_KEY", "CREDENTIALS_"))]


def test_a_variable_is_asked_for(home: Home) -> None:
    """``--set VAR=NAME`` gives the credential, ``VAR=NAME.FIELD`` a field, and nothing else is set."""
    words = ["run", "--set", "T=demo", "--set", "P=db.env.DB_PASSWORD", *python(ENVIRONMENT)]

    seen = json.loads(home.run(*words).stdout)

    assert (TOKEN, PASSWORD, False) == (seen["T"], seen["P"], "DEMO_TOKEN" in seen)


def test_a_file_and_a_descriptor_are_in_memory(home: Home) -> None:
    """The variable holds a path or a number; grandchildren can read the path, nobody can write it, no file is made."""
    code = (
        "import os, subprocess, sys; path = os.environ['F']; sys.stdout.write(open(path).read() + '|'); "
        "sys.stdout.write(os.read(int(os.environ['N']), 999).decode() + '|'); sys.stdout.flush(); "
        "subprocess.run(['cat', path]); print('|', oct(os.stat(path).st_mode & 0o777))"
    )
    before = home.files()

    said = home.run("run", "--file", "F=db.env.DB_PASSWORD", "--fd", "N=demo", *python(code)).stdout

    assert f"{PASSWORD}|{TOKEN}|{PASSWORD}| 0o400\n" == said
    assert before == home.files()


@pytest.mark.parametrize("mask", [[], ["--mask"]])
@pytest.mark.parametrize(
    ("code", "ends"), [("raise SystemExit(41)", 41), ("import os; os.kill(os.getpid(), 15)", None)]
)
def test_it_ends_as_the_program_ends(home: Home, mask: list[str], code: str, ends: int | None) -> None:
    """The exit code is the child's own; without ``--mask`` it is the very same process, killed by the same signal."""
    expected = ends if ends is not None else 128 + signal.SIGTERM if mask else -signal.SIGTERM

    home.run("run", "demo", *mask, *python(code), code=expected)


def test_ignored_signals_are_not_inherited(home: Home) -> None:
    """Python ignores SIGPIPE; the program gets the default, so that ``| head`` ends it quietly."""
    command, env = home.command(("run", "demo", "--", "cat", "/proc/self/status"), {})

    said = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LONGEST, check=True).stdout

    ignored = int(next(line.split()[1] for line in said.splitlines() if line.startswith("SigIgn")), 16)
    assert 0 == ignored & 1 << signal.SIGPIPE - 1


def test_masked_output_holds_no_secret(home: Home) -> None:
    """``--mask`` replaces every secret that was handed over, on both streams, however it is cut and form-encoded."""
    code = (
        "import os, sys, time, urllib.parse; t = os.environ['DEMO_TOKEN']; "
        "[(sys.stdout.write(c), sys.stdout.flush()) for c in 'a' + t + 'b']; "
        "sys.stderr.write('e ' + urllib.parse.quote_plus(os.environ['P']))"
    )

    done = home.run("run", "demo", "--set", "P=db.env.DB_PASSWORD", "--mask", *python(code))

    assert ("a[redacted]b", "e [redacted]") == (done.stdout, done.stderr)


@given(
    st.lists(st.text("ab", min_size=4, max_size=7), min_size=1, max_size=3),
    st.lists(st.text("ab", max_size=5), max_size=12),
)
def test_masking_does_not_depend_on_the_cuts(secrets: list[str], pieces: list[str]) -> None:
    """Whatever the pieces of a stream are, what is shown is what masking the whole shows, and holds no secret."""
    hidden = [Secret(each) for each in secrets]
    cut, whole = Masker(hidden), Masker(hidden)
    text = "".join(pieces).encode()

    shown = b"".join(cut(piece.encode()) for piece in pieces) + cut.rest()

    assert whole(text) + whole.rest() == shown
    assert [] == [each for each in secrets if each.encode() in shown]


@pytest.mark.parametrize(
    ("end", "shown"),
    [("-of-another", b"[redacted]"), ("-of-annoyance", b"[redacted]-of-annoyance"), ("", b"[redacted]")],
)
def test_the_longer_of_two_secrets_is_masked_whole(end: str, shown: bytes) -> None:
    """A secret that begins another one is held back until it is clear which of the two it is."""
    masker = Masker([Secret("the-beginning"), Secret("the-beginning-of-another")])

    assert b"" == masker(b"the-beginning")
    assert shown == masker(end.encode()) + masker.rest()


def written(secret: str) -> dict[str, bytes]:
    """Return how programs print a secret, alone and within more text."""
    more = f'it\'s "{secret}"'
    return {
        "json": json.dumps({"token": secret}).encode(),
        "json as it is": json.dumps([more], ensure_ascii=False).encode(),
        "json of PHP": json.dumps(secret).replace("/", "\\/").encode(),
        "repr": repr({"token": secret}).encode(),
        "repr of text with both quotes": repr(more).encode(),
        "repr of text with an apostrophe": repr(f"'{secret}").encode(),
        "repr of bytes": repr([secret.encode(), more.encode()]).encode(),
        "URL": f"?a={quote(secret, safe='')}&b={quote_plus(secret)}".encode(),
        "as it is": more.encode(),
    }


@pytest.mark.parametrize("sign", ["/", "'", '"', "\\", "\\'", "'\\\"", "\t", "\x1b[0m", "\x7f", "ö", "€ ", "😀"])
@pytest.mark.parametrize("form", [*written("")])
def test_a_secret_is_masked_as_programs_print_it(sign: str, form: str) -> None:
    """In JSON, in Python's ``repr`` and in URLs, whatever signs it has: neither end of it is left."""
    said = written(f"Zq81{sign}mVx0")[form]
    masker = Masker([Secret(f"Zq81{sign}mVx0")])

    shown = masker(said) + masker.rest()

    assert (True, False, False) == (b"[redacted]" in shown, b"Zq81" in shown, b"mVx0" in shown)


def test_a_password_is_masked_as_a_basic_credential_too(home: Home) -> None:
    """``--mask`` hides what the program makes of user and password for an Authorization header."""
    with home.open().change() as change:
        change.add_server("jira", {"url": "https://jira.example.com/", "auth": {"kind": "basic", "username": "ann"}})
        change.set_secret("jira", "auth.password", Secret(PASSWORD))
    code = "import base64, os; print(base64.b64encode(('ann:' + os.environ['P']).encode()).decode())"

    assert "[redacted]\n" == home.run("run", "--set", "P=jira", "--mask", *python(code)).stdout


REFUSED = [
    (2, "there is no COMMAND", ["run", "demo"]),
    (2, "there is no COMMAND", ["run", "demo", "--"]),
    (2, "nothing is to be handed over", ["run", "--", "true"]),
    (2, "expected VAR=NAME", ["run", "--set", "demo", "--", "true"]),
    (2, "expected VAR=NAME", ["run", "--set", "A B=demo", "--", "true"]),
    (2, "/no/such/program: no such file", ["run", "demo", "--", "/no/such/program"]),
    (2, "/no/such/program: no such file", ["run", "demo", "--mask", "--", "/no/such/program"]),
    (8, "servers.db: says no variable", ["run", "db", "--", "true"]),
    (8, "did you mean 'demo'?", ["run", "dmo", "--", "true"]),
    (8, "did you mean 'env.DB_PASSWORD'?", ["run", "--set", "P=db.env.DB_PASSWD", "--", "true"]),
    (8, "its credential is no single field", ["run", "--set", "P=db", "--", "true"]),
    (8, "DEMO_TOKEN: is set twice", ["run", "demo", "--set", "DEMO_TOKEN=demo", "--", "true"]),
    *[
        (8, f"{name}: steers how programs are loaded", ["run", "--set", f"{name}=demo", "--", "true"])
        for name in ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PYTHONPATH", "NODE_OPTIONS", "PATH", "BASH_ENV", "Path",
                     "MCPVAULT_FILE", "ENV", "GIT_SSH_COMMAND", "IFS", "GEM_PATH", "SSH_ASKPASS", "ERL_FLAGS")
    ],
]  # fmt: skip


@pytest.mark.parametrize(("code", "says", "words"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_cannot_be_run_is_told(home: Home, code: int, says: str, words: list[str]) -> None:
    """One line, the right exit code, and no program was started."""
    assert says in home.refused(*words, code=code)


@pytest.mark.parametrize(
    "name",
    [
        *("NODE_AUTH_TOKEN", "NODE_PASSWORD", "GIT_TOKEN", "GIT_PASSWORD", "GIT_SSH_KEY", "BUNDLE_GITHUB__COM"),
        *("BUNDLE_GEMS__CONTRIBSYS__COM", "BUNDLE_RUBYGEMS__PKG__GITHUB__COM", "NPM_CONFIG__AUTH", "NPM_CONFIG_OTP"),
        *("npm_config__authToken", "NPM_TOKEN", "NPM_CONFIG_GITHUB_TOKEN"),
    ],
)
def test_a_secret_s_own_variable_is_not_refused(name: str) -> None:
    """What git, npm and bundler read a credential from can be set, though other variables begin alike."""
    assert ("variable", name, "demo", None) == parsed("variable", f"{name}=demo")


@pytest.mark.parametrize(
    "name",
    [
        *("NODE_OPTIONS", "NODE_PATH", "NODE_EXTRA_CA_CERTS", "NODE_REPL_EXTERNAL_MODULE", "GIT_SSH", "GIT_EXEC_PATH"),
        *("GIT_CONFIG_COUNT", "GIT_CONFIG_VALUE_0", "GIT_EDITOR", "GIT_PAGER", "GIT_ASKPASS", "GIT_PROXY_COMMAND"),
        *("GIT_EXTERNAL_DIFF", "GIT_TEMPLATE_DIR", "GIT_SEQUENCE_EDITOR", "GIT_DIR", "BUNDLE_GEMFILE", "BUNDLE_PATH"),
        *("BUNDLE_LOCAL__RACK", "BUNDLER_ORIG_RUBYOPT", "NPM_CONFIG_SCRIPT_SHELL", "npm_config_node_options"),
        *("NPM_CONFIG_PREFIX", "NPM_CONFIG_GIT", "NPM_CONFIG_REGISTRY", "NPM_CONFIG_USERCONFIG"),
    ],
)
def test_what_loads_code_is_refused(name: str) -> None:
    """The variables of these programs that make them run or load something else are not set from a vault."""
    with pytest.raises(ConfigurationError, match=f"{name}: steers how programs are loaded"):
        parsed("variable", f"{name}=demo")


def test_an_entry_cannot_set_a_variable_that_steers(home: Home) -> None:
    """``run_env`` is held to the same rule by who writes it, ``set`` and ``edit``, and by ``run``, for older vaults."""
    said = "servers.demo.run_env.LD_PRELOAD: steers"
    before = home.vault.read_text()
    assert said in home.refused("set", "demo", "run_env.LD_PRELOAD", "url", code=8)
    editor = "sed -i 's/DEMO_URL/LD_PRELOAD/'"
    assert said in home.refused("edit", code=8, EDITOR=editor)
    assert before == home.vault.read_text()

    with home.open().change() as change:
        change.table("demo")["run_env"]["LD_PRELOAD"] = "url"
    assert said in home.refused("run", "demo", "--", "true", code=8)
    home.run("set", "demo", "note", "as before")
    home.run("set", "demo", "run_env.LD_PRELOAD", "--unset")


def test_a_dry_run_starts_nothing(home: Home) -> None:
    """It says what would be set, and from where, and no value."""
    told = json.loads(home.run("run", "demo", "--dry-run", "--json", "--", "touch", "x").stdout)

    assert ["touch", "x"] == told["command"]
    assert {"way": "variable", "variable": "DEMO_TOKEN", "server": "demo", "field": "auth.token"} == told["set"][0]
    assert not (home.home / "x").exists()


def test_no_descriptor_of_ours_is_inherited(home: Home) -> None:
    """The program has stdin, stdout, stderr and what was handed over; not the vault, its lock, or the key."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("there is no /proc here")
    code = (
        "import os; links = [f'/proc/self/fd/{n}' for n in range(3, 64)]; "
        "print([os.readlink(link) for link in links if os.path.islink(link)])"
    )
    key = os.open(home.key, os.O_RDONLY)
    os.set_inheritable(key, True)
    command, env = home.command(("run", "--fd", "N=demo", *python(code)), {"MCPVAULT_KEY_FD": str(key)})

    said = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=LONGEST, check=True, pass_fds=[key]
    ).stdout
    os.close(key)

    assert ["/memfd:mcpvault (deleted)"] == re.findall(r"'([^']*)'", said)
    assert stat.S_ISREG(home.vault.stat().st_mode)
