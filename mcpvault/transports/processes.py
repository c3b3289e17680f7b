"""
A program in a process group of its own: how it is started, whether it has ended, how the whole group is ended.

Leaves its pipes to ``pipes``.

Spec: MCP "stdio" transport; S5, S10.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from mcpvault.errors import ConfigurationError
from mcpvault.secret import Secret
from mcpvault.transports.environment import child_environment

_SHORTEST, _LONGEST = 0.0005, 0.05  # seconds between two looks at whether it has ended
_AT_LAST = 5.0  # seconds for a process that was killed to end
_CAN_LOOK = hasattr(os, "waitid")  # macOS has it from Python 3.13 on


def start(
    command: Sequence[str], *, env: Mapping[str, str], given: Mapping[str, Secret], cwd: str | None, server: str
) -> subprocess.Popen[bytes] | ConfigurationError:
    """
    Start a program with three pipes, in a process group of its own.

    Args:
        command: Program and arguments; no shell.
        env: Our environment, of which it gets the little that every child gets.
        given: The variables that are its own.
        cwd: The folder it starts in, or None for ours.
        server: The entry's name, for messages.

    Returns:
        The process, or the error to raise: this frame holds the environment, and must not be on a traceback.
    """
    if os.name != "posix":
        return ConfigurationError(f"{server}: stdio servers need a POSIX system", server=server)
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(env, given),
            cwd=cwd,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        problem = (error.strerror or "refused").lower()
    except ValueError:
        problem = "its command or environment holds a null character"
    return ConfigurationError(
        f"{server}: {command[0]!r} cannot be started: {problem}",
        hint="is it installed, and on the PATH of this run?",
        server=server,
    )


class ProcessGroup:
    """
    A process that leads a group, and whoever else is in it.

    It is looked at, and waited for only at the end: until then its id, which is the group's too, is nobody else's.
    """

    def __init__(self, leader: subprocess.Popen[bytes]) -> None:
        self.id = leader.pid
        self._leader = leader

    def status(self) -> int | None:
        """Return how the leader ended, as ``subprocess`` has it, or None while it runs."""
        if self._leader.returncode is not None or not _CAN_LOOK:
            return self._leader.poll()
        try:
            told = os.waitid(os.P_PID, self.id, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # somebody else has waited for it
            return self._leader.poll()
        if told is None:
            return None
        return told.si_status if told.si_code == os.CLD_EXITED else -told.si_status

    def ends_within(self, seconds: float, meanwhile: Callable[[float], object] = time.sleep) -> bool:
        """Tell whether the leader ends in so many seconds; *meanwhile* lets a part pass, and tells if anything came."""
        ends, pause = time.monotonic() + seconds, _SHORTEST
        while self.status() is None:
            left = ends - time.monotonic()
            if left <= 0:
                return False
            pause = _SHORTEST if meanwhile(min(pause, left)) else min(2 * pause, _LONGEST)
        return True

    def end(self, patience: float, meanwhile: Callable[[float], object]) -> None:
        """Give the leader *patience* seconds to end, again so many after SIGTERM, then kill whoever is left."""
        if not self.ends_within(patience, meanwhile):
            self._signal(signal.SIGTERM)
            self.ends_within(patience, meanwhile)
        self._signal(signal.SIGKILL)
        if self.ends_within(_AT_LAST):  # else it is the system that holds it
            self._leader.wait()

    def leave(self) -> None:
        """Let go of a process that is our parent's child: else it is waited for when it is forgotten."""
        self._leader.returncode = 0

    def _signal(self, number: int) -> None:
        # Once it has been waited for, the id may be of a group that is not ours.
        if self._leader.returncode is None or not _CAN_LOOK:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.id, number)
