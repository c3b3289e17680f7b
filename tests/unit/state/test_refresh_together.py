"""Threads, forks and Ctrl-C: one refresh in flight, and nothing left locked or half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from token_samples import LIFE, House, access

from mcpvault.errors import AuthorizationRequiredError
from mcpvault.state.files import StateDirectory
from mcpvault.state.tokens import peek

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.mark.parametrize("shared", [True, False], ids=["one object", "many objects"])
def test_threads_share_one_refresh(house: House, shared: bool) -> None:
    """Sixteen threads that find the token expired redeem it once, and all have the new one."""
    house.clock.move(LIFE + 1)
    everybody = threading.Barrier(16)

    def ask(_: int) -> str:
        store = house.store if shared else house.again()
        everybody.wait(30)
        return access(house.current(store=store))

    with ThreadPoolExecutor(16) as pool:
        tokens = list(pool.map(ask, range(16)))
    assert ["access-0002-token"] * 16 == tokens
    assert {"refresh-0001-token": 1} == house.server.redeemed


def test_threads_share_the_rejection(house: House) -> None:
    """Sixteen threads that were refused the same token cause one refresh."""
    with ThreadPoolExecutor(16) as pool:
        tokens = list(pool.map(lambda _: access(house.current(rejected=1)), range(16)))
    assert ["access-0002-token"] * 16 == tokens
    assert 1 == house.server.asked


def test_a_child_of_a_refreshing_process(house: House) -> None:
    """Forked in the middle of another thread's refresh, a child waits for its end like anybody else."""
    house.clock.move(LIFE + 1)
    begun, go_on = threading.Event(), threading.Event()
    house.server.script = [lambda: (begun.set(), go_on.wait(60))]
    thread = threading.Thread(target=house.current)
    thread.start()
    assert begun.wait(30)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with house.store.attempt() as had:
                os.write(writer, b"busy" if not had else b"free")
            code = 0 if access(house.current()) == "access-0002-token" and house.server.asked == 1 else 2
        finally:
            os._exit(code)
    os.close(writer)
    assert b"busy" == os.read(reader, 4)
    os.close(reader)
    go_on.set()
    thread.join(30)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_does_not_keep_its_parents_lock(house: House) -> None:
    """A child that was forked during a refresh, and lives on, keeps nobody out."""
    house.clock.move(LIFE + 1)
    children = []

    def fork() -> None:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)  # until the parent is done
            os._exit(0)
        os.close(reader)
        children.append((pid, writer))

    house.server.script = [fork]
    house.current()
    with house.again().attempt() as had:
        assert had
    [(pid, writer)] = children
    os.close(writer)
    os.waitpid(pid, 0)


def test_an_interrupt_leaves_a_clean_state(house: House) -> None:
    """Ctrl-C in the middle of a redemption: the lock is free and the record says that nobody knows the outcome."""
    house.clock.move(LIFE + 1)

    def interrupt() -> None:
        raise KeyboardInterrupt

    house.server.script = [interrupt]
    with pytest.raises(KeyboardInterrupt):
        house.current()
    record = house.record()
    assert ("ambiguous", "interrupted", 1) == (record.status, record.intent.ended, record.intent.attempts)
    with house.again().attempt() as had:
        assert had
    assert "access-0002-token" == access(house.current())


def test_an_interrupt_before_sending_changes_nothing(house: House) -> None:
    """Ctrl-C while the journal is written leaves the record as it was."""
    house.clock.move(LIFE + 1)
    before = house.record()
    write = house.store.write

    def interrupted(record: object) -> None:
        house.store.write = write  # type: ignore[method-assign]
        write(record)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    house.store.write = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        house.current()
    assert (before, 0) == (house.record(), house.server.asked)


def test_a_bug_in_the_exchange_is_an_unknown_outcome(house: House) -> None:
    """What is no error of ours is raised as it is, after writing down that the token may be spent."""
    house.clock.move(LIFE + 1)
    house.server.script = [lambda: 1 // 0, lambda: 1 // 0]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            house.current()
    assert ("ambiguous", 2) == (house.record().status, house.record().intent.attempts)
    with pytest.raises(AuthorizationRequiredError, match="two answers in a row were lost"):
        house.current()


PROCESS = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from token_samples import House, LIFE
house = House(Path({place!r}))
house.clock.move(LIFE + 1)
house.server.script = [lambda: (print("redeeming", flush=True), time.sleep(60))]
house.current()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_ends_a_real_process(tmp_path: Path, number: signal.Signals) -> None:
    """Whatever the signal: the lock is free at once, and the record tells who redeemed what, and when."""
    place = tmp_path / "state"
    code = PROCESS.format(tests=str(Path(__file__).parent), place=str(place))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert b"redeeming\n" == process.stdout.readline()
        process.send_signal(number)
        process.wait(30)

    facts = peek(StateDirectory(place), "linear")
    assert facts is not None and facts.intent is not None
    assert process.pid == facts.intent.pid
    assert ("ambiguous" if number is signal.SIGINT else "refreshing") == facts.status
    with StateDirectory(place).lock("token-linear", timeout=0):
        pass
