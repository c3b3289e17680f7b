"""
kill -9 at every step of a refresh: the next run knows what is known, and does the one sensible thing.

A forked child kills itself before the n-th call into the kernel that touches a file; n runs until a child survives.
The authorization server is a file, so that it outlives the child that has just redeemed a token there.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from state_samples import full_disk
from token_samples import LIFE, Clock, House, StrictServer, access, store_of

from mcpvault.deadline import Deadline
from mcpvault.errors import AuthorizationRequiredError, PermissionsError
from mcpvault.oauth.wire import Answer
from mcpvault.state.record import TokenRecord

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
STEPS = ("open", "write", "fsync", "replace", "rename", "unlink", "close", "fchmod")
KEPT = ("valid", "before", "serial", "revoked")


class FileServer(StrictServer):
    """The strict server, remembering in a file. ``builtins.open`` is no step at which a child dies."""

    file: Path

    def answer(self, record: TokenRecord, deadline: Deadline) -> Answer:
        """Redeem, and remember it before answering."""
        self.load()
        answer = super().answer(record, deadline)
        self.save()
        return answer

    def save(self) -> None:
        """Write everything down."""
        with open(self.file, "w") as file:
            json.dump({"redeemed": self.redeemed, **{name: getattr(self, name) for name in KEPT}}, file)

    def load(self) -> None:
        """Remember."""
        with open(self.file) as file:
            told = json.load(file)
        self.redeemed = Counter(told.pop("redeemed"))
        for name, value in told.items():
            setattr(self, name, value)


def furnished(place: Path, *, grace: bool) -> House:
    """Return a house whose token has expired."""
    place.mkdir()
    house = House(place / "state", Clock(), kind=FileServer)
    assert isinstance(house.server, FileServer)
    house.server.file, house.server.grace = place / "server.json", grace
    house.server.save()
    house.clock.move(LIFE + 1)
    return house


def dies_before(step: int, act: Callable[[], object]) -> int | None:
    """Run *act* in a child that is killed before its *step*-th file operation; return its pid, None if it survived."""
    pid = os.fork()
    if pid == 0:
        left = step

        def armed(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return call

        for name in STEPS:
            setattr(os, name, armed(getattr(os, name)))
        try:
            act()
        except Exception:
            pass
        finally:
            os._exit(0)
    return pid if os.WIFSIGNALED(os.waitpid(pid, 0)[1]) else None


def recovered(house: House) -> tuple[str, str]:
    """Run again as another process, after five minutes; return how that ended, and what it said."""
    house.clock.move(300)
    house.store = store_of(house.place)
    try:
        record = house.current()
    except AuthorizationRequiredError as error:
        return "login", error.message
    finally:
        house.server.load()
    assert access(record) == access(house.current())
    return "token", access(record)


@pytest.mark.parametrize("grace", [True, False], ids=["forgiving", "strict"])
def test_a_refresh_killed_at_any_step(tmp_path: Path, grace: bool) -> None:
    """
    The token is redeemed once where the answer or nothing had been written down, twice where nobody can know.

    A forgiving server leaves everybody logged in. A strict one costs the grant in exactly the steps between its
    answer and our write, and then the error names the process that was killed.
    """
    outcomes: Counter[str] = Counter()
    step, killed = 0, 1
    while killed is not None:
        house = furnished(tmp_path / str(step), grace=grace)
        killed = dies_before(step, house.current)
        house.server.load()
        redeemed = house.server.redeemed["refresh-0001-token"]
        record = house.record()
        known = record.generation == 2 or record.answer is not None
        end, said = recovered(house)

        if redeemed and not known:
            assert 2 == house.server.redeemed["refresh-0001-token"]
            assert ("token" if grace else "login") == end
            if not grace:
                assert re.search(rf"probably spent by .* \(pid {killed}\) on web01 at 2026-", said)
            outcomes["unknown"] += 1
        else:
            assert (1, "token", "access-0002-token") == (house.server.redeemed["refresh-0001-token"], end, said)
            outcomes["read" if record.answer else "kept" if redeemed else "not sent"] += 1
        step += 1
    assert {"unknown", "read", "kept", "not sent"} == outcomes.keys()


@pytest.mark.storm
@pytest.mark.parametrize("grace", [True, False], ids=["forgiving", "strict"])
def test_two_refreshes_killed_at_any_steps(tmp_path: Path, grace: bool) -> None:
    """Whatever two deaths in a row leave: a token, or a login that says why; and never a third redemption."""
    first, alive = 0, False
    while not alive:
        second, survived = 0, False
        while not survived:
            house = furnished(tmp_path / f"{first}-{second}", grace=grace)
            alive = dies_before(first, house.current) is None
            house.clock.move(60)
            house.store = store_of(house.place)
            survived = dies_before(second, house.current) is None
            end, said = recovered(house)
            times = house.server.redeemed["refresh-0001-token"]
            assert times <= 2
            assert end == "token" or "web01 at 2026-" in said
            second += 4
        first += 1


def test_a_full_disk_sends_nothing(tmp_path: Path) -> None:
    """Where the journal does not fit the token stays; with space again it is as if nothing had been."""
    house = furnished(tmp_path / "house", grace=False)
    before = house.record()
    with full_disk(1024), pytest.raises(PermissionsError, match="not written"):
        house.current()
    house.server.load()
    assert ({}, before) == (house.server.redeemed, house.record())
    assert "access-0002-token" == access(house.current())


def test_a_disk_that_took_the_journal_takes_the_answer(tmp_path: Path) -> None:
    """Whatever the size that files may have, the token is redeemed only where its successor can be written."""
    ends = Counter()
    for number, size in enumerate(range(2048, 40_000, 2048)):
        house = furnished(tmp_path / str(number), grace=False)
        try:
            with full_disk(size):
                house.current()
            ends["token"] += 1
        except PermissionsError:
            ends["full"] += 1
        house.server.load()
        assert house.record().generation - 1 == house.server.redeemed["refresh-0001-token"]
    assert {"token", "full"} == ends.keys()


def test_a_disk_that_fills_up_in_between(tmp_path: Path) -> None:
    """With the answer unwritten, the run fails and says so; the next one redeems once more, and says who did."""
    house = furnished(tmp_path / "house", grace=False)
    limited = full_disk(1024)
    house.server.script = [lambda: limited.__enter__()]
    try:
        with pytest.raises(PermissionsError, match="not written"):
            house.current()
    finally:
        limited.__exit__(None, None, None)
    assert ("refreshing", None) == (house.record().status, house.record().answer)
    end, said = recovered(house)
    assert "login" == end
    assert f"(pid {os.getpid()})" in said
