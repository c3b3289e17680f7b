"""A user's home with a vault, and a server that the vault names: what the verb tests run in."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import warm

from mcpvault import Secret, Vault
from mcpvault.testing import FakeMcpServer
from mcpvault.vault.slots import NewSlot, RawKey

LONGEST = 60  # seconds
INTERRUPT, END = "\x03", "\x04"  # ctrl-C, ctrl-D
TOKEN = "token-of-the-verb-tests-5Gh81mVx"


# A keyring backend that keeps its entries in a file of the home; python finds it on PYTHONPATH.
KEYRING = """
import json, os, pathlib
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 1
    _file = pathlib.Path(os.environ["HOME"]) / "keyring.json"

    def _all(self):
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    def get_password(self, service, username):
        return self._all().get(f"{service}/{username}")

    def set_password(self, service, username, password):
        self._file.write_text(json.dumps({**self._all(), f"{service}/{username}": password}))

    def delete_password(self, service, username):
        raise NotImplementedError
"""


Typed = str | Callable[[str], str]


def home_env(home: Path) -> dict[str, str]:
    """Return the environment of somebody who lives in *home*."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "COLUMNS": "100"}


# Gives the process its terminal: only then does /dev/tty open, and ctrl-c reach it. A runner in the background
# of a shell ignores ctrl-c, and its children would, too.
_TAKE_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
_MOST_INTERRUPTS = 10


@dataclass
class Home:
    """A home of its own: no variable, file or vault of the person who runs the tests is seen."""

    home: Path

    def command(self, words: tuple[str, ...], env: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        """Return the words and the environment of one run."""
        return [sys.executable, "-m", "mcpvault", *words], home_env(self.home) | env

    def run(
        self, *words: str, stdin: str | None = None, code: int = 0, traceback: bool = False, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``mcpvault`` with *words* in a process of its own, without a terminal, and check its exit status."""
        done = warm.run(words, env=home_env(self.home) | env, cwd=self.home, stdin=stdin or "", timeout=LONGEST)
        assert (words, code) == (words, done.returncode), done.stdout + done.stderr
        assert traceback is ("Traceback" in done.stderr)
        return done

    def run_bytes(self, *words: str) -> bytes:
        """Run it like ``run`` and return stdout as bytes."""
        command, variables = self.command(words, {})
        return subprocess.run(
            command, env=variables, cwd=self.home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=LONGEST,
            check=True,
        ).stdout  # fmt: skip

    def talk(
        self,
        *words: str,
        answers: Sequence[tuple[str, Typed]] = (),
        code: int = 0,
        columns: int | None = None,
        **env: str,
    ) -> str:
        """
        Run ``mcpvault`` with *words* on a terminal of its own, check its exit status and return all that was shown.

        Args:
            words: The verb and what follows.
            answers: What to wait for and what to type then, one after the other; nothing is typed ahead.
                A callable is called first, with what was shown so far, and returns what is typed.
            code: The exit status.
            columns: The width of the terminal, instead of what the variable COLUMNS says.
            env: Further variables.
        """
        from pexpect import EOF, TIMEOUT
        from pexpect.fdpexpect import fdspawn

        command, variables = self.command(words, {"TERM": "dumb"} | env)
        ours, theirs = os.openpty()
        if columns is not None:
            del variables["COLUMNS"]
            termios.tcsetwinsize(theirs, (24, columns))
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL, *command],
            env=variables, cwd=self.home, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        terminal: Any = fdspawn(ours, encoding="utf-8", timeout=LONGEST)
        shown = ""
        try:
            for prompt, typed in answers:
                terminal.expect_exact(prompt)
                shown += terminal.before + prompt
                terminal.send(typed(shown) if callable(typed) else typed)
            again = _MOST_INTERRUPTS if answers and answers[-1][1] == INTERRUPT else 0
            while terminal.expect([EOF, TIMEOUT], timeout=3 if again else LONGEST):
                assert again, shown + terminal.before
                # A signal that comes just before the read only wakes what has not slept yet: it is sent again.
                terminal.send(INTERRUPT)
                again -= 1
            shown += terminal.before
            actual = process.wait(LONGEST)
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        assert (words, code) == (words, actual), shown
        assert "Traceback" not in shown
        return shown

    def refused(self, *words: str, code: int, stdin: str | None = None, **env: str) -> str:
        """Run what must fail: nothing on stdout, an error of one line and at most one hint, no file changed."""
        before = self.files()
        done = self.run(*words, stdin=stdin, code=code, **env)
        lines = [line.split(": ")[:2] for line in done.stderr.splitlines()]
        assert "" == done.stdout
        assert [["mcpvault", "error"], ["mcpvault", "hint"]][: max(1, len(lines))] == lines
        assert before == self.files()
        return done.stderr

    def keyring(self) -> dict[str, str]:
        """Give the home an OS keyring and return the variables that name it."""
        (self.home / "filekeyring.py").write_text(KEYRING)
        return {"PYTHONPATH": str(self.home), "PYTHON_KEYRING_BACKEND": "filekeyring.Keyring"}

    def open(self) -> Vault:
        """Open the vault in this process, to prepare or to look at it faster than by verbs."""
        return Vault.open(env=home_env(self.home))

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Return every file below the home with its mode and bytes, without locks and what every run writes down."""
        return {
            str(path.relative_to(self.home)): (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
            for path in self.home.rglob("*")
            if path.is_file() and path.suffix != ".lock" and "audit" not in path.name
        }

    @property
    def vault(self) -> Path:
        """The vault file."""
        return self.home / ".config" / "mcpvault" / "vault.toml"

    @property
    def key(self) -> Path:
        """The key file that ``init`` makes."""
        [path] = (self.home / ".local" / "share" / "mcpvault").glob("*.key")
        return path

    @property
    def state(self) -> Path:
        """The state folder of the vault."""
        [path] = (self.home / ".local" / "state" / "mcpvault").iterdir()
        return path


@dataclass
class House(Home):
    """A home, and the server that its vault names."""

    server: FakeMcpServer


def new_vault(home: Path, url: str = "https://mcp.example.com/mcp") -> Home:
    """Make a vault in *home* whose entry ``demo`` names *url* and holds its token, sealed; a key file opens it."""
    vault_id, key = os.urandom(16), RawKey.generate()
    name = base64.urlsafe_b64encode(vault_id).rstrip(b"=").decode()
    key_file = home / ".local" / "share" / "mcpvault" / f"{name}.key"
    key_file.parent.mkdir(parents=True, mode=0o700)
    key_file.touch(0o600)
    key_file.write_text(key.text.reveal() + "\n")
    vault = Vault.create(slots=[NewSlot.raw("me", key)], env=home_env(home), vault_id=vault_id)
    with vault.change() as change:
        change.add_server("demo", {"url": url, "auth": {"kind": "bearer"}})
        change.set_secret("demo", "auth.token", Secret(TOKEN))
    return Home(home)


@contextmanager
def furnished(home: Path, **options: Any) -> Iterator[House]:
    """
    Make a vault in *home* whose entry ``demo`` names a server on loopback and holds its token, sealed.

    *options* are the server's.
    """
    with FakeMcpServer(token=TOKEN, **options) as server:
        yield House(new_vault(home, server.url).home, server)
