"""
Whether kernel locks mean anything where the state is.

On NFS, CIFS and similar they may silently mean nothing; state is refused there. Where the
type of the file system does not decide, a child process tries to break a lock.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mcpvault.errors import PermissionsError

REFUSED = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre"})
DOUBTFUL = frozenset({"overlay", "9p", "virtiofs"})
MARKER = "locks-tested"
_CHILD = (
    "import fcntl, sys\n"
    "try: fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    "except BlockingIOError: sys.exit(7)\n"
)


def type_of(path: Path) -> str:
    """Return the type of the file system that *path* is on, or the empty string where it cannot be told."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
    return type_in(mounts, path)


def type_in(mounts: str, path: Path) -> str:
    """Return the type of the file system that *path* is on, by the text of ``/proc/self/mountinfo``."""
    real, best, found = os.path.realpath(path), "", ""
    for line in mounts.split("\n"):
        left, _, right = line.partition(" - ")
        if not right:
            continue
        # "unusual characters" of a mount point stand there in octal -- proc_pid_mountinfo(5)
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), left.split(" ")[4])
        covers = real == point or real.startswith(point.rstrip("/") + "/")
        if covers and len(point) >= len(best):
            best, found = point, right.split(" ")[0]
    return found


def check_locks(folder: Path) -> None:
    """
    Refuse a folder where kernel locks cannot be relied on.

    A test that was passed leaves a marker, so that it is made once for a folder and a mount.

    Raises:
        PermissionsError: Its file system is refused, or a child process got a lock that we hold.
    """
    kind = type_of(folder)
    if kind in REFUSED:
        raise PermissionsError(
            f"{folder}: is on {kind}, where locks of several hosts do not exclude each other",
            hint="set MCPVAULT_STATE_DIR to a folder on a local disk",
        )
    if not (kind in DOUBTFUL or kind.startswith("fuse")):
        return
    marker, passed = folder / MARKER, f"{kind} {folder.stat().st_dev}\n"
    try:
        if marker.read_text("utf-8") == passed:
            return
    except (OSError, UnicodeDecodeError):
        pass
    if not lock_excludes(folder):
        raise PermissionsError(
            f"{folder}: a lock on this file system ({kind}) does not keep another process out",
            hint="set MCPVAULT_STATE_DIR to a folder on a local disk",
        )
    try:
        marker.write_text(passed, "utf-8")
    except OSError:
        pass  # the test is made again next time


def lock_excludes(folder: Path) -> bool:
    """Tell whether a lock that we hold in *folder* keeps a child process out."""
    import subprocess
    import sys

    from mcpvault.state.locking import locked

    probe = folder / "probe.lock"
    try:
        with locked(probe, timeout=1) as held:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _CHILD, str(probe)], capture_output=True, check=False, timeout=60,
                env={"PATH": os.defpath},
            )  # fmt: skip
    except (OSError, NotImplementedError, subprocess.TimeoutExpired):
        return False
    return held and done.returncode == 7
