"""Another process that holds a lock, a full disk, and a user who is not root."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
HOLDER = """
import sys
from pathlib import Path
from mcpvault.state.files import StateDirectory
with StateDirectory(Path(sys.argv[1])).lock(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def not_root() -> Iterator[None]:
    """Be somebody to whom the system refuses things; root is let in everywhere."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow above *size* bytes, as on a full disk."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def held_elsewhere(folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have another process hold the lock *name* of the state in *folder* for the time of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()
        yield holder
        assert holder.stdin is not None
        holder.stdin.close()
