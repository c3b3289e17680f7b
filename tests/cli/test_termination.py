"""A run that is told to end cancels what it has begun, ends its children, and dies by the signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import pytest
from house import LONGEST, House, furnished

# Tells who it is and what it hears; answers no call but with a log message, and goes on after the end of its stdin.
_STUBBORN = """
import json, os, signal, sys
diary = open(sys.argv[1], "a", buffering=1)
print(os.getpid(), file=diary)
for line in sys.stdin:
    message = json.loads(line)
    print(message["method"], file=diary)
    if message["method"] == "server/discover":
        answer = {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer}), flush=True)
    if message["method"] == "tools/call":
        told = {"level": "info", "data": "at it"}
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": told}), flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault that names a server which is hard to end."""
    with furnished(tmp_path) as made:
        script = tmp_path / "stubborn.py"
        script.write_text(_STUBBORN)
        os.mkfifo(tmp_path / "diary")
        made.run("add", "stubborn", "--", sys.executable, str(script), str(tmp_path / "diary"))
        yield made


@contextmanager
def calling(house: House, *below: str) -> Iterator[tuple[subprocess.Popen[str], int, TextIO]]:
    """Call it; the block gets the process, the server's pid and what it writes, when the call waits for its answer."""
    command, env = house.command(("call", "stubborn", "wait", "--log", "info"), {})
    process = subprocess.Popen(
        [*below, *command],
        env=env,
        cwd=house.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process, (house.home / "diary").open() as heard:
        server = int(heard.readline())
        try:
            _wait_for(heard, "tools/call")
            assert process.stderr is not None
            assert "at it" in process.stderr.readline()
            yield process, server, heard
        finally:
            process.kill()
            with suppress(ProcessLookupError):
                os.killpg(server, signal.SIGKILL)


def _wait_for(heard: TextIO, method: str) -> None:
    while line := heard.readline():
        if line == f"{method}\n":
            return
    pytest.fail(f"the server did not hear {method}")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_call_in_order(house: House, name: str) -> None:
    """The server hears that the call is cancelled and is ended; the caller's parent sees death by the signal."""
    number = signal.Signals[name]
    with calling(house) as (process, server, heard):
        process.send_signal(number)
        _, said = process.communicate(timeout=LONGEST)

        assert (-number, f"mcpvault: ended by {name}\n") == (process.returncode, said)
        assert ["notifications/cancelled"] == heard.read().splitlines()
        with pytest.raises(ProcessLookupError):
            os.killpg(server, 0)


def test_a_signal_that_is_ignored_stays_ignored(house: House) -> None:
    """Below ``nohup`` a closed terminal ends nothing."""
    with calling(house, "nohup") as (process, _, _heard):
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        process.communicate(timeout=LONGEST)

        assert -signal.SIGTERM == process.returncode


def test_a_second_signal_ends_it_at_once(house: House) -> None:
    """Whoever cannot wait for the end of the children need not."""
    with calling(house) as (process, _, heard):
        process.terminate()
        _wait_for(heard, "notifications/cancelled")
        process.terminate()
        _, said = process.communicate(timeout=LONGEST)

        assert (-signal.SIGTERM, "") == (process.returncode, said)
