"""
How files of ours are opened, and an open one is locked: what some systems lack.

Flags for ``os.open`` are 0 there. None says that a descriptor is not for children: none of Python's is (PEP 446).
"""

from __future__ import annotations

import os
import time
from typing import Final

try:
    import fcntl
except ImportError:  # Windows
    HAS_FLOCK = False
else:
    HAS_FLOCK = True

AS_IS: Final[int] = getattr(os, "O_BINARY", 0)  # without it Windows turns LF into CRLF
NO_LINK: Final[int] = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)  # for a FIFO that somebody put in the place of a file
_LONGEST_PAUSE = 0.05  # seconds between two looks


def wait_for(descriptor: int, ends: float) -> bool:
    """Lock an open file, waiting until *ends* (``time.monotonic``); tell whether it was had. Raises ``OSError``."""
    pause = 0.001
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            pass
        left = ends - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)
