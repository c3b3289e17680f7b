"""
The figures of what happens within a session: calls one after the other, calls at once, large results.

The official SDK is measured in the same rounds, where ``scripts/peers`` has installed it.
"""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from measure import Contestant, Figure, compare
from place import HERE, PYTHON, Place

SDK = HERE.parents[1] / ".peers/mcp2/bin/python"
_MB = 1_000_000

Worker = subprocess.Popen[str]


@contextmanager
def worker(command: list[str], env: Mapping[str, str]) -> Iterator[Worker]:
    """Start a program that does its work for each line that it reads."""
    with subprocess.Popen(command, env=dict(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        yield started
        assert started.stdin is not None
        started.stdin.close()


def _ordered(who: Worker) -> tuple[float, float]:
    assert who.stdin is not None and who.stdout is not None
    who.stdin.write("go\n")
    who.stdin.flush()
    passed, worked = who.stdout.readline().split()
    return float(passed), float(worked)


def _contest(here: Place, what: str, bar: float, rounds: int, tool: str, count: int, width: int) -> Figure:
    """Compare processes that have a session each; beside the time that passes, that which the processor works."""
    orders = [tool, str(count), str(width)]
    program = str(HERE / "programs/caller.py")
    commands = {"ours": [PYTHON, program, "ours", *orders], "bare": [PYTHON, program, "bare", *orders]}
    if SDK.exists():
        commands["sdk"] = [str(SDK), str(HERE / "programs/sdk_caller.py"), *orders]
    with ExitStack() as stack:
        crowd = {name: stack.enter_context(worker(command, here.env)) for name, command in commands.items()}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in crowd}
        names = list(crowd)
        for number in range(rounds + 1):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                taken[name].append(_ordered(crowd[name]))

    def ratio(name: str, column: int) -> float:
        pairs = zip(taken[name][1:], taken["bare"][1:], strict=True)
        return statistics.median(mine[column] / other[column] for mine, other in pairs)

    more = f"processor {ratio('ours', 1):.2f} x"
    if "sdk" in taken:
        more += f", mcp SDK {ratio('sdk', 0):.2f} x (processor {ratio('sdk', 1):.2f} x)"
    mine, other = (statistics.median(passed for passed, _ in taken[name][1:]) for name in ("ours", "bare"))
    return Figure(what, ratio("ours", 0), bar, mine, other, more=more)


def calls_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """Calls one after the other; the bar is the time that 1.3 and 1.25 times the rate mean."""
    yield _contest(here, "300 x call_tool, JSON / Session.post + json", 1 / 1.3, rounds, "echo", 300, 1)
    yield _contest(here, "300 x call_tool, SSE / Session.post + json", 1 / 1.25, rounds, "tell", 300, 1)


def threads_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """32 threads on one session, a server that takes 20 ms; the bar is 1.05 times the rate."""
    yield _contest(here, "640 x call_tool, 32 threads, 20 ms / requests", 1 / 1.05, rounds, "late", 640, 32)


def large_figures(here: Place, rounds: int) -> Iterator[Figure]:
    """
    Large results, each in a fresh process: time, then peak memory, then whether the cost is linear.

    From 1 to 200 MB it is compared with bare requests, for caches and page faults make every program's bytes dearer.
    """
    for tool, bar in (("large", 1.1), ("big", 1.2)):
        kind = "JSON" if tool == "large" else "SSE"
        ours, bare = (result(here, who, tool, 50 * _MB, 0) for who in ("ours", "bare"))
        yield compare(f"result of 50 MB, {kind} / bare requests", bar, rounds, ours, bare)
        ours, bare = (result(here, who, tool, 50 * _MB, 1) for who in ("ours", "bare"))
        yield compare("the same, peak memory of the process", 1.0, 5, ours, bare, "MB")
        most, some = (result(here, "ours", tool, size * _MB, 0) for size in (200, 20))
        yield compare(f"200 MB, {kind} / ten times 20 MB", 1.3, rounds, most, lambda some=some: 10 * some())  # type: ignore[misc]
        ours, bare = (growth(here, who, tool) for who in ("ours", "bare"))
        yield compare(f"a MB among 200 / alone, {kind}; against bare requests", 1.3, 3, ours, bare, "x")


def growth(here: Place, who: str, tool: str) -> Contestant:
    """Return a contestant whose figure is how much dearer a MB is in a result of 200 than in one of 1."""
    most = result(here, who, tool, 200 * _MB, 0)
    one, none = (result(here, who, tool, size * _MB, 0, times=30) for size in (1, 0))
    # What a call costs whatever its size would hide what grows.
    return lambda: most() / 200 / (one() - none())


def result(here: Place, who: str, tool: str, size: int, column: int, times: int = 1) -> Contestant:
    """Return a contestant that reads a result: its milliseconds (column 0) or its peak memory in MB (1)."""
    command = [PYTHON, str(HERE / "programs/large_result.py"), who, tool, str(size), str(times)]

    def run() -> float:
        done = subprocess.run(command, env=dict(here.env), capture_output=True, text=True, check=True)
        return float(done.stdout.split()[column]) / (1, 1024)[column]

    return run
