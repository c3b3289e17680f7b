"""
``mcpvault demo``: the main job on loopback, for real, in a folder of its own.

Every command shown is run as shown, in a process of its own with a home of its own, so that
nothing of the user's is read or changed. The README's console blocks are run by a test
against ``mcpvault demo --serve``.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from mcpvault.cli import app, output
from mcpvault.errors import ConfigurationError, McpVaultError

if TYPE_CHECKING:
    from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

PORT = 8765
TOKEN_NAME = "DEMO_TOKEN"  # noqa: S105  the name of a variable
TOKEN = "demo-token-of-no-worth"  # noqa: S105  it opens nothing but the demo's own server
_LONGEST_STEP = 120  # seconds
# What a child needs to run at all; everything else of the user's stays outside.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "SYSTEMROOT", "PYTHONPATH", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of the demo: why it is run, its words, what it reads, and the exit code it must have."""

    why: str
    words: Sequence[str]
    stdin: str | None = None
    code: int = 0

    @property
    def shown(self) -> str:
        """The command as a person would type it."""
        piped = f"echo {shlex.quote(self.stdin)} | " if self.stdin is not None else ""
        return f"{piped}mcpvault {shlex.join(self.words)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A step that has been run."""

    step: Step
    code: int
    output: str


class World(NamedTuple):
    """What the story plays in."""

    static: FakeMcpServer
    issuer: FakeAuthorizationServer
    protected: FakeMcpServer
    vault: Path


def home(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a user who lives in *folder* and has never seen mcpvault."""
    places = {"HOME": folder, "USERPROFILE": folder, "APPDATA": folder, "LOCALAPPDATA": folder}
    return {name: env[name] for name in _PASSED_ON if name in env} | {
        **{name: str(path) for name, path in places.items()},
        "NO_COLOR": "1",
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",  # so that stdout and stderr come in their order, as on a terminal
    }


_CALL = ["call", "demo", "add", "-a", "a=2", "-a", "b=40"]
_LOGIN = ["login", "oauth", "--method", "loopback"]
_CALL_OAUTH = ["call", "oauth", "add", "-a", "a=2", "-a", "b=40"]
# A browser that consents to everything: the demo has no person.
_BROWSER = f"{shlex.quote(sys.executable)} -m mcpvault.testing.user_agent %s &"


def steps(world: World) -> Iterator[Step]:
    """Yield the story, step by step; between two steps the world may change."""
    yield Step(why="make an encrypted vault, and the key that opens it", words=["init"])
    yield Step(
        why="name a server and seal its token",
        words=["add", "demo", world.static.url, "--bearer-stdin"],
        stdin=TOKEN,
    )
    yield Step(why="ask it what it offers", words=["tools", "demo"])
    yield Step(why="call a tool: this line is what a cron job needs", words=_CALL)
    yield Step(why="a server that wants OAuth", words=["add", "oauth", world.protected.url, "--oauth"])
    yield Step(why="nobody has logged in: exit 3, and the command that mends it", words=_CALL_OAUTH, code=3)
    yield Step(why="the one step that needs a human (here a browser that consents)", words=_LOGIN)
    yield Step(why="from now on every script has a token", words=_CALL_OAUTH)
    world.issuer.advance(2 * world.issuer.policy.access_lifetime)
    yield Step(why="hours later the token has expired: the same line refreshes it, once", words=_CALL_OAUTH)
    if world.issuer.redemptions != 1:
        raise McpVaultError("demo: the refresh token was not redeemed once", hint="report what is above")
    yield Step(why="how the grant stands, asked without any key", words=["status"])
    yield Step(
        why="somebody puts a wrong token in",
        words=["set", "demo", "auth.token", "--stdin"],
        stdin="not-the-token-at-all",
    )
    yield Step(
        why="the server refuses it: exit 3, a human must act",
        words=_CALL,
        code=3,
    )
    world.vault.write_bytes(world.vault.read_bytes().replace(b"127.0.0.1", b"127.0.0.9"))
    yield Step(
        why="somebody changes the server's address in the file: it opens for nobody",
        words=_CALL,
        code=6,
    )


def perform(step: Step, env: Mapping[str, str], folder: Path) -> Done:
    """Run one step in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "mcpvault", *step.words],
        cwd=folder,
        env=dict(env),
        input=step.stdin + "\n" if step.stdin is not None else "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=_LONGEST_STEP,
        check=False,
    )
    return Done(step=step, code=done.returncode, output=done.stdout)


def tell(env: Mapping[str, str]) -> Iterator[Done]:
    """Run the whole story on loopback in a temporary folder; yield each step when it is done."""
    from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

    with (
        tempfile.TemporaryDirectory(prefix="mcpvault-demo-") as name,
        FakeMcpServer(token=TOKEN) as static,
        FakeAuthorizationServer() as issuer,
        FakeMcpServer(authorization_server=issuer) as protected,
    ):
        folder = Path(name)
        own = home(folder, env) | {"MCPVAULT_FILE": str(folder / "vault.toml"), "BROWSER": _BROWSER}
        for step in steps(World(static, issuer, protected, folder / "vault.toml")):
            done = perform(step, own, folder)
            yield done
            if done.code != step.code:
                raise McpVaultError(f"demo: expected exit {step.code}, got {done.code}", hint="report what is above")


EXAMPLE = """
Example:

\b
  mcpvault demo
  mcpvault demo --serve
"""


@click.command(epilog=EXAMPLE)
@click.option("--serve", is_flag=True, help="Serve the README's server on 127.0.0.1 until interrupted.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="With --serve; 0 is a free one."
)
@app.json_option
def command(serve: bool, port: int, as_json: bool) -> None:
    """Run the main job for real, on this host and in a folder of its own: nothing of yours is touched."""
    if serve:
        _serve(port, os.environ.get(TOKEN_NAME) or TOKEN, as_json=as_json)
        return
    told = []
    for done in tell(os.environ):
        told.append({"command": done.step.shown, "exit": done.code, "output": done.output})
        if not as_json:
            click.echo(f"# {done.step.why}\n$ {done.step.shown}\n{done.output}", nl=False)
            click.echo(f"[exit {done.code}]\n" if done.code else "")
    if as_json:
        output.json(told)


def _serve(port: int, token: str, *, as_json: bool) -> None:
    from mcpvault.testing.demo_server import serve

    def announce(url: str, token: str) -> None:
        if as_json:
            click.echo(json.dumps({"url": url, TOKEN_NAME: token}))
        else:
            click.echo(_WELCOME.format(url=url, name=TOKEN_NAME, token=shlex.quote(token)))
        sys.stdout.flush()

    problem: str | None = None
    try:
        serve(port=port, token=token, announce=announce)
    except OSError as error:
        problem = (error.strerror or "cannot be used").lower()
    if problem is not None:
        raise ConfigurationError(f"port {port}: {problem}", hint="choose another with --port; 0 takes a free one")


_WELCOME = """\
{url} answers until you press ctrl-c; its tools are echo, add, fail, slow, structured, ill-structured
in another terminal, in a home that is thrown away:

  export HOME=$(mktemp -d) {name}={token}
  mcpvault init
  mcpvault add demo {url} --bearer-env {name}
  mcpvault tools demo
  mcpvault call demo echo -a message=hello"""
