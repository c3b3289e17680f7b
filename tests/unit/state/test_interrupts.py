"""Signals that wait for the end of a block."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from mcpvault.state.interrupts import interrupts_held

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX signals"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that this test's handler has heard; the handlers from before come back."""
    told: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, lambda number, _: told.append(number))
    yield told
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_wait_for_the_end_of_the_outermost_block(heard: list[int]) -> None:
    """Each is delivered once, in the order in which they came, to the handler of before."""
    with interrupts_held():
        with interrupts_held():
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
                signal.raise_signal(number)
        assert [] == heard
    assert [signal.SIGHUP, signal.SIGTERM] == heard
    signal.raise_signal(signal.SIGTERM)
    assert [signal.SIGHUP, signal.SIGTERM, signal.SIGTERM] == heard


def test_a_signal_that_raises_stops_no_other(heard: list[int]) -> None:
    """Ctrl-C and SIGTERM at once: the interrupt is raised, and the other is heard."""
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert [signal.SIGTERM] == heard


def test_an_error_in_the_block_gives_the_handlers_back(heard: list[int]) -> None:
    """They are as before, and what came meanwhile is delivered."""
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), interrupts_held():
        signal.raise_signal(signal.SIGTERM)
        _ = 1 // 0
    assert (handler, [signal.SIGTERM]) == (signal.getsignal(signal.SIGTERM), heard)


def test_a_signal_that_is_ignored_stays_so() -> None:
    """``nohup`` means what it says."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts_held():
            assert signal.SIG_IGN is signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_child_that_another_thread_forks_holds_nothing(heard: list[int]) -> None:
    """In it the block never ends, so that it would not hear SIGTERM any more."""
    codes = []

    def fork() -> None:
        if (pid := os.fork()) == 0:
            signal.raise_signal(signal.SIGTERM)
            os._exit(7 if heard == [signal.SIGTERM] else 1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    with interrupts_held():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert ([7], []) == (codes, heard)
