"""
Signals that end a process wait until the answer to a refresh is kept: without it the grant may be lost.

Decides which signals, and where they go afterwards. How long that can take is ``redemption``'s.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_ENDING = [getattr(signal, name) for name in ("SIGHUP", "SIGTERM", "SIGINT") if hasattr(signal, name)]


@contextmanager
def interrupts_held() -> Iterator[None]:
    """
    Let SIGINT, SIGTERM and SIGHUP wait for the end of the block, and then do what they would have done.

    A signal mask would not do: where there are other threads the system gives the signal to one of them, and Python
    still interrupts the main one; and a program that is started meanwhile would inherit the mask. In other threads
    there is nothing to hold: no interrupt is raised there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    ours = {number: known for number, known in before.items() if known not in (None, signal.SIG_IGN)}
    arrived: dict[int, None] = {}
    owner = os.getpid()

    def hold(number: int, _: object) -> None:
        if os.getpid() == owner:
            arrived[number] = None
            return
        for each, known in ours.items():  # another thread has forked: nothing goes on in the child
            signal.signal(each, known)
        signal.raise_signal(number)

    def deliver() -> None:
        with ExitStack() as every:  # the first that raises stops no other
            for number in reversed(arrived):
                every.callback(signal.raise_signal, number)

    with ExitStack() as stack:
        stack.callback(deliver)
        for number, known in ours.items():
            stack.callback(signal.signal, number, known)
            signal.signal(number, hold)
        yield
