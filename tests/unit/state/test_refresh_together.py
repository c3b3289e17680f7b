"""Threads, forks and Ctrl-C: one refresh in flight, and nothing left locked or half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from token_samples import LIFE, House, access

from mcpvault.errors import AuthorizationRequiredError, ConnectFailedError, RequestLostError
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
    """One that is raised in the middle all the same: the lock is free and the record says that nobody knows more."""
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


def test_an_interrupt_waits_for_the_answer(house: House) -> None:
    """Ctrl-C in the middle of a redemption: the answer is kept and read, and only then the interrupt is raised."""
    house.clock.move(LIFE + 1)
    house.server.script = [lambda: os.kill(os.getpid(), signal.SIGINT)]
    with pytest.raises(KeyboardInterrupt):
        house.current()
    record = house.record()
    assert ("ok", 2, None, None) == (record.status, record.generation, record.intent, record.answer)
    assert signal.default_int_handler is signal.getsignal(signal.SIGINT)
    assert {"refresh-0001-token": 1} == house.server.redeemed


def test_an_interrupt_without_a_connection_counts_no_attempt(house: House) -> None:
    """What provably sent nothing leaves no journal; two of these in a row do not end a grant."""
    house.clock.move(LIFE + 1)

    def unreachable() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise ConnectFailedError("https://as.example: refused")

    house.server.script = [unreachable] * 3
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            house.current()
        assert ("ok", None) == (house.record().status, house.record().intent)
        house.clock.move(300)
    assert 2 == house.current().generation


def test_an_interrupt_does_not_wait_for_the_second_redemption(house: House) -> None:
    """Between a lost answer and the next try is time to go; the record says what was lost."""
    house.server.grace = True
    house.clock.move(LIFE + 1)

    def lost() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise RequestLostError("https://as.example: reset")

    house.server.script = [lost]
    with pytest.raises(KeyboardInterrupt):
        house.current()
    record = house.record()
    assert ("ambiguous", "request_lost", 1) == (record.status, record.intent.ended, record.intent.attempts)
    assert 1 == house.server.asked
    assert 2 == house.current().generation


PROCESS = """
import sys, threading
from pathlib import Path
sys.path.insert(0, {tests!r})
from token_samples import House, LIFE
house = House(Path({place!r}))
house.clock.move(LIFE + 1)
house.server.script = [lambda: (print("redeeming", flush=True), sys.stdin.readline())]
threading.Thread(target=threading.Event().wait, daemon=True).start()  # to which the system may give the signal
house.current()
print("never", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_a_real_process_after_its_answer(tmp_path: Path, number: signal.Signals) -> None:
    """It ends by the signal as it always would have, once the new tokens are on disk; the lock is free."""
    place = tmp_path / "state"
    with redeeming(place) as process:
        process.send_signal(number)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"answer\n")
        process.stdin.close()
        assert b"" == process.stdout.read()
        assert -number == process.wait(30)

    facts = peek(StateDirectory(place), "linear")
    assert facts is not None
    assert ("ok", 2, None) == (facts.status, facts.generation, facts.intent)
    with StateDirectory(place).lock("token-linear", timeout=0):
        pass


def test_a_killed_process_is_told_of(tmp_path: Path) -> None:
    """``kill -9`` in a redemption: the lock is free at once, and the record tells who redeemed what, and when."""
    place = tmp_path / "state"
    with redeeming(place) as process:
        process.kill()
        process.wait(30)

    facts = peek(StateDirectory(place), "linear")
    assert facts is not None and facts.intent is not None
    assert (process.pid, "refreshing") == (facts.intent.pid, facts.status)
    with StateDirectory(place).lock("token-linear", timeout=0):
        pass


@contextmanager
def redeeming(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process whose redemption is answered when it is given a line."""
    code = PROCESS.format(tests=str(Path(__file__).parent), place=str(place))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:  # type: ignore[call-overload]
        try:
            assert b"redeeming\n" == process.stdout.readline()
            yield process
        finally:
            process.kill()
