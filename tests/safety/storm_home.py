"""A user's home for storms and forgery: its own vault and state, and the real command line in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import warm

LONGEST = 60  # seconds
URL = "https://mcp.example.com/mcp"
OLD, NEW, OTHER = "oldtoken-Zq81mVx07LrTs5Gh", "newtoken-Wp93kNc26YdFa4Jb", "another-Rt57hQe18MzUo2Kv"
SECRETS = (OLD, NEW, OTHER)
CONFINED = """
import os, resource, sys
room = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # some Pythons leave half a file when there is no room
os.execv(sys.executable, [sys.executable, "-m", "mcpvault", *sys.argv[2:]])
"""


def windows(secret: str) -> Iterator[str]:
    """Yield every run of eight characters of *secret*."""
    return (secret[i : i + 8] for i in range(len(secret) - 7))


@dataclass(frozen=True)
class Home:
    """The home of somebody who has ``init``-ed a vault, or is about to."""

    path: Path

    @property
    def env(self) -> dict[str, str]:
        """A bare environment."""
        return {"HOME": str(self.path), "PATH": os.environ["PATH"], "LANG": warm.LANG, "USER": "me"}

    @property
    def folder(self) -> Path:
        """The vault's folder."""
        return self.path / ".config" / "mcpvault"

    @property
    def vault(self) -> Path:
        """The vault file."""
        return self.folder / "vault.toml"

    @property
    def key(self) -> Path:
        """The key file that ``init`` made."""
        [key] = (self.path / ".local/share/mcpvault").glob("*.key")
        return key

    @property
    def state(self) -> Path:
        """The vault's state folder."""
        [state] = (self.path / ".local/state/mcpvault").iterdir()
        return state

    @property
    def bytes(self) -> bytes | None:
        """What the vault file holds, None if there is none."""
        return self.vault.read_bytes() if self.vault.exists() else None

    @property
    def tree(self) -> dict[str, Any]:
        """What the vault file says."""
        return tomllib.loads(self.vault.read_text("utf-8"))

    @property
    def serial(self) -> int:
        """The serial that the vault file says."""
        return int(self.tree["vault"]["serial"])

    def leftovers(self) -> list[Path]:
        """Return what writers of the vault left behind when they died."""
        return sorted(self.folder.glob(".*.tmp.*"))

    def copy(self, place: Path) -> Home:
        """Return a home that is like this one."""
        shutil.copytree(self.path, place, symlinks=True)
        return Home(place)

    def start(self, *words: str, stdin: str = "", **options: Any) -> subprocess.Popen[str]:
        """
        Start ``mcpvault`` with *words*, without a terminal.

        Args:
            words: The verb and its words.
            stdin: All that it can read.
            options: ``env`` is added to a bare environment; ``room`` is how many bytes a file may have.
        """
        extra, room = options.pop("env", {}), options.pop("room", None)
        command = ["-m", "mcpvault"] if room is None else ["-c", CONFINED, str(room)]
        process = subprocess.Popen(
            [sys.executable, *command, *words],
            env=self.env | extra,
            cwd=self.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
            **options,
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it may end without reading
            process.stdin.write(stdin)
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdin = None  # for ``communicate``
        return process

    def run(
        self, *words: str, stdin: str = "", code: int = 0, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end; check the exit status, and that no secret and no traceback is in what it says."""
        if options:
            done = finish(self.start(*words, stdin=stdin, env=env or {}, **options))
        else:
            done = warm.run(words, env=self.env | (env or {}), cwd=self.path, stdin=stdin, timeout=LONGEST)
        assert (words, code) == (words, done.returncode), done.stdout + done.stderr
        if "--reveal" not in words:
            clean(done)
        return done

    def fact(self, *words: str) -> Any:
        """Return what a verb says as JSON."""
        return json.loads(self.run(*words, "--json").stdout)

    def reveal(self, server: str, field: str = "auth.token") -> str:
        """Return a secret in clear."""
        return self.run("get", server, field, "--reveal").stdout.removesuffix("\n")

    def refused(self, *words: str, code: int, stdin: str = "", **options: Any) -> str:
        """
        Run it and check how it says no; return what it says.

        The last lines are one error and at most one hint, and the vault file is as it was.
        """
        before = self.bytes
        done = self.run(*words, stdin=stdin, code=code, **options)
        clean(done)
        lines = done.stderr.splitlines()
        errors = [number for number, line in enumerate(lines) if line.startswith("mcpvault: error: ")]
        hints = [number for number, line in enumerate(lines) if line.startswith("mcpvault: hint: ")]
        assert len(errors) == 1, done.stderr
        assert [*errors, *hints][:2] == [*range(errors[0], len(lines))], done.stderr
        assert before == self.bytes
        return done.stderr

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Edit the vault file by hand; the edit must change something."""
        before = self.vault.read_text("utf-8")
        after = change(before)
        assert before != after
        self.vault.write_text(after, "utf-8", newline="")


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a process; return what it said."""
    try:
        out, err = process.communicate(timeout=LONGEST)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def clean(done: subprocess.CompletedProcess[str]) -> None:
    """Check that neither a secret nor a traceback was said."""
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert [] == [secret[:4] for secret in SECRETS if any(window in said for window in windows(secret))]
    assert "mvk1-" not in said and "mvx1-" not in said, said


def furnish(path: Path) -> Home:
    """Make a home whose vault has two entries with secrets, and a command that awaits approval."""
    path.mkdir(mode=0o700)
    home = Home(path)
    home.run("init")
    home.run("add", "demo", URL, "--bearer-stdin", "--note", "first", stdin=OLD)
    home.run("add", "spare", "https://spare.example.com/mcp", "--header-stdin", "X-Api-Key", stdin=OTHER)
    client = {"mcpServers": {"files": {"command": "npx", "args": ["-y", "files"], "env": {"DB_PASSWORD": OTHER}}}}
    (path / "mcp.json").write_text(json.dumps(client))
    home.run("import", str(path / "mcp.json"))
    more = {"mcpServers": {"more": {"url": URL, "headers": {"Authorization": f"Bearer {NEW}"}}}}
    (path / "mcp.json").write_text(json.dumps(more))
    return home
