"""Scripts that loop through rotations: no call fails where two secrets are good; elsewhere the gap is measured."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from issuer_house import IssuerHouse, issuer_house
from rotation_house import RotationHouse
from test_rotation_crashes import Bearer, Robot, rotating

from mcpvault import Vault
from mcpvault.errors import McpVaultError

FORK = multiprocessing.get_context("fork")


def loop(env: dict[str, str], name: str, stop: Any, told: Any) -> None:
    """Be a script: one session that stays open, and a fresh one each time; tell what failed, and when."""
    calls, failures = 0, []
    lasting = Vault.open(env=env).session(name)
    while not stop.is_set():
        for fresh in (False, True):
            session = lasting
            try:
                session = Vault.open(env=env).session(name) if fresh else lasting
                session.list_tools()
            except McpVaultError as error:
                failures.append((time.time(), error.kind, error.message))
            except Exception as error:
                failures.append((time.time(), type(error).__name__, str(error)))
            calls += 1
            if session is not lasting:
                session.close()
    lasting.close()
    told.put((calls, failures))


@contextmanager
def scripts(house: RotationHouse, name: str, count: int) -> Iterator[dict[str, Any]]:
    """Let *count* processes loop; afterwards ``calls`` and ``failures`` say how it went."""
    stop, told = FORK.Event(), FORK.Queue()
    crew = [FORK.Process(target=loop, args=(house.env, name, stop, told), daemon=True) for _ in range(count)]
    for each in crew:
        each.start()
    found: dict[str, Any] = {"calls": 0, "failures": []}
    try:
        yield found
    finally:
        stop.set()
        for _ in crew:
            calls, failures = told.get(timeout=60)
            found["calls"] += calls
            found["failures"] += failures
        for each in crew:
            each.join(60)


def busy(house: RotationHouse, more: int) -> None:
    """Wait until the scripts have made *more* requests."""
    seen = len(house.server.requests) + more
    ends = time.monotonic() + 60
    while len(house.server.requests) < seen and time.monotonic() < ends:
        time.sleep(0.01)


def rotate_once(rotation: Bearer | Robot, requests: int) -> None:
    """Rotate, let the scripts work in the grace, end it, and let them work on."""
    rotation.prepare()
    rotation.begin()
    busy(rotation.house, requests)
    rotation.pass_grace()
    assert "done" == rotation.end()
    busy(rotation.house, requests)


def test_scripts_loop_through_a_rotation(home: Path) -> None:
    """Two scripts, one rotation of a static token, not one failed call; the old token is dead afterwards."""
    with rotating("manual", home) as rotation:
        old = rotation.house.stages()["current"]
        with scripts(rotation.house, "demo", 2) as found:
            busy(rotation.house, 8)
            rotate_once(rotation, 8)
        assert ([], True) == (found["failures"], found["calls"] > 4)
        assert old not in {rotation.house.server.token, *rotation.house.server.tokens}


@pytest.mark.storm
@pytest.mark.parametrize("how", ["manual", "exec", "private-key", "registration", "client-secret"])
def test_eight_scripts_loop_through_five_rotations(how: str, home: Path) -> None:
    """Eight scripts and five rotations of each kind, with tokens that are obtained anew for every call: none fails."""
    with rotating(how, home) as rotation:
        if isinstance(rotation, Robot):
            rotation.house.issuer.policy.access_lifetime = 2
        with scripts(rotation.house, "demo" if isinstance(rotation, Bearer) else "robot", 8) as found:
            for _ in range(5):
                rotate_once(rotation, 100)
        assert ([], True) == (found["failures"][:3], found["calls"] > 300)


@pytest.mark.storm
def test_the_gap_at_an_issuer_that_ends_the_old_secret_at_once(home: Path) -> None:
    """Where one secret is good at a time, calls can fail only between its making and its being written; measured."""
    with issuer_house(home, renew_secrets=True) as house:
        house.with_secret()
        house.issuer.policy.access_lifetime = 2
        spans: list[tuple[float, float]] = []
        with scripts(house, "robot", 8) as found:
            for _ in range(5):
                busy(house, 50)
                spans.append(span(house))
                house.finish()
        outside = [
            each for each in found["failures"] if not any(begin <= each[0] <= end for begin, end in spans)
        ]  # fmt: skip
        print(f"{len(found['failures'])} of {found['calls']} calls failed: {Counter(e[1] for e in found['failures'])}")
        assert [] == outside
        assert found["calls"] > 200


def span(house: IssuerHouse) -> tuple[float, float]:
    """Rotate once; return when the update arrived at the issuer, and when the new secret could be read."""
    before = len(house.issuer.requests)
    readable = threading.Event()
    moments: list[float] = []

    def watch() -> None:
        while not readable.is_set():
            if not moments and any(each.method == "PUT" for each in house.issuer.requests[before:]):
                moments.append(time.time())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    house.begin()
    readable.set()
    watcher.join()
    # A call that was refused with the old secret may be told of only when its own time is over.
    return moments[0] - 0.1, time.time() + 5.0
