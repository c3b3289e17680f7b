"""
Storms over one rotating refresh token: many real processes, a strict server, kill -9, SIGSTOP, lost answers, clocks.

The server's own record is the judge: which process redeemed which token, how often, and what became of the answer.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import refresh_crew
from refresh_server import StrictIssuer, serving

from mcpvault.deadline import Deadline
from mcpvault.errors import AuthorizationRequiredError
from mcpvault.state.files import StateDirectory
from mcpvault.state.refresh import current
from mcpvault.state.tokens import peek

LONGEST = 120  # seconds
HOUR = 3600


@contextmanager
def crew(place: Path, url: str, **told: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a crew; it is killed with its workers at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, refresh_crew.__file__, json.dumps({"place": str(place), "url": url, **told})],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def outcomes(place: Path, url: str, **told: Any) -> list[dict[str, Any]]:
    """Run a crew to its end; return what it said."""
    with crew(place, url, **told) as process:
        said, _ = process.communicate(timeout=LONGEST)
        assert 0 == process.returncode
    return [json.loads(line) for line in said.splitlines()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A state folder."""
    return tmp_path / "state"


def explained(issuer: StrictIssuer, killed: set[int]) -> None:
    """
    Check the server's record: no token was redeemed again after its answer was seen.

    A second redemption is there only where the answer to one of the two was lost, or its process killed; a third one
    never. None comes after the successor was redeemed, because then somebody had seen the answer.
    """
    redeemed_at: dict[str, int] = {}
    for number, each in enumerate(issuer.redemptions):
        redeemed_at.setdefault(each.token, number)
    for number, each in enumerate(issuer.redemptions):
        successors = (before.successor for before in issuer.redemptions[:number] if before.token == each.token)
        seen = [token for token in successors if token and redeemed_at.get(token, number) < number]
        assert [] == seen, f"{each.token} was redeemed after its successor"
    for token, redemptions in issuer.by_token().items():
        assert len(redemptions) <= 2, f"{token} was redeemed {len(redemptions)} times"
        seen_by = [each.pid for each in redemptions if each.answered and each.pid not in killed]
        assert len(seen_by) <= 1, f"{token} was redeemed by {seen_by}, and nothing was lost"


def overtaken(issuer: StrictIssuer) -> bool:
    """Tell whether the request of a killed process was dealt with after that of the next, whose answer was seen."""
    redeemed = {each.token for each in issuer.redemptions}
    return any(len(both) == 2 and both[0].successor in redeemed for both in issuer.by_token().values())


def test_32_processes_redeem_once(place: Path) -> None:
    """Round after round: one redemption, no reuse, and every process has the new token."""
    issuer = StrictIssuer()
    with serving(issuer) as url:
        for round_ in range(1, 6):
            record = refresh_crew.log_in(refresh_crew.store_at(place), url, ago=HOUR + 1)
            said = [told for told in outcomes(place, url, workers=32) if "crew" not in told]

            assert round_ == len(issuer.redemptions)
            assert 32 == len(said)
            assert {record.generation + 1} == {told.get("generation") for told in said}
            assert 1 == len({told["access"] for told in said})
    assert ["granted"] * 5 == [each.outcome for each in issuer.redemptions]


def test_many_refreshes_by_many_processes(place: Path) -> None:
    """Eight processes that insist on new tokens redeem each refresh token once, in a chain without a gap."""
    issuer = StrictIssuer()
    with serving(issuer) as url:
        refresh_crew.log_in(refresh_crew.store_at(place), url)
        said = outcomes(place, url, workers=8, times=20, insist=True)
    assert {"granted"} == {each.outcome for each in issuer.redemptions}
    assert all(len(redemptions) == 1 for redemptions in issuer.by_token().values())
    assert [] == [told for told in said if "error" in told]
    assert 160 == sum("generation" in told for told in said)
    assert {told["access"] for told in said if "access" in told} <= issuer.issued


def killing(place: Path, issuer: StrictIssuer, seconds: float, seed: int) -> None:
    """Kill a process every 50 ms for a while, then look at what they left."""
    with serving(issuer) as url:
        store = refresh_crew.store_at(place)
        refresh_crew.log_in(store, url)
        told = {"insist": True, "times": 10**9, "logs_in": True, "kill_every": 0.05, "seed": seed}
        said = outcomes(place, url, workers=8, seconds=seconds, **told)
        killed = {told["killed"] for told in said if "killed" in told}

        explained(issuer, killed)
        assert {told["access"] for told in said if "access" in told} <= issuer.issued
        assert {"authorization_required"} >= {told["error"] for told in said if "error" in told}
        for each in said:
            if "error" in each:  # whoever has to log in is told which of the killed processes it was
                pids = {int(pid) for pid in re.findall(r"\(pid (\d+)\)", each["message"])}
                assert pids & killed or overtaken(issuer), each["message"]  # nobody here can know of that
        assert 10 < sum("generation" in told for told in said)

        facts = peek(StateDirectory(place), "linear")
        assert facts is not None
        assert facts.status in ("ok", "refreshing", "ambiguous", "dead")
        try:
            current(store, refresh_crew.exchange_with(url), deadline=Deadline(60), insist=True)
        except AuthorizationRequiredError:
            refresh_crew.log_in(store, url)
            current(store, refresh_crew.exchange_with(url), deadline=Deadline(60), insist=True)
        explained(issuer, killed)
        assert len(list(place.glob(".*.tmp.*"))) <= len(killed)


@pytest.mark.parametrize("grace", [True, False], ids=["forgiving", "strict"])
def test_kill_9_every_50_ms(place: Path, grace: bool) -> None:
    """No token is redeemed again after its answer was seen; a lost one is reported with the process that was killed."""
    killing(place, StrictIssuer(grace=grace, slow=0.02), 4, seed=1)


@pytest.mark.storm
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("grace", [True, False], ids=["forgiving", "strict"])
def test_kill_9_for_long(place: Path, grace: bool, seed: int) -> None:
    """The same, for half a minute and with other victims."""
    killing(place, StrictIssuer(grace=grace, slow=0.02), 30, seed=seed)


@pytest.mark.parametrize("grace", [True, False], ids=["forgiving", "strict"])
def test_a_fifth_of_the_answers_is_lost(place: Path, grace: bool) -> None:
    """A forgiving server costs nobody anything; a strict one costs a login for each, and never a third redemption."""
    issuer = StrictIssuer(grace=grace, loses=5)
    with serving(issuer) as url:
        refresh_crew.log_in(refresh_crew.store_at(place), url)
        said = outcomes(place, url, workers=4, times=15, insist=True, logs_in=True)
    explained(issuer, set())
    errors = [told["message"] for told in said if "error" in told]
    lost = sum(not each.answered for each in issuer.redemptions)
    assert 2 < lost
    if grace:
        assert [] == errors
        assert 60 == sum("generation" in told for told in said)
    else:
        assert errors
        assert [] == [message for message in errors if " lost" not in message]


def test_a_stopped_holder_is_waited_for(place: Path) -> None:
    """SIGSTOP in the middle of a redemption: the others wait, give up with exit 7, and redeem nothing."""
    issuer = StrictIssuer()
    with serving(issuer) as url:
        refresh_crew.log_in(refresh_crew.store_at(place), url, ago=HOUR + 1)
        issuer.go_on.clear()
        with crew(place, url, workers=1) as holder:
            assert holder.stdout is not None
            [pid] = json.loads(holder.stdout.readline())["crew"]
            assert issuer.arrived.wait(60)
            os.kill(pid, signal.SIGSTOP)
            issuer.go_on.set()
            others = outcomes(place, url, workers=4, patience=0.5)
            assert 1 == len(issuer.redemptions)
            assert ["busy"] * 4 == [told["error"] for told in others if "crew" not in told]
            assert [] == [told for told in others if "error" in told and f"(pid {pid})" not in told["message"]]

            os.kill(pid, signal.SIGCONT)
            assert 2 == json.loads(holder.stdout.readline())["generation"]
            assert 0 == holder.wait(60)
        said = outcomes(place, url, workers=4)
    assert [2] * 4 == [told["generation"] for told in said if "crew" not in told]
    assert 1 == len(issuer.redemptions)


def test_a_killed_holder_is_replaced(place: Path) -> None:
    """The lock of a killed process is free at once: those who wait go on, and redeem once more."""
    issuer = StrictIssuer(grace=True)
    with serving(issuer) as url:
        refresh_crew.log_in(refresh_crew.store_at(place), url, ago=HOUR + 1)
        issuer.go_on.clear()
        with crew(place, url, workers=1) as holder:
            assert holder.stdout is not None
            [pid] = json.loads(holder.stdout.readline())["crew"]
            assert issuer.arrived.wait(60)
            issuer.arrived.clear()
            with crew(place, url, workers=4) as others:
                os.kill(pid, signal.SIGKILL)
                assert issuer.arrived.wait(60)  # one of them has come
                issuer.go_on.set()
                said, _ = others.communicate(timeout=LONGEST)
    told = [json.loads(line) for line in said.splitlines()]
    assert [2] * 4 == [each["generation"] for each in told if "crew" not in each]
    assert 2 == len(issuer.redemptions)
    explained(issuer, {pid})


def test_clocks_that_differ(place: Path) -> None:
    """A process whose clock is an hour ahead refreshes; those whose clock is right or behind use its token."""
    issuer = StrictIssuer()
    with serving(issuer) as url:
        refresh_crew.log_in(refresh_crew.store_at(place), url)
        said = outcomes(place, url, workers=12, clocks=[HOUR + 60, 0, -HOUR], times=3)
    assert 1 == len(issuer.redemptions)
    assert [] == [told for told in said if "error" in told]
    assert {1, 2} >= {told["generation"] for told in said if "generation" in told}


def test_a_thread_beside_the_storm(place: Path) -> None:
    """Threads of one process and forked processes exclude each other, too."""
    issuer = StrictIssuer()
    with serving(issuer) as url:
        store = refresh_crew.store_at(place)
        refresh_crew.log_in(store, url)
        tokens: list[int] = []

        def insist() -> None:
            exchange = refresh_crew.exchange_with(url)
            tokens.extend(current(store, exchange, deadline=Deadline(60), insist=True).generation for _ in range(10))

        threads = [threading.Thread(target=insist) for _ in range(4)]
        for thread in threads:
            thread.start()
        said = outcomes(place, url, workers=4, times=10, insist=True)
        for thread in threads:
            thread.join()
    assert 40 == len(tokens)
    assert [] == [told for told in said if "error" in told]
    assert all(len(redemptions) == 1 for redemptions in issuer.by_token().values())
