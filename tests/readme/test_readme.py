"""
The README's commands work as printed.

Blocks marked ``console`` are run from top to bottom in one home of their own, against
``mcpvault demo --serve``: a line that begins with ``$ `` is run by sh, the lines below it are
what it prints, ``...`` stands for anything, and ``[exit N]`` is its exit status. Afterwards the
``python`` blocks are run in the same home. A block whose first line is followed by the word
``illustration`` (```` ```console illustration ````) needs the outside world and is not run.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from mcpvault.cli.main import group

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
DEMO_PORT = "8765"
LONGEST = 60  # seconds

_FENCE = re.compile(r"^```(\w+)[ \t]*(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One command of the README, what it should print, and the status it should end with."""

    line: str
    expected: tuple[str, ...]
    code: int


def blocks(language: str) -> list[str]:
    """Return the blocks of *language* that are to be run."""
    return [body for name, mark, body in _FENCE.findall(README) if name == language and mark != "illustration"]


def commands() -> list[Command]:
    """Return every command of the console blocks, in order."""
    found: list[Command] = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *below = part.splitlines()
            expected = [text for text in below if text.strip()]
            code = 0
            if expected and (status := re.fullmatch(r"\[exit (\d+)\]", expected[-1])):
                code = int(status[1])
                expected.pop()
            found.append(Command(re.sub(r"\s+# .*", "", line), tuple(expected), code))
    return found


def pattern(expected: tuple[str, ...]) -> str:
    """Return the pattern that the whole output has to match."""
    lines = [
        r"(?:.*\n)*?" if line.strip() == "..." else r".*".join(map(re.escape, line.rstrip().split("..."))) + r"\n"
        for line in expected
    ]
    return "".join(lines)


@dataclass(frozen=True)
class Demo:
    """The demo server that the README talks to, and the environment in which its commands run."""

    env: dict[str, str]
    port: str

    def run(self, words: list[str]) -> tuple[int, str]:
        """Run *words* and return exit status and everything that was printed."""
        done = subprocess.run(
            [word.replace(f":{DEMO_PORT}", f":{self.port}") for word in words],
            env=self.env,
            cwd=self.env["HOME"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=LONGEST,
            check=False,
        )
        return done.returncode, done.stdout.replace(f":{self.port}", f":{DEMO_PORT}")


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo server on a free port, and a new home."""
    home = tmp_path_factory.mktemp("home")
    (home / "bin").mkdir()
    command = home / "bin" / "mcpvault"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mcpvault "$@"\n')
    command.chmod(0o755)
    python = home / "bin" / "python3"
    python.symlink_to(sys.executable)
    env = {"HOME": str(home), "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "LANG": "C.UTF-8"}
    env["PYTHONUNBUFFERED"] = "1"  # so that stdout and stderr come in their order, as on a terminal
    server = subprocess.Popen(
        [sys.executable, "-m", "mcpvault", "demo", "--serve", "--port", "0", "--json"],
        env=env,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert server.stdout is not None
        first = server.stdout.readline()
        port = re.search(r'"url": ?"http://127\.0\.0\.1:(\d+)/mcp"', first)
        token = re.search(r'"DEMO_TOKEN": ?"([^"]+)"', first)
        assert port and token, first
        yield Demo(env | {"DEMO_TOKEN": token[1]}, port[1])
    finally:
        server.send_signal(signal.SIGINT)
        with server:
            pass


def test_every_block_of_the_readme_works_as_printed(demo: Demo) -> None:
    """From top to bottom, each command prints what stands below it; then each Python block runs in the same home."""
    for command in commands():
        code, output = demo.run(["sh", "-c", command.line])
        assert (command.code, command.line) == (code, command.line), output
        assert re.fullmatch(pattern(command.expected), output), f"$ {command.line}\n{output}"

    for block in blocks("python"):
        code, output = demo.run([sys.executable, "-W", "error", "-c", block])
        assert 0 == code, f"{block}\n{output}"


def test_the_readme_shows_a_failure_with_its_hint() -> None:
    """The first screen holds a command that fails, its exit status and its hint."""
    first_screen = "\n".join(README.splitlines()[:50])

    assert re.search(r"^mcpvault: error: .*\nmcpvault: hint: .*\n\[exit \d+\]$", first_screen, re.MULTILINE)


SHOWN = [
    line
    for language, _, body in _FENCE.findall(README)
    for line in body.splitlines()
    if language == "sh" and line.startswith("mcpvault ")
]


@pytest.mark.parametrize("line", SHOWN, ids=lambda line: line.partition("#")[0].strip())
def test_what_is_only_shown_could_be_run(line: str) -> None:
    """A command of an ``sh`` block is a verb with options and arguments that it takes; it is not carried out."""
    words = shlex.split(line.partition(" < ")[0], comments=True)[1:]
    words = ["." if word.startswith(("~/", "/var/")) else word for word in words]  # places that are there
    command, context = group, click.Context(group, info_name="mcpvault")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)

    command.parse_args(context, words)


def test_a_block_for_a_public_service_is_an_illustration() -> None:
    """What names a host of the Internet cannot be run here, and says so."""
    named = [body for _, mark, body in _FENCE.findall(README) if re.search(r"https://[a-z]|\bgh ", body) and not mark]

    assert [] == named


@pytest.mark.parametrize(
    ("expected", "output", "fits"),
    [
        (("a", "..."), "a\n", True),
        (("a", "..."), "a\nb\nc\n", True),
        (("a", "...", "d"), "a\nb\nc\nd\n", True),
        (("a ... d",), "a b c d\n", True),
        (("a ... d",), "a\nd\n", False),
        (("a",), "a\nb\n", False),
        ((), "", True),
        (("a.b",), "axb\n", False),
    ],
)
def test_three_dots_stand_for_anything(expected: tuple[str, ...], output: str, fits: bool) -> None:
    """``...`` stands for any text in a line, and alone for any number of lines."""
    assert fits is bool(re.fullmatch(pattern(expected), output))
