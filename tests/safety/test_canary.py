"""
Nothing secret leaks: secrets are put everywhere, every command and failure is run, and no window of one is found.

A window is eight characters of a secret of sixteen or longer. What prints a secret by design
(``BY_DESIGN``, ``get --reveal``) is not among the commands; every other verb is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
import warm

from mcpvault.cli.main import group
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

BEARER = "bearer-Zq81mVx07LrTs5Gh"
HEADER = "header-Wp93kNc26YdFa4Jb"
PASSWORD = "passwd-Rt57hQe18MzUo2Kv"
FROM_ENV = "envref-Bn64jSw39XcIy7Dg"
FROM_FILE = "fileref-Hm20pLa85VrEt6Cz"
CHILD = "child-Ku42gZx71BnWo9Fs"
CLIENT = "hidden-Sd63oYb84KtRi1Lx"
NEXT = "newtok-Ay96bUf37GcPj5Nm"
IMPORTED = "import-Vx58dTk60HqEw1Rs"
SECRETS = (BEARER, HEADER, PASSWORD, FROM_ENV, FROM_FILE, CHILD, CLIENT, NEXT, IMPORTED)
BROWSER = f"{sys.executable} -m mcpvault.testing.user_agent %s &"

REPORTER = """
import json, os, sys
with open(os.environ["REPORT"], "w") as report:
    json.dump({"env": dict(os.environ), "argv": sys.argv}, report)
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        info = {"name": "r", "version": "1"}
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
    elif message.get("method") == "tools/list":
        print("stderr sees nothing", file=sys.stderr)
        result = {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}
    elif "id" in message:
        error = {"code": -32601, "message": "no"}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}), flush=True)
        continue
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


def windows(secret: str) -> Iterator[str]:
    """Yield every run of eight characters of *secret*."""
    return (secret[i : i + 8] for i in range(len(secret) - 7))


def leaks(text: str, secrets: tuple[str, ...]) -> list[str]:
    """Name the secrets of which *text* holds a window."""
    return [secret[:6] + "…" for secret in secrets if any(window in text for window in windows(secret))]


@dataclass
class House:
    """A user's home with a vault full of canaries."""

    home: Path
    server: FakeMcpServer
    issuer: FakeAuthorizationServer
    key: str = ""
    ran: list[str] = field(default_factory=list)

    @property
    def issued(self) -> tuple[str, ...]:
        """Every token, code, verifier and registration token so far; the words that they begin with are no secret."""
        ledger = self.issuer.ledger
        made = [
            *ledger.access,
            *ledger.refresh,
            *ledger.codes,
            *(each.access_token or "" for each in self.issuer.clients),
        ]
        verifiers = [request.form.get("code_verifier", "") for request in self.issuer.called("token")]
        return (*(each.partition("-")[2] for each in made), *verifiers)

    @property
    def env(self) -> dict[str, str]:
        """The surroundings of every command."""
        return {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LANG": warm.LANG,
            "CANARY_ENV": FROM_ENV,
            "TMPDIR": str(self.home / "tmp"),
            "BROWSER": BROWSER,
            "COLUMNS": "100",
            "EDITOR": "sed -i s/remark/words/",
        }

    def run(self, *words: str, stdin: str = "", code: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command with DEBUG logging and check all that it said."""
        verb = words.index("--") if "--" in words else len(words)
        words = (*words[:verb], "--debug", *words[verb:])
        done = warm.run(words, env={**self.env, **env}, cwd=self.home, stdin=stdin, timeout=120)
        said = done.stdout + done.stderr
        assert leaks(said, (*SECRETS, *self.issued, self.key)) == [], f"{words}: {said}"
        assert leaks(" ".join(words), SECRETS) == []
        if code is not None:
            assert (words, code) == (words, done.returncode), said
        return done


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A vault that holds a canary in every kind of place."""
    home = tmp_path_factory.mktemp("home")
    (home / "tmp").mkdir()
    secret_file = home / "token.txt"
    secret_file.write_text(FROM_FILE + "\n")
    secret_file.chmod(0o600)
    (home / "reporter.py").write_text(REPORTER)
    with (
        FakeMcpServer(token=BEARER) as server,
        FakeAuthorizationServer(any_loopback_port=True) as issuer,
        FakeMcpServer(authorization_server=issuer) as protected,
    ):
        house = House(home, server, issuer)
        house.run("init")
        [key_file] = (home / ".local/share/mcpvault").glob("*.key")
        house.key = key_file.read_text().strip()
        house.run("add", "good", server.url, "--bearer-stdin", stdin=BEARER)
        house.run("add", "wrong", server.url, "--bearer-stdin", stdin=HEADER)
        house.run("add", "fromenv", server.url, "--bearer-env", "CANARY_ENV")
        house.run("add", "headers", server.url, "--header-stdin", "X-Api-Key", stdin=HEADER)
        house.run("add", "closed", "http://127.0.0.1:9/mcp", "--bearer-stdin", stdin=BEARER)
        house.run("add", "basic", server.url, "--basic", "robot", stdin=PASSWORD)
        house.run("add", "fromfile", server.url, "--bearer-stdin", stdin="x" * 20)
        house.run("set", "fromfile", "auth.token", "${file:" + str(secret_file) + "}", "--yes")
        house.run(
            *("add", "child", "--env", f"REPORT={home / 'report.json'}", "--env-stdin", "DB_PASSWORD"),
            *("--", sys.executable, str(home / "reporter.py")),
            stdin=CHILD,
        )
        for name in ("dead", "left"):  # dead: its grant has been withdrawn
            house.run("add", name, protected.url, "--oauth")
            house.run("login", name, "--method", "loopback")
        issuer.withdraw(next(each.client_id for each in issuer.clients))
        issuer.register("robot", auth_method="client_secret_basic", secret=CLIENT)
        house.run(
            *("add", "oauth", protected.url, "--oauth", "--client-id", "robot", "--issuer", issuer.issuer),
            "--client-secret-stdin",
            stdin=CLIENT,
        )
        house.run("login", "oauth", "--method", "loopback")
        yield house


COMMANDS: list[tuple[int | None, list[str]]] = [
    (0, ["list"]),
    (0, ["list", "--json"]),
    (0, ["show", "good"]),
    (0, ["show", "headers", "--json"]),
    (0, ["get", "good"]),
    (0, ["get", "basic", "auth.password"]),
    (0, ["get", "headers", "--json"]),
    (0, ["history", "good"]),
    (0, ["slots", "list"]),
    (0, ["tools", "good"]),
    (0, ["tools", "good", "echo", "--json"]),
    (0, ["call", "good", "echo", '{"message": "hi"}']),
    (5, ["call", "good", "fail"]),
    (5, ["call", "good", "no-such-tool"]),
    (0, ["resources", "good"]),
    (0, ["prompts", "good"]),
    (3, ["tools", "wrong"]),
    (3, ["tools", "fromenv", "--json"]),
    (3, ["tools", "fromenv"]),
    (3, ["tools", "fromfile"]),
    (3, ["tools", "headers"]),
    (3, ["tools", "basic"]),
    (4, ["tools", "closed"]),
    (0, ["tools", "child"]),
    (None, ["call", "child", "t"]),
    (8, ["tools", "nobody"]),
    (2, ["call", "good", "echo", "{not json"]),
    (2, ["add", "argv", "https://h.example/mcp", "--header", "X-Api-Key=abc"]),
    (0, ["login", "oauth", "--method", "loopback", "--json"]),
    (3, ["login", "oauth", "--method", "paste"]),
    (0, ["call", "oauth", "echo", '{"message": "hi"}']),
    (0, ["refresh", "oauth"]),
    (3, ["refresh", "--all", "--json"]),
    (3, ["tools", "dead"]),
    (0, ["status", "oauth", "dead"]),
    (3, ["status", "--probe", "--json"]),
    (0, ["logout", "left"]),
    (0, ["get", "oauth", "--json"]),
    (None, ["doctor"]),
    (None, ["doctor", "--json"]),
]


# What takes several commands: each is its exit status, the words, and after ``<`` what stands on stdin.
# SERVER is the server that takes BEARER; the names of the others are those of the constants.
STORIES = """
    0 init --vault other/vault.toml --new-key-file other.key | 8 init
    0 set good note remark | 0 edit good | 0 edit --json | 0 set good auth.token --stdin < BEARER
    8 set good url https://elsewhere.example/mcp | 8 set good auth.tokn --stdin < NEXT
    0 sign --yes | 0 migrate | 6 trust mvr1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | 0 trust --accept --yes
    0 add gone SERVER --bearer-stdin < NEXT | 3 tools gone | 0 history gone | 0 remove gone --yes | 8 tools gone
    0 slots keygen host.key | 0 slots add web --new-key-file web.key | 0 slots role web admin --yes |
    0 slots reseal web --new-key-file web2.key --yes | 0 slots remove web --yes | 9 due --fail | 0 rekey --yes
    0 import client.json | 0 approve tool --yes | 0 get tool | 0 export --to cursor | 8 tools tool
    9 rotate good --stdin < NEXT | 0 rotate good --plan | 8 rollback headers | 0 due | 0 forecast
    0 client connect SERVER --name cc --auth - < BEARER | 0 client tools list | 0 client tools describe echo |
    0 client tools call echo {"message":"x"} | 0 client resources list | 0 client resources read fake://text/greeting |
    0 client prompts list | 0 client prompts get plain | 0 client sessions list | 0 client sessions switch good |
    0 client disconnect cc
    0 complete good who A --prompt greet | 5 listen good --timeout 0.2 | 0 tasks good | 0 shell good < tools
    0 stdio good < nothing | 0 run --set T=good -- true | 0 explain good | 0 explain oauth | 0 explain child
    0 probe SERVER | 0 audit show | 0 audit show --json | 0 audit verify
    0 tools child | 9 scan HOME | 9 scan HOME --json
    0 exit-codes | 0 completion bash
    0 git textconv .config/mcpvault/vault.toml | 8 git install
    6 git merge-driver client.json client.json client.json
"""
LINES = [line.strip().split(" | ") for line in STORIES.replace(" |\n", " |").strip().splitlines()]
BY_DESIGN = {"headers", "token", "inject", "demo"}  # the demo has a home and secrets of its own, and shows them


@pytest.mark.parametrize("story", LINES, ids=lambda story: story[0].partition("<")[0].strip().replace(" ", "-"))
def test_a_story_says_nothing_secret(house: House, story: list[str]) -> None:
    """What changes the vault, or takes several commands, says nothing secret either."""
    known = {"SERVER": house.server.url, "HOME": str(house.home)}
    texts = {"BEARER": BEARER, "NEXT": NEXT, "tools": "tools\n", "nothing": "", "": ""}
    client = {"mcpServers": {"tool": {"command": "/no/such/program", "env": {"API_KEY": IMPORTED}}}}
    (house.home / "client.json").write_text(json.dumps(client))
    for line in story:
        said, _, stdin = line.strip().partition(" < ")
        code, *words = said.split()
        house.run(*(known.get(word, word) for word in words), stdin=texts[stdin], code=int(code))
    (house.home / "client.json").unlink()


def test_every_verb_is_looked_at() -> None:
    """A verb that no command here uses would be unwatched, but for those that print secrets by design."""
    used = [" ".join(words) for _, words in COMMANDS]
    used += [part.strip().partition(" ")[2] for line in LINES for part in line]
    used += ["add "]  # by the fixture
    verbs = {" ".join(words) for words in verbs_of(group)}

    assert BY_DESIGN == {verb for verb in verbs if not any(f"{each} ".startswith(f"{verb} ") for each in used)}


def verbs_of(command: click.Command, *words: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every verb below *command*."""
    if not isinstance(command, click.Group):
        yield words
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from verbs_of(below, *words, name)


@pytest.mark.parametrize(
    ("code", "words"), COMMANDS, ids=lambda value: "-".join(value) if isinstance(value, list) else ""
)
def test_a_command_says_nothing_secret(house: House, code: int | None, words: list[str]) -> None:
    """Output, errors and DEBUG logs of the command hold no window of a secret."""
    house.run(*words, code=code)


BEHAVIOURS = [
    "bad-gateway",
    "redirect",
    "echoes-credential",
    "echoes-credential-in-error",
    "invalid-utf8",
    "deep-json",
    "close-mid-answer",
]


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_hostile_answer_brings_nothing_out(house: House, behaviour: str) -> None:
    """A server that misbehaves, even one that sends the credential back, gets nothing printed."""
    from mcpvault.testing.behaviours import BEHAVIOURS as KNOWN

    if behaviour not in KNOWN:
        pytest.fail(f"no behaviour {behaviour!r}; there are {sorted(KNOWN)}")
    with FakeMcpServer(token=BEARER) as server:
        server.misbehave(behaviour, on="tools/list")
        house.run("add", f"x-{behaviour}"[:40], server.url, "--bearer-stdin", stdin=BEARER)
        done = house.run("tools", f"x-{behaviour}"[:40], "--timeout", "5", code=None)
        assert done.returncode in {3, 4, 5, 8}


def test_no_file_holds_a_secret(house: House) -> None:
    """After all of that, no file of the user's or in TMPDIR holds a window in clear, but the ones that did before."""
    given = {house.home / "token.txt", house.home / "report.json"}
    found = {
        str(path): names
        for path in house.home.rglob("*")
        if path.is_file() and path not in given and path.suffix != ".key"
        if (names := leaks(path.read_bytes().decode("utf-8", "replace"), (*SECRETS, *house.issued, house.key)))
    }
    assert {} == found


def test_a_child_gets_its_own_secret_and_no_other(house: House) -> None:
    """A stdio server sees the variable that its entry names, no other canary, and nothing of the vault's key."""
    house.run("tools", "child", MCPVAULT_KEY=house.key, code=None)
    (house.home / "report.json").unlink(missing_ok=True)
    house.run("tools", "child")
    report = json.loads((house.home / "report.json").read_text())

    assert CHILD == report["env"]["DB_PASSWORD"]
    others = json.dumps([{k: v for k, v in report["env"].items() if k != "DB_PASSWORD"}, report["argv"]])
    assert [] == leaks(others, (*SECRETS, house.key))
    assert [] == [name for name in report["env"] if name.startswith("MCPVAULT") or name == "CREDENTIALS_DIRECTORY"]
