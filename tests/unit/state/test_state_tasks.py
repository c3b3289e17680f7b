"""The ids of tasks: kept sealed, found by later runs, gone in time."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest

from mcpvault.errors import TamperedError
from mcpvault.secret import Secret
from mcpvault.state.memory import MemoryState
from mcpvault.state.tasks import LIFETIME, MOST, KeptTask, TaskStore


def store(state: MemoryState, clock: list[float], server: str = "x") -> TaskStore:
    """Return the tasks of *server*; the seal is one that a test can read, and is bound to what it is with."""

    def seal(data: bytes, associated: bytes) -> str:
        return f"{b64encode(associated).decode()}.{b64encode(data).decode()}"

    def unseal(line: str, associated: bytes) -> bytes:
        with_, _, data = line.partition(".")
        if b64decode(with_) != associated:
            raise TamperedError("the seal does not hold")
        return b64decode(data)

    return TaskStore(state, server, vault_id="v", seal=seal, unseal=unseal, clock=lambda: clock[0])


def test_a_task_is_there_for_other_runs() -> None:
    """Oldest first, each once, for its own server, until it is forgotten."""
    state, clock = MemoryState(), [1000.0]
    store(state, clock).keep("one", "build")
    clock[0] = 1001.0
    store(state, clock).keep("two", "test")
    store(state, clock).keep("one", "build")
    store(state, clock, "y").keep("three", "build")

    assert [KeptTask(Secret("two"), "test", 1001), KeptTask(Secret("one"), "build", 1001)] == store(state, clock).all()
    store(state, clock).forget("two")
    store(state, clock).forget("unheard of")
    assert ["one"] == [task.id.reveal() for task in store(state, clock).all()]


def test_nothing_is_kept_for_ever() -> None:
    """After ninety days nobody asks for it any more, and there is a most."""
    state, clock = MemoryState(), [0.0]
    store(state, clock).keep("old", "build")
    clock[0] = LIFETIME + 1
    assert [] == store(state, clock).all()
    for number in range(MOST + 1):
        store(state, clock).keep(f"{number}", "build")
    assert ["1", f"{MOST}"] == [store(state, clock).all()[place].id.reveal() for place in (0, -1)]


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"task = 7", b"[[task]]\nhandle = 1", b"[" * 100_000, b'[[task]]\nhandle = "a"\n']
)
def test_a_damaged_file_holds_nothing(data: bytes) -> None:
    """It is a convenience: what is wrong with it is no reason to stop."""
    state, clock = MemoryState(), [0.0]
    state.replace("tasks-x.toml", data)

    assert [] == store(state, clock).all()
    store(state, clock).keep("one", "build")
    assert ["one"] == [task.id.reveal() for task in store(state, clock).all()]


def test_a_moved_seal_does_not_hold(caplog: pytest.LogCaptureFixture) -> None:
    """A line that was copied to another server, or whose tool was changed, is left out with a warning."""
    state, clock = MemoryState(), [0.0]
    store(state, clock).keep("one", "build")
    held = state.read("tasks-x.toml") or b""
    state.replace("tasks-y.toml", held)
    state.replace("tasks-x.toml", held.replace(b"build", b"guild"))

    assert [] == store(state, clock, "y").all() == store(state, clock).all()
    assert 2 == len(caplog.records)
