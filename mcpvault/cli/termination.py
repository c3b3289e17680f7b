"""
SIGTERM and SIGHUP end a run in order, as Ctrl-C does.

What was asked for is cancelled at the server, child processes end, temporary files go; then the process dies by the
signal, so that whoever sent it sees what it expects. A second one ends it at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn


class Terminated(BaseException):
    """The process was told to end; like ``KeyboardInterrupt``, but not for a prompt or a shell to go on after."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def in_order(act: Callable[[], int]) -> int:
    """Return what *act* returns; a signal that would have ended the process on the spot unwinds it first."""
    if threading.current_thread() is not threading.main_thread():
        return act()
    told = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # One that is ignored stays so (nohup), and so does a handler of whoever has called us.
    held = [number for number in told if signal.getsignal(number) is signal.SIG_DFL]
    for number in held:
        signal.signal(number, _unwind)
    try:
        return act()
    except Terminated as ended:
        number = ended.number
    finally:
        for each in held:
            signal.signal(each, signal.SIG_DFL)
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        print(f"mcpvault: ended by {signal.Signals(number).name}", file=sys.stderr, flush=True)
    os.kill(os.getpid(), number)
    return 128 + number


def _unwind(number: int, _: object) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    raise Terminated(number)
