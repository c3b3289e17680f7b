"""
Storms with everything in between, while the processes are stopped, killed, cut off, moved in time, or out of disk.

In each of them: no token is redeemed again after its answer was seen, none goes where it does not belong, the state
can be read at every moment, and the log says what happened to whom. The servers forgive nothing, unless they are told
to. The same for the protocol of the state alone is in ``test_refresh_storm``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from threat_house import victim_in
from troubled_house import Site, Told, Troubled, errors, sessions

from mcpvault.errors import AuthorizationRequiredError
from mcpvault.http.policy import Timeouts
from mcpvault.state.flight import PATIENCE
from mcpvault.state.redemption import SECONDS
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

HOUR, DAY = 3600, 86400
PAGE = 4096  # bytes
LONGEST_STOP = 65  # seconds
Build = Callable[..., Troubled]


@pytest.fixture
def build(home: Path) -> Iterator[Build]:
    """Build a house with the entries ``x`` and ``y``: ``build(grace=…)``; what is named is the issuers' policy."""
    with ExitStack() as stack:

        def made(env: dict[str, str] | None = None, **policy: object) -> Troubled:
            sites = {}
            for name in ("x", "y"):
                issuer = stack.enter_context(FakeAuthorizationServer(**{"reuse": "revoke", "grace": 0.0, **policy}))
                sites[name] = Site(issuer, stack.enter_context(FakeMcpServer(authorization_server=issuer)))
            return Troubled(stack.enter_context(victim_in(home, env)), sites)

        yield made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for 64 pages."""
    place = tmp_path / "disk"
    place.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={64 * PAGE},mode=700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("to mount a small disk one must be root, and allowed to")
    yield place
    subprocess.run(["umount", str(place)], check=True)


NAMED = [("wait", 2), ("fsync", 2), ("replace", 3)]  # it is written down who redeems
REDEEMING = [("open", 1), *NAMED]
EVERYWHERE = [("*", nth) for nth in range(1, 23)]


@pytest.mark.parametrize("steps", [REDEEMING, pytest.param(EVERYWHERE, marks=pytest.mark.storm)], ids=["some", "all"])
def test_a_holder_is_stopped_beyond_every_timeout(build: Build, steps: list[tuple[str, int]]) -> None:
    """
    SIGSTOP before, in and after a redemption: the others give up and name it, and when it goes on nothing is lost.

    It finds all its time over: its clocks are two minutes ahead then.
    """
    house = build()
    issuer, said = house.sites["x"].issuer, []
    with house.crew() as first, house.crew() as others:
        for step in steps:
            house.set_clocks()
            house.expire()
            before = issuer.redemptions
            first.begin(workers=1, servers=["x"], stop_at=step)
            *_, stopped = first.said(until="stopped")
            pid = stopped["stopped"]
            meanwhile = others.shift(workers=2, servers=["x"], timeout=0.2)
            house.set_clocks(120, 120)
            os.kill(pid, signal.SIGCONT)
            held = [*first.said()]
            house.set_clocks(200, 200)  # a request that was sent by half only counts as trouble for half a minute
            after = others.shift(workers=2, servers=["x"])

            assert {"busy", "deadline_exceeded"} >= {told["error"] for told in errors(meanwhile)}, step
            if step in NAMED:
                assert [("busy", True)] * 2 == [(e["error"], f"(pid {pid})" in e["message"]) for e in errors(meanwhile)]
                assert "refreshed: generation" in house.story(pid)
            assert {"deadline_exceeded"} >= {told["error"] for told in errors(held)}
            assert 2 == len(sessions(after)), (step, after)
            assert 1 == issuer.redemptions - before
            said += [*meanwhile, *held, *after]
    assert (0, 0) == (issuer.reuse_detected, issuer.families_revoked)
    house.judge(said)


@pytest.mark.storm
def test_a_holder_is_stopped_for_longer_than_anybody_waits(build: Build) -> None:
    """
    The same by the wall's clock: 65 s of SIGSTOP, while others wait for as long as they ever do, give up and name it.

    Nothing of a refresh lasts that long: 20 s are for a redemption, 60 s for an answer, for waiting for another process
    and for the lock. What the server has answered is read when the holder goes on, and nobody redeems again.
    """
    house = build()
    issuer, meanwhile = house.sites["x"].issuer, list[Told]()
    assert LONGEST_STOP > max(PATIENCE, SECONDS, Timeouts().read)
    with house.crew() as first, house.crew() as others:
        house.expire()
        first.begin(workers=1, servers=["x"], stop_at=("wait", 2))
        *_, stopped = first.said(until="stopped")
        pid, ends = stopped["stopped"], time.monotonic() + LONGEST_STOP
        shifts = 0
        while (left := ends - time.monotonic()) > 0:
            meanwhile += others.shift(workers=4, servers=["x"], timeout=max(left, 0.2))  # by their clocks, not by ours
            shifts += 1
        assert 1 == issuer.redemptions
        os.kill(pid, signal.SIGCONT)
        held = [*first.said()]
        after = others.shift(workers=4, servers=["x"])

    assert [("busy", True)] * 4 * shifts == [(e["error"], f"(pid {pid})" in e["message"]) for e in errors(meanwhile)]
    assert ["deadline_exceeded"] == [told["error"] for told in errors(held)]
    assert "refreshed: generation" in house.story(pid)
    assert (4, 0) == (len(sessions(after)), len(sessions(meanwhile)))
    assert (1, 0, 0) == (issuer.redemptions, issuer.reuse_detected, issuer.families_revoked)
    house.judge([*meanwhile, *held, *after])


@pytest.mark.parametrize("times", [10, pytest.param(200, marks=pytest.mark.storm)])
def test_the_clock_is_moved(build: Build, times: int) -> None:
    """Hours and days forwards and backwards under running scripts: no call fails, and no token is redeemed twice."""
    house = build(access_lifetime=5)  # by the servers' clock, which is right
    moves = [2 * HOUR, -HOUR, 40 * DAY, 5, 80 * DAY, -3 * DAY, 120 * DAY, 0]
    with house.crew() as crew:
        said = crew.shift(workers=6, servers=["x", "y"], times=times, moves=moves)
    assert [] == errors(said)
    assert 6 * 2 * times == len(sessions(said))
    for name, (issuer, _) in house.sites.items():
        assert 4 <= issuer.redemptions == len(house.refreshes(name))
        assert 0 == issuer.reuse_detected
    house.judge(said)


@pytest.mark.parametrize("grace", [0, pytest.param(60, marks=pytest.mark.storm)], ids=["strict", "forgiving"])
def test_the_disk_is_full_at_each_write(build: Build, grace: float) -> None:
    """
    Whatever write finds no room, from there on, it is told and nothing that was there is lost.

    A server that forgives costs nobody anything; without, the one answer that could not be kept costs a login, which
    names the process.
    """
    house = build(grace=grace)
    issuer, said, costly, at, full = house.sites["x"].issuer, list[Told](), list[str](), 0, True
    with house.crew() as crew:
        while full:
            house.expire()
            before = issuer.redemptions
            troubled = crew.shift(workers=1, servers=["x"], full_at=at)
            full = [told for told in troubled if "full" in told]
            for told in errors(troubled):
                assert ("permissions", True) == (told["error"], "No space left on device" in told["message"])
            try:
                assert 6 == len(house.victim.session().list_tools())
            except AuthorizationRequiredError as error:
                assert 1 == issuer.redemptions - before
                assert "(invalid_grant)" in error.message
                assert f"(pid {full[0]['pid']})" in error.message
                assert "the answer is not kept" in house.story(full[0]["pid"])
                costly.append(full[0]["full"])
                house.victim.log_in()
            said += troubled
            at += 1
    assert 12 < at
    assert ([] if grace else ["write", "fsync"]) == costly
    assert len(costly) == issuer.families_revoked
    house.judge(said)


def fill(ballast: Path, pages: int) -> None:
    """Fill the disk of *ballast* but for so many pages."""
    with ballast.open("wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(PAGE)):
                pass
        file.truncate(file.tell() - pages * PAGE)


def test_a_real_disk_is_full(small_disk: Path, build: Build) -> None:
    """
    However few pages are free, a refresh has room to its end, or fails before anything is sent: no grant is lost.

    Not even where somebody keeps the old file open, so that the journal in its place sets no page free.
    """
    house = build({"MCPVAULT_STATE_DIR": str(small_disk)})
    issuer, ballast, said, sent = house.sites["x"].issuer, small_disk / "ballast", list[Told](), list[int]()
    [record] = small_disk.glob("*/token-x.toml")
    with house.crew() as crew:
        for pages in range(11):
            house.expire()
            before = issuer.redemptions
            fill(ballast, pages)
            with record.open("rb"):
                told = crew.shift(workers=1, servers=["x"])
            ballast.unlink()
            sent.append(issuer.redemptions - before)
            assert sent[-1] == len(sessions(told)), pages
            assert sent[-1] or "No space left on device" in errors(told)[0]["message"]
            again = crew.shift(workers=1, servers=["x"])
            assert (1, 1) == (len(sessions(again)), issuer.redemptions - before), pages
            said += [*told, *again]
    assert (0, 1) == (sent[0], sent[-1])
    assert sent == sorted(sent)
    assert (0, 0) == (issuer.reuse_detected, issuer.families_revoked)
    house.judge(said)


@pytest.mark.parametrize("crowd, rounds", [(4, 6), pytest.param(32, 6, marks=pytest.mark.storm)], ids=["some", "many"])
@pytest.mark.parametrize("grace", [60, 0], ids=["forgiving", "strict"])
def test_a_fifth_of_the_answers_is_lost(build: Build, grace: float, crowd: int, rounds: int) -> None:
    """
    Each fifth answer is lost after the server has rotated: where that forgives every process gets its session.

    Without grace each loss costs a login, which says what was lost, and never a third redemption.
    """
    house = build(grace=grace)
    issuers, said = [site.issuer for site in house.sites.values()], list[Told]()
    for issuer in issuers:
        issuer.misbehave("close-before-answer", on="refresh_token", carried_out=True, one_in=5)
    with house.crew() as crew:
        for _ in range(rounds):
            for name in house.sites:
                house.expire(name)
            said += crew.shift(workers=crowd, servers=["x", "y"], logs_in=True)

    lost = [len(issuer.called("refresh_token")) // 5 for issuer in issuers]
    assert rounds // 6 <= min(lost)
    assert sum(lost) == house.story().count("the answer to the refresh was lost")
    assert ([0, 0] if grace else lost) == [issuer.families_revoked for issuer in issuers]
    assert 2 * crowd * rounds == len(sessions(said)) + len(errors(said))
    if grace:
        assert [] == errors(said)
    for told in errors(said):
        assert ("authorization_required", True) == (told["error"], " lost" in told["message"])
    house.judge(said)


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=pytest.mark.storm)])
@pytest.mark.parametrize("grace", [60, 0], ids=["forgiving", "strict"])
def test_kill_9_every_50_ms(build: Build, grace: float, seconds: float) -> None:
    """Whoever comes after a killed one is served, or is told which of the killed ones it was."""
    house = build(grace=grace)
    with house.crew() as crew:
        told = {"renews": True, "logs_in": True, "kill_every": 0.05, "seconds": seconds, "uses": 20, "seed": seconds}
        said = crew.shift(workers=6, servers=["x", "y"], times=10**6, **told)
        killed = {each["killed"] for each in said if "killed" in each}
        for each in errors(said):
            assert "authorization_required" == each["error"], each
            assert any(f"(pid {pid})" in each["message"] for pid in killed), each
        after = crew.shift(workers=2, servers=["x", "y"], times=2, logs_in=True)
    assert 20 <= len(sessions(said)) + len(errors(said))
    assert len(sessions(after)) == 8 if grace else 4 <= len(sessions(after))
    house.judge([*said, *after])


@pytest.mark.storm
@pytest.mark.parametrize("seed", range(2))
def test_everything_at_once(build: Build, seed: int) -> None:
    """Kills, lost answers and moved clocks together, at servers that forgive: no grant is lost but by two in a row."""
    house = build(grace=60, access_lifetime=5)
    for issuer, _ in house.sites.values():
        issuer.misbehave("close-before-answer", on="refresh_token", carried_out=True, one_in=5)
    told = {"renews": True, "logs_in": True, "kill_every": 0.05, "seconds": 30, "uses": 200, "seed": seed}
    with house.crew() as crew:
        said = crew.shift(workers=12, servers=["x", "y"], times=10**6, moves=[HOUR, -HOUR, DAY, 0], **told)
    for each in errors(said):
        assert ("authorization_required", True) == (each["error"], "two answers in a row were lost" in each["message"])
    assert [0, 0] == [issuer.families_revoked for issuer, _ in house.sites.values()]
    house.judge(said)
