"""Ratios: every round runs each contestant once, in turn; the figure is the median over the rounds."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Contestant = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: *ours* against *theirs*, and the bar that the ratio must not exceed."""

    what: str
    ratio: float
    bar: float
    ours: float
    theirs: float
    unit: str = "ms"
    more: str = ""

    @property
    def line(self) -> str:
        """The line of the table."""
        verdict = "ok" if self.ratio <= self.bar else "MISSED"
        return (
            f"{self.what:<58} {self.ratio:6.2f} x  (bar {self.bar:.2f} x)  "
            f"{self.ours:9.2f} against {self.theirs:9.2f} {self.unit:<3} {verdict}"
            f"{self.more and '  ' + self.more}"
        )


def compare(what: str, bar: float, rounds: int, ours: Contestant, theirs: Contestant, unit: str = "ms") -> Figure:
    """Run both in turn, first one then the other leading, and return the median of the ratios."""
    ours(), theirs()
    pairs = []
    for number in range(rounds):
        if number % 2:
            mine = ours()
            other = theirs()
        else:
            other = theirs()
            mine = ours()
        pairs.append((mine, other))
    ratio = statistics.median(mine / other for mine, other in pairs)
    mine, other = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    return Figure(what, ratio, bar, mine, other, unit)


def timed(work: Callable[[], object]) -> Contestant:
    """Return a contestant that takes the milliseconds of *work*."""

    def run() -> float:
        begin = time.perf_counter()
        work()
        return (time.perf_counter() - begin) * 1000

    return run


def process(command: Sequence[str], env: Mapping[str, str]) -> Contestant:
    """Return a contestant that takes the milliseconds of a whole process."""

    def work() -> None:
        done = subprocess.run(command, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{command}: exit {done.returncode}\n{done.stderr.decode()}")

    return timed(work)


def machine() -> str:
    """Name the machine and how busy it is."""
    model = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.split(":", 1)[1].strip() for line in info.open() if line.startswith("model name")), model)
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}, load {load}"
    )
