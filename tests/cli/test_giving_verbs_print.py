"""``headers``, ``token``, ``inject``: what they print by design, for whom, and what they refuse."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
from house import LONGEST, TOKEN, Home, new_vault

from mcpvault import Secret

ORIGIN = "https://mcp.example.com"


@pytest.fixture
def home(home: Path) -> Home:
    """A home with a bearer entry, a basic entry whose password ends, and a command."""
    made = new_vault(home)
    with made.open().change() as change:
        change.set_plain("demo", "headers.X-API-Version", "2026-01-01")
        change.add_server("basic", {"url": f"{ORIGIN}/b", "auth": {"kind": "basic", "username": "ada"}})
        change.set_secret("basic", "auth.password", Secret("pass-word-1"), not_after="2031-01-01T00:00:00Z")
        change.add_server("local", {"command": "/opt/x"})
    return made


def test_headers_are_one_json_object(home: Home) -> None:
    """What a headersHelper prints: names and values, the credential's and the entry's own, and nothing else."""
    expected = {"X-API-Version": "2026-01-01", "Authorization": f"Bearer {TOKEN}"}

    assert expected == json.loads(home.run("headers", "demo").stdout)
    assert expected == json.loads(home.run("headers", "demo", "--for", f"{ORIGIN}/other", "--json").stdout)


def test_claude_code_says_where_headers_go(home: Home) -> None:
    """Its helper is told the URL of the server: where a project names another, the headers stay here, exit 8."""
    assert TOKEN in home.run("headers", "demo", CLAUDE_CODE_MCP_SERVER_URL=f"{ORIGIN}/elsewhere").stdout
    for url, words in (("https://evil.example/mcp", ()), (f"http{ORIGIN[5:]}/mcp", ("--for", ORIGIN))):
        done = home.run("headers", "demo", *words, CLAUDE_CODE_MCP_SERVER_URL=url, code=8)
        assert ("", True) == (done.stdout, "its credential is for" in done.stderr)


def test_a_token_is_printed_bare(home: Home) -> None:
    """One line; with ``--json`` beside the server and when it ends."""
    assert f"{TOKEN}\n" == home.run("token", "demo").stdout
    told = json.loads(home.run("token", "basic", "--json").stdout)
    assert {"server": "basic", "value": "pass-word-1", "expires_at": 1924992000.0} == told


def test_git_asks_for_a_credential(home: Home) -> None:
    """Git's own ``credential fill`` gets user name, password and expiry from us; ``store`` and ``erase`` do nothing."""
    command, env = home.command(("token", "basic", "--format", "git"), {})
    (home.home / ".gitconfig").write_text(f'[credential "{ORIGIN}"]\nhelper = "!{" ".join(command)}"\n')

    done = subprocess.run(
        ["git", "credential", "fill"], input=f"url={ORIGIN}/repo.git\n\n", env=env | {"GIT_TERMINAL_PROMPT": "0"},
        cwd=home.home, capture_output=True, text=True, timeout=LONGEST, check=True,
    )  # fmt: skip

    told = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert ("ada", "pass-word-1", "https") == (told["username"], told["password"], told["protocol"])
    assert "password_expiry_utc=1924992000" in home.run("token", "basic", "--format", "git").stdout
    for operation in ("store", "erase"):
        assert "" == home.run("token", "basic", operation, "--format", "git", stdin="x").stdout


def test_git_is_not_led_elsewhere_by_a_slash_in_a_host(home: Home) -> None:
    """Git decodes ``%2f`` in a URL's host, and would send the password to what stands behind it: it gets none."""
    command, env = home.command(("token", "basic", "--format", "git"), {})
    (home.home / ".gitconfig").write_text(f'[credential]\nhelper = "!{" ".join(command)}"\n')

    for host in ("mcp.example.com%2f.evil.example", "mcp.example.com%3f.evil.example"):
        done = subprocess.run(
            ["git", "credential", "fill"], input=f"url=https://{host}/repo.git\n\n",
            env=env | {"GIT_TERMINAL_PROMPT": "0"},
            cwd=home.home, capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
        assert (128, "", True) == (done.returncode, done.stdout, "expected a host and no more" in done.stderr)


def test_git_gets_a_scheme_when_it_can_take_one(home: Home) -> None:
    """``capability[]=authtype`` makes a bearer token one; without it the token is a password."""
    asked = "protocol=https\nhost=mcp.example.com\n"

    able = home.run("token", "demo", "get", "--format", "git", stdin=f"capability[]=authtype\n{asked}\n").stdout
    older = home.run("token", "demo", "get", "--format", "git", stdin=asked).stdout

    assert f"capability[]=authtype\nauthtype=Bearer\ncredential={TOKEN}\n" == able
    assert f"username=oauth2\npassword={TOKEN}\n" == older


def test_kubectl_asks_for_a_credential(home: Home) -> None:
    """An ExecCredential of the version that was asked for, with the end where it is known."""
    info = json.dumps({"apiVersion": "client.authentication.k8s.io/v1beta1", "spec": {"cluster": {"server": ORIGIN}}})

    told = json.loads(home.run("token", "basic", "--format", "exec-credential", KUBERNETES_EXEC_INFO=info).stdout)

    assert {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "kind": "ExecCredential",
        "status": {"token": "pass-word-1", "expirationTimestamp": "2031-01-01T00:00:00Z"},
    } == told


ELSEWHERE = json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "spec": {"cluster": {"server": "https://e"}}})
REFUSED = [
    (8, "its credential is for https://mcp.example.com:443, not for https://evil.example:443", "",
     ["headers", "demo", "--for", "https://evil.example/mcp"]),
    (8, "not for http://mcp.example.com", "", ["token", "demo", "--for", "http://mcp.example.com/"]),
    (8, "not for https://evil.example", "protocol=https\nhost=evil.example\n\n",
     ["token", "demo", "get", "--format", "git"]),
    (2, "expected git's protocol and host", "", ["token", "demo", "get", "--format", "git"]),
    (2, "expected git's protocol and host", "host=mcp.example.com\n\n", ["token", "demo", "get", "--format", "git"]),
    (2, "expected git's protocol and host", "protocol=https\nhost=\n\n", ["token", "demo", "get", "--format", "git"]),
    *((2, "expected a host and no more", f"protocol=https\nhost={host}\n\n",
       ["token", "demo", "get", "--format", "git"])
      for host in ("mcp.example.com/evil", "mcp.example.com?.evil", "mcp.example.com#e", "u@mcp.example.com")),
    (2, "expected a host and no more", "protocol=https://mcp.example.com/\nhost=evil.example\n\n",
     ["token", "demo", "get", "--format", "git"]),
    (2, "expected git's lines", "nonsense\n", ["token", "demo", "get", "--format", "git"]),
    (2, "is no http or https URL", "", ["headers", "demo", "--for", "mcp.example.com"]),
    (8, "is a stdio server", "", ["headers", "local"]),
    (8, "its credential is no single field", "", ["token", "local"]),
    (8, "did you mean 'demo'?", "", ["token", "dmo"]),
    (2, "no such file", "", ["inject", "nothing.in"]),
    (8, "servers.demo.auth.tken: is not set", "${vault:demo.auth.tken}", ["inject", "-"]),
    *(
        (8, f"not a reference: line 2: {wrong}", f"${{vault:demo}}\n{wrong}\n$${{vault:}}", ["inject", "-"])
        for wrong in ("${vault:demo.}", "${vault:bad name}", "${vault:}", "${vault:.auth.token}", "${vault:")
    ),
    (8, "line 1: ${vault:demo.}; line 3: ${vault:}", "${vault:demo.}\n\n${vault:}", ["inject", "-", "--dry-run"]),
    (8, "${vault:nobody}", "${vault:nobody} ${vault:demo.auth.tken}", ["inject", "-"]),
]  # fmt: skip


@pytest.mark.parametrize(("code", "says", "stdin", "words"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_is_not_given_is_told(home: Home, code: int, says: str, stdin: str, words: list[str]) -> None:
    """Another origin, another form or a missing name: nothing on stdout, one line, the right exit code."""
    assert says in home.refused(*words, code=code, stdin=stdin)


def test_another_cluster_is_refused(home: Home) -> None:
    """Kubectl's cluster counts as an origin."""
    words = ["token", "basic", "--format", "exec-credential"]

    assert "not for https://e" in home.refused(*words, code=8, KUBERNETES_EXEC_INFO=ELSEWHERE)
    assert "KUBERNETES_EXEC_INFO: expected" in home.refused(*words, code=8, KUBERNETES_EXEC_INFO="{}")


@pytest.mark.parametrize("words", [["headers", "demo"], ["token", "demo"], ["inject", "text"]], ids=" ".join)
def test_a_terminal_is_shown_nothing_unasked(home: Home, words: list[str]) -> None:
    """On a terminal a secret is printed with ``--reveal`` only."""
    (home.home / "text").write_text("${vault:demo}")

    assert (True, False) == (
        "give --reveal" in (shown := home.talk(*words, code=2)),
        TOKEN in shown,
    )
    assert TOKEN in home.talk(*words, "--reveal")


TEMPLATE = "a=${vault:demo.auth.token}\nb=${HOME} ${vault:basic}\nc=$${vault:demo} $${X} $${vault:} ${vaults:a}\n"
FILLED = f"a={TOKEN}\nb=${{HOME}} pass-word-1\nc=${{vault:demo}} $${{X}} ${{vault:}} ${{vaults:a}}\n"


def test_only_the_vaults_references_are_filled_in(home: Home) -> None:
    """Everything else that begins with ``${`` stays, byte for byte; ``$${vault:`` is how to write one literally."""
    assert FILLED == home.run("inject", "-", stdin=TEMPLATE).stdout
    (home.home / "in").write_text(TEMPLATE)
    assert FILLED == home.run("inject", "in").stdout


def test_a_file_is_written_whole_and_private(home: Home) -> None:
    """``--out`` is mode 0600 whatever was there before; an error leaves the old file as it was."""
    out = home.home / "out"
    out.write_text("old")
    out.chmod(0o644)
    home.refused("inject", "-", "--out", "out", stdin="${vault:nobody}", code=8)
    assert "old" == out.read_text()

    said = home.run("inject", "-", "--out", "out", stdin=TEMPLATE).stdout

    assert (FILLED, 0o600) == (out.read_text(), stat.S_IMODE(out.stat().st_mode))
    assert f"wrote {out}, 2 references filled in\n" == said
    assert [] == [*home.home.glob(".out*")]


def test_no_secret_is_written_into_a_repository_by_accident(home: Home) -> None:
    """Inside a git work tree ``--out`` needs ``--force``; a link is not followed."""
    tree = home.home / "tree"
    (tree / ".git").mkdir(parents=True)
    assert "git work tree" in home.refused("inject", "-", "--out", "tree/out", stdin=TEMPLATE, code=8)
    home.run("inject", "-", "--out", "tree/out", "--force", stdin=TEMPLATE)
    (home.home / "link").symlink_to("elsewhere")
    assert "is a link" in home.refused("inject", "-", "--out", "link", stdin=TEMPLATE, code=8)

    assert FILLED == (tree / "out").read_text()


def test_a_dry_run_writes_nothing(home: Home) -> None:
    """It names the references."""
    told = json.loads(home.run("inject", "-", "--out", "out", "--dry-run", "--json", stdin=TEMPLATE).stdout)

    assert (["${vault:basic}", "${vault:demo.auth.token}"], False) == (told["references"], (home.home / "out").exists())
