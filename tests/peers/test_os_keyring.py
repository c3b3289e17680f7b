"""
A real Secret Service: GNOME's keyring daemon on a session bus of the test's own, with the keyring library between.

It is unlocked with a password on its stdin, as a login would do it; nobody is asked, for there is no desktop.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0  # seconds
SECRET = "token-in-the-keyring-7Hq2"
pytestmark = pytest.mark.peer
Run = Callable[..., "subprocess.CompletedProcess[str]"]


class Desktop:
    """A session bus, and the daemon that keeps secrets; its files are in the home."""

    def __init__(self, home: Path, bus: str) -> None:
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "DBUS_SESSION_BUS_ADDRESS": bus}

    @contextmanager
    def daemon(self, *words: str, password: str = "") -> Iterator[None]:
        """Run the daemon until the block ends."""
        command = ["gnome-keyring-daemon", "--foreground", "--components=secrets", *words]
        with subprocess.Popen(
            command, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                assert process.stdin is not None
                process.stdin.write(password.encode())
                process.stdin.close()
                self.wait_for("org.freedesktop.secrets", process)
                yield
            finally:
                process.kill()

    def wait_for(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until *process* owns *name* on the bus."""
        ends = time.monotonic() + PATIENCE
        while self.asked(f"GetConnectionUnixProcessID string:{name}") != str(process.pid):
            assert process.poll() is None and time.monotonic() < ends, f"{name} does not come up"

    def asked(self, question: str) -> str:
        """Ask the bus itself, and return the last word of its answer."""
        method, *arguments = question.split()
        there = "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus", f"org.freedesktop.DBus.{method}"
        command = ["dbus-send", "--session", "--print-reply", *there, *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False, timeout=PATIENCE)
        return (done.stdout.split() or [""])[-1]

    def python(self, code: str) -> str:
        """Run a program of somebody else's with the keyring library."""
        done = subprocess.run(
            [sys.executable, "-c", f"import keyring, secretstorage as s; {code}"],
            env=self.env, capture_output=True, text=True, check=True, timeout=PATIENCE,
        )  # fmt: skip
        return done.stdout.strip()


@pytest.fixture
def desktop(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    """A session of this test's user, without a daemon yet."""
    for program in ("dbus-daemon", "dbus-send", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            told = f"there is no {program}: run scripts/peers"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(told)
    with ExitStack() as stack:
        bus = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--print-address"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"HOME": str(home), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        stack.enter_context(bus)
        stack.callback(bus.kill)
        assert bus.stdout is not None
        address = bus.stdout.readline().decode().strip()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield Desktop(home, address)


def test_a_vault_whose_key_the_desktop_keeps(desktop: Desktop, mcpvault: Run, home: Path) -> None:
    """Made, used and examined in processes of their own; the key is in the daemon's encrypted file and nowhere else."""
    with desktop.daemon("--unlock", password="login"):
        facts = json.loads(mcpvault("init", "--keyring", "--json").stdout)
        mcpvault("add", "x", "https://x.example/mcp", "--bearer-stdin", stdin=SECRET)
        key = desktop.python(f"print(keyring.get_password('mcpvault', {facts['id']!r}))")
        assert key.startswith("mvk1-")
        assert f"{SECRET}\n" == mcpvault("get", "x", "auth.token", "--reveal").stdout
        found = json.loads(mcpvault("doctor", "--offline", "--json").stdout)["findings"]
        assert ["keyring entry"] == re.findall("keyring entry", told(found, "key.source"))
    held = [path for path in home.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert [] == held


def told(found: list[dict[str, Any]], check: str) -> str:
    """Return what a finding says."""
    return next(str(each["message"]) for each in found if each["id"] == check)


def test_after_the_next_login_it_opens_again(desktop: Desktop, mcpvault: Run) -> None:
    """The daemon ends with the session; whoever logs in again needs nothing else."""
    with desktop.daemon("--unlock", password="login"):
        mcpvault("init", "--keyring")
        mcpvault("add", "x", "https://x.example/mcp", "--bearer-stdin", stdin=SECRET)
    with desktop.daemon("--unlock", password="login"):
        assert f"{SECRET}\n" == mcpvault("get", "x", "auth.token", "--reveal").stdout


def test_a_locked_keyring_holds_nobody_up(desktop: Desktop, mcpvault: Run) -> None:
    """Where nobody can unlock it a cron job ends at once with 6 and the places that a key is looked for in."""
    with desktop.daemon("--unlock", password="login"):
        mcpvault("init", "--keyring")
        mcpvault("add", "x", "https://x.example/mcp", "--bearer-stdin", stdin=SECRET)
        desktop.python("s.get_default_collection(s.dbus_init()).lock()")

        said = mcpvault("get", "x", "auth.token", "--reveal", code=6).stderr

    assert "no key at hand" in said
    assert "keyring slot's keyring" in said


def test_a_reference_into_the_keyring(desktop: Desktop, mcpvault: Run) -> None:
    """``${keyring:service/user}`` is what another program has stored there; one that is not there is named."""
    mcpvault("init")
    mcpvault("add", "x", "https://x.example/mcp", "--header", "Authorization=Bearer ${keyring:work/api}")
    with desktop.daemon("--unlock", password="login"):
        assert "${keyring:work/api}" in mcpvault("headers", "x", code=8).stderr
        desktop.python(f"keyring.set_password('work', 'api', {SECRET!r})")
        assert {"Authorization": f"Bearer {SECRET}"} == json.loads(mcpvault("headers", "x").stdout)
