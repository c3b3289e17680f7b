"""
kill -9 at random moments of every verb that changes the vault, as real processes.

What a deterministic walk over the system calls finds is in ``test_crash_points``; here everything is
killed, the interpreter's start and the editor included. The seed of a round is its number.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from storm_home import NEW, URL, Home, finish, furnish

ROUNDS, STORM = 30, 300  # each verb twice, and with --all twenty times more
HOUR = 3600


def nothing(_: Home) -> None:
    """Prepare nothing."""


def give_a_slot(home: Home) -> None:
    """Add a slot with a key of its own."""
    home.run("slots", "add", "old", "--new-key-file", "keys/old.key")


def slot(tree: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Return what the file says of the slot *name*, or None."""
    return next((each for each in tree["vault"]["slots"] if name == each["id"]), None)


def edit_by_hand(home: Home) -> None:
    """Change the note in the file, so that it waits for a signature."""
    home.rewrite(lambda text: text.replace('note = "first"', 'note = "by hand"'))


@dataclass(frozen=True)
class Verb:
    """A command, what it needs, and how to see in the file that it was done."""

    words: tuple[str, ...]
    done: Callable[[dict[str, Any]], bool]
    stdin: str = ""
    env: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Home], None] = nothing


VERBS = {
    "add": Verb(("add", "new", URL, "--bearer-stdin"), lambda tree: "new" in tree["servers"], stdin=NEW),
    "set": Verb(
        ("set", "demo", "auth.token", "--stdin"),
        lambda tree: [2, 1] == [version["v"] for version in tree["servers"]["demo"]["auth"]["token"]],
        stdin=NEW,
    ),
    "remove": Verb(("remove", "spare", "--yes"), lambda tree: "spare" not in tree["servers"]),
    "edit": Verb(
        ("edit",),
        lambda tree: "edited" == tree["servers"]["demo"]["note"],
        env={"EDITOR": "sed -i s/first/edited/"},
    ),
    "sign": Verb(("sign", "--yes"), lambda tree: "by hand" == tree["servers"]["demo"]["note"], prepare=edit_by_hand),
    "approve": Verb(("approve", "files", "--yes"), lambda tree: tree["servers"]["files"]["approved"] is True),
    "slots": Verb(
        ("slots", "add", "web", "--new-key-file", "keys/web.key"), lambda tree: "web" == tree["vault"]["slots"][1]["id"]
    ),
    "slots remove": Verb(
        ("slots", "remove", "old", "--yes"), lambda tree: slot(tree, "old") is None, prepare=give_a_slot
    ),
    "slots role": Verb(
        ("slots", "role", "old", "admin", "--yes"),
        lambda tree: "admin" == (slot(tree, "old") or {}).get("role"),
        prepare=give_a_slot,
    ),
    "slots reseal": Verb(("slots", "reseal", "--yes"), lambda tree: 5 == tree["vault"]["serial"]),
    "client connect": Verb(("client", "connect", URL, "--name", "new"), lambda tree: "new" in tree["servers"]),
    "client disconnect": Verb(("client", "disconnect", "spare", "--yes"), lambda tree: "spare" not in tree["servers"]),
    "rekey": Verb(("rekey", "--yes"), lambda tree: 2 == tree["vault"]["epoch"]),
    "import": Verb(("import", "mcp.json"), lambda tree: "more" in tree["servers"]),
    "init": Verb(("init",), lambda tree: 1 == tree["vault"]["serial"]),
}


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Make the home that every round starts with a copy of."""
    return furnish(tmp_path_factory.mktemp("storm") / "home")


def ready(name: str, furnished: Home, place: Path) -> Home:
    """Return a home in which the verb *name* can be run."""
    if name == "init":
        place.mkdir(mode=0o700)
        home = Home(place)
    else:
        home = furnished.copy(place)
    runtime = place / "run"  # where ``edit`` leaves its file when it is killed
    runtime.mkdir(mode=0o700)
    VERBS[name].prepare(home)
    return home


def started(name: str, home: Home) -> Any:
    """Start the verb *name*."""
    verb = VERBS[name]
    return home.start(*verb.words, stdin=verb.stdin, env={**verb.env, "XDG_RUNTIME_DIR": str(home.path / "run")})


@cache
def usual(name: str, furnished: Home, place: Path) -> float:
    """Return the seconds that the verb takes when nobody kills it; by then it is done."""
    home = ready(name, furnished, place)
    begun = time.monotonic()
    done = finish(started(name, home))
    took = time.monotonic() - begun
    assert 0 == done.returncode, done.stderr
    assert VERBS[name].done(home.tree)
    return took


def opens(home: Home, *servers: str) -> None:
    """List the vault and get an entry: the file is whole and believed."""
    listed = {each["name"] for each in home.fact("list")}
    assert set(servers) <= listed
    for server in servers:
        assert "url" in home.fact("get", server)


ONCE = [pytest.param(n, marks=[pytest.mark.storm] if n >= ROUNDS else [], id=f"{n}") for n in range(ROUNDS + STORM)]


@pytest.mark.parametrize("number", ONCE)
def test_a_killed_verb_leaves_the_old_file_or_the_new_one(
    number: int, furnished: Home, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After kill -9 the file is the old one, byte for byte, or the finished new one; it opens and can be written."""
    name = [*VERBS][number % len(VERBS)]
    took = usual(name, furnished, tmp_path_factory.getbasetemp() / f"usual-{name}")
    chance = random.Random(number)
    # Half of the rounds aim at the end, where the files are written.
    delay = took * (chance.random() if chance.random() < 0.5 else chance.uniform(0.75, 1.05))
    print(f"round {number}: {name}, killed after {delay:.4f} s of {took:.4f} s")
    home = ready(name, furnished, tmp_path / "home")
    old, serial = home.bytes, 0 if name == "init" else home.serial

    process = started(name, home)
    time.sleep(delay)  # the moment is the point of the test
    os.kill(process.pid, signal.SIGKILL)
    killed = finish(process).returncode == -signal.SIGKILL

    finished = home.bytes != old
    print(f"killed: {killed}, written: {finished}, left behind: {[each.name for each in home.leftovers()]}")
    if finished:
        assert VERBS[name].done(home.tree)
    elif name in ("init", "sign"):  # nothing opens before they are done: do them again
        assert 0 == finish(started(name, home)).returncode
    if name != "init":
        assert (home.serial == serial + 1) == (finished or name == "sign")
        opens(home, "demo")
    for leftover in home.leftovers():
        os.utime(leftover, times=(time.time() - 2 * HOUR,) * 2)
    home.run("add", "after", URL, "--bearer-stdin", stdin=NEW)
    assert [] == home.leftovers()
    assert NEW == home.reveal("after")
    opens(home, "after")
