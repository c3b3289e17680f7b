"""
Scripts that call a server of the vault in a loop, each a process of its own, and what became of each call.

This file is both sides: a test imports it, and each script runs it as a program. A script has one session that stays
open, as a service has, and opens the vault anew for every other call, as a cron job does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

LONGEST = 60.0  # seconds that anything may take


class Call(NamedTuple):
    """One call: when it began and ended, Unix seconds; the kind of its error and what that says, or None."""

    began: float
    ended: float
    error: str | None = None
    message: str | None = None

    def between(self, began: float, ended: float) -> bool:
        """Tell whether any of it was between these moments."""
        return self.began < ended and began < self.ended


class Crew:
    """
    Scripts that are at work.

    Args:
        logs: What each of them writes, a line for each call.
        processes: Themselves.

    Attributes:
        fallbacks: What they were warned of, when the block has ended: the current secret refused, another tried.
    """

    def __init__(self, logs: list[IO[str]], processes: list[subprocess.Popen[bytes]]) -> None:
        self._logs = logs
        self._processes = processes
        self._calls: list[list[Call]] = [[] for _ in logs]
        self._halves = [""] * len(logs)
        self.fallbacks: list[str] = []

    @property
    def calls(self) -> list[Call]:
        """All calls that have been heard of; when the block has ended, all."""
        return [call for own in self._calls for call in own]

    @property
    def failures(self) -> list[Call]:
        """Those of them that failed."""
        return [call for call in self.calls if call.error is not None]

    def busy(self, more: int = 2, *, until: float = 0.0) -> None:
        """Wait until each script has ended *more* further calls, and the monotonic clock says *until*."""
        self.listen()
        wanted = [len(own) + more for own in self._calls]
        ends = max(time.monotonic(), until) + LONGEST
        while time.monotonic() < until or any(len(own) < n for own, n in zip(self._calls, wanted, strict=True)):
            assert [None] * len(self._processes) == [each.poll() for each in self._processes], "a script has ended"
            assert time.monotonic() < ends, "a script hangs"
            time.sleep(0.01)
            self.listen()

    def listen(self) -> None:
        """Hear what the scripts have told since."""
        for number, log in enumerate(self._logs):
            *lines, self._halves[number] = (self._halves[number] + log.read()).split("\n")
            self._calls[number] += [Call(*json.loads(line)) for line in lines]


@contextmanager
def crew(env: Mapping[str, str], name: str, count: int, folder: Path) -> Iterator[Crew]:
    """Let *count* scripts with the environment *env* call the server *name* until the block ends; each has begun."""
    folder.mkdir()
    stop = folder / "stop"
    with ExitStack() as stack:
        logs, processes = [], []
        for number in range(count):
            log = folder / str(number)
            out, err = stack.enter_context(log.open("wb")), stack.enter_context(log.with_suffix(".err").open("wb"))
            words = [sys.executable, __file__, name, str(stop)]
            process = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
            logs.append(stack.enter_context(log.open(encoding="utf-8")))
        made = Crew(logs, processes)
        made.busy()
        yield made
        stop.touch()
        ended = [process.wait(LONGEST) for process in processes]
        said = [line for path in folder.glob("*.err") for line in path.read_text().splitlines()]
        made.listen()
        made.fallbacks = [line for line in said if line.endswith("is tried (rotation)")]
        assert ([0] * count, []) == (ended, [line for line in said if line not in made.fallbacks])


def main(name: str, stop: Path) -> None:
    """Call until *stop* is there, and tell of each call."""
    from mcpvault import Session, Vault
    from mcpvault.errors import McpVaultError

    lasting = Vault.open().session(name)

    def call(session: Session | None) -> None:
        if session is not None:
            session.list_tools()
            return
        with Vault.open().session(name) as fresh:
            fresh.list_tools()

    while not stop.exists():
        for session in (lasting, None):
            began, told = time.time(), []
            try:
                call(session)
            except McpVaultError as error:
                told = [error.kind, error.message]
            print(json.dumps([began, time.time(), *told]), flush=True)
    lasting.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
