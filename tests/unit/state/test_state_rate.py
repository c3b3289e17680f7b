"""Turns of requests: at most so many in any stretch of time, of all threads and processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpvault.deadline import Deadline
from mcpvault.errors import DeadlineExceededError
from mcpvault.state.files import StateDirectory
from mcpvault.state.rate import RateLimit


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    """A state folder."""
    return StateDirectory(tmp_path / "state")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(most=st.integers(1, 5), steps=st.lists(st.floats(0, 2), max_size=30), shared=st.booleans())
def test_never_more_than_the_rate(tmp_path: Path, most: int, steps: list[float], shared: bool) -> None:
    """However requests come, any second has at most so many turns, and none is later than it need be."""
    clock = Clock()
    directory = StateDirectory(tmp_path / os.urandom(6).hex()) if shared else None
    limit = RateLimit(f"{most}/s", server="x", directory=directory, clock=clock)

    turns: list[float] = []
    for step in steps:
        clock.now += step
        pause = limit._pause(Deadline(None))
        assert pause is not None
        turns.append(clock.now + pause)
        earliest = clock.now if len(turns) <= most else max(clock.now, turns[-1 - most] + 1)
        assert turns[-1] == pytest.approx(earliest)

    assert all(later - earlier >= 1 - 1e-9 for earlier, later in zip(turns, turns[most:], strict=False))


def test_a_turn_that_comes_too_late_is_not_taken(state: StateDirectory) -> None:
    """The error comes at once, says that nothing was sent, and leaves the turn to somebody with more time."""
    clock = Clock()
    limit = RateLimit("1/m", server="x", directory=state, clock=clock)
    assert limit.wait(Deadline(5)) is None

    error = limit.wait(Deadline(5))

    assert isinstance(error, DeadlineExceededError)
    assert ("x: rate_limit 1/m leaves no room within 5 s; nothing was sent", False) == (str(error), error.sent)
    clock.now += 60
    assert limit.wait(Deadline(5)) is None


@pytest.mark.parametrize(("rate", "earlier"), [("2/m", 0.0), ("1/m", -999.0)], ids=["another rate", "a restart"])
def test_what_no_longer_holds_is_forgotten(state: StateDirectory, rate: str, earlier: float) -> None:
    """A changed rate, and a clock that began anew with the machine, begin the ring anew."""
    clock = Clock()
    assert RateLimit("1/m", server="x", directory=state, clock=clock).wait(Deadline(5)) is None
    clock.now += earlier

    assert RateLimit(rate, server="x", directory=state, clock=clock).wait(Deadline(5)) is None


def test_processes_share_a_rate(state: StateDirectory) -> None:
    """Of four processes with three requests each, a rate of seven lets seven through."""
    state.ensure()
    script = (
        "import sys, pathlib\n"
        "from mcpvault.deadline import Deadline\n"
        "from mcpvault.state.files import StateDirectory\n"
        "from mcpvault.state.rate import RateLimit\n"
        "limit = RateLimit('7/d', server='x', directory=StateDirectory(pathlib.Path(sys.argv[1])))\n"
        "print(sum(limit.wait(Deadline(20)) is None for _ in range(3)))\n"
    )
    crowd = [
        subprocess.Popen([sys.executable, "-c", script, str(state.path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    assert 7 == sum(int(each.communicate(timeout=60)[0]) for each in crowd)


def test_threads_share_a_rate_where_nothing_can_be_written(tmp_path: Path) -> None:
    """Without a place to write, it is said once, and the threads of this process keep to the rate."""
    (tmp_path / "file").write_text("not a folder")
    limit = RateLimit("5/d", server="x", directory=StateDirectory(tmp_path / "file" / "state"))
    got: list[bool] = []

    with pytest.warns(UserWarning, match="rate_limit holds for this process only"):
        got.append(limit.wait(Deadline(5)) is None)
    threads = [threading.Thread(target=lambda: got.append(limit.wait(Deadline(5)) is None)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert (5, 4) == (got.count(True), got.count(False))
