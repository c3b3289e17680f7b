"""Many processes write one vault at once: what was said to be written is there, and readers see whole files."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from storm_home import LONGEST, NEW, URL, Home, clean, finish, furnish

BUSY = 7


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a home with a vault."""
    return furnish(tmp_path / "home")


def start(home: Home, number: int) -> subprocess.Popen[str]:
    """Start a writer: every third adds an entry, the others put a header, plain or sealed, into one that is there."""
    if number % 3 == 0:
        return home.start("add", f"new{number}", URL, "--bearer-stdin", stdin=NEW)
    if number % 3 == 1:
        return home.start("set", "demo", f"headers.X-Round-{number}", "here")
    return home.start("set", "demo", f"headers.X-Key-{number}", "--stdin", stdin=NEW)


def wrote(tree: dict[str, Any], number: int) -> bool:
    """Tell whether what the writer *number* puts in is in the vault."""
    if number % 3 == 0:
        return f"new{number}" in tree["servers"]
    return f"X-{'Round' if number % 3 == 1 else 'Key'}-{number}" in tree["servers"]["demo"].get("headers", {})


def read_whole(home: Home) -> None:
    """List the vault and get an entry, as somebody does who knows nothing of the writers."""
    for words in (("list", "--json"), ("get", "demo", "--json")):
        done = finish(home.start(*words))
        assert (words, 0, "") == (words, done.returncode, done.stderr)
        assert "demo" in json.dumps(json.loads(done.stdout)) or words[0] == "get"


@pytest.mark.parametrize("writers", [9, pytest.param(60, marks=pytest.mark.storm)])
def test_nothing_that_was_said_to_be_written_is_lost(home: Home, writers: int) -> None:
    """Each writer ends with 0 or 7; exactly those with 0 are in the file, one serial each, and readers see no wreck."""
    before = home.serial

    started = [start(home, number) for number in range(writers)]
    ends = time.monotonic() + LONGEST
    while any(each.poll() is None for each in started) and time.monotonic() < ends:
        read_whole(home)
    ended = [finish(each) for each in started]

    for done in ended:
        clean(done)
        assert done.returncode in (0, BUSY), done.stderr
    succeeded = [number for number, done in enumerate(ended) if done.returncode == 0]
    print(f"{len(succeeded)} of {writers} wrote")
    assert succeeded
    assert succeeded == [number for number in range(writers) if wrote(home.tree, number)]
    assert before + len(succeeded) == home.serial
    assert [] == home.leftovers()
    read_whole(home)


@pytest.mark.parametrize("writers", [5, pytest.param(30, marks=pytest.mark.storm)])
def test_who_was_told_to_try_again_gets_through(home: Home, writers: int) -> None:
    """Those that ended with 7 do what the hint says, until all are in the file."""
    before, left = home.serial, list(range(writers))
    while left:
        ended = [(number, finish(each)) for number, each in [(number, start(home, number)) for number in left]]
        again = [number for number, done in ended if done.returncode == BUSY]
        assert len(again) < len(left)
        assert all("mcpvault: hint: try again" in done.stderr for _, done in ended if done.returncode == BUSY)
        left = again

    assert [True] * writers == [wrote(home.tree, number) for number in range(writers)]
    assert before + writers == home.serial
