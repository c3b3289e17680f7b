"""
A child process and its three pipes, without threads: everything waits in one selector.

Decides framing by line, limits, and how a child is ended. Leaves what the lines mean to ``stdio``.

Spec: MCP "stdio" transport; S1, S2, S5, S12.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, NoReturn

from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError, ConnectFailedError, McpVaultError, MessageTooLargeError
from mcpvault.quoting import quote
from mcpvault.secret import Secret, redact
from mcpvault.transports.environment import child_environment

_CHUNK = 64 * 1024  # bytes
_STDERR_KEPT = 32 * 1024  # bytes
_STDERR_SHOWN = 8 * 1024  # characters
_PATIENCE = 2.0  # seconds for each step of ending a child
_GLANCE = 0.25  # seconds between two looks at whether a silent child still lives
_MOMENT = 0.1  # seconds for a child that has closed its stdout to end


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


class Child:
    """
    A running server.

    Args:
        process: From ``start``.
        server: The entry's name, for messages.
        largest: The most bytes of one line.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, server: str, largest: int) -> None:
        self._process = process
        self._server = server
        self._largest = largest
        self._buffer = bytearray()
        self._searched = 0
        self._refused = False  # a line was too long, and its end has not come yet
        self._stderr = bytearray()
        self._open = {"out", "err"}
        self.torn = False  # a message was begun and not written to its end: nothing after it would be understood
        self._closing = False
        self._reading = threading.Lock()  # the selector, and the buffers of stdout and stderr
        self._writing = threading.Lock()  # one message after the other
        self._selector = selectors.DefaultSelector()
        for name, pipe in self._pipes():
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, name)
        assert self._process.stdin is not None  # noqa: S101
        os.set_blocking(self._process.stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """The child's process id, which is also its process group's."""
        return self._process.pid

    @property
    def stderr_tail(self) -> str:
        """The last that it wrote to stderr, live secrets masked."""
        # Cut after it is redacted: half a secret at the edge would not be known again.
        return redact(bytes(self._stderr).decode("utf-8", "replace"))[-_STDERR_SHOWN:]

    def alive(self) -> bool:
        """Tell whether it still runs."""
        return not self._closing and self._process.poll() is None

    def ended(self) -> str:
        """Return how it ended, for messages."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_MOMENT)
        code = self._process.poll()
        how = "has closed its stdout" if code is None else f"ended with status {code}"
        with self._reading:
            if not self._closing:
                self._read_what_is_there()
        tail = self.stderr_tail.strip().splitlines()
        said = f"; it said last: {quote(tail[-1])!r}" if tail else ""
        return f"the server process {how}{said}"

    def send(self, line: bytes, deadline: Deadline) -> bool:
        """
        Write one line, reading stdout and stderr meanwhile; False if the child is gone.

        Raises:
            DeadlineExceededError: The child does not read.
        """
        what = f"{self._server}: writing to the server process"
        if not self._writing.acquire(timeout=min(deadline.remaining(), threading.TIMEOUT_MAX)):
            deadline.check(what, server=self._server)
            return False
        try:
            pipe = self._process.stdin
            if pipe is None or pipe.closed or self.torn:
                return False
            view = memoryview(line + b"\n")
            self.torn = True
            while view:
                try:
                    view = view[os.write(pipe.fileno(), view) :]
                except BlockingIOError:
                    self._until_writable(pipe, deadline, what)
                except (OSError, ValueError):
                    return False
            self.torn = False
            return True
        finally:
            self._writing.release()

    def _until_writable(self, pipe: IO[bytes], deadline: Deadline, what: str) -> None:
        """Wait until the child reads. What it says must be read meanwhile: by us, unless another thread does."""
        if not self._reading.acquire(blocking=False):
            deadline.check(what, server=self._server)
            with selectors.DefaultSelector() as selector:
                selector.register(pipe, selectors.EVENT_WRITE)
                selector.select(min(deadline.remaining(), _GLANCE))
            return
        try:
            self._selector.register(pipe, selectors.EVENT_WRITE, "in")
            try:
                self._wait(deadline, what)
            finally:
                self._selector.unregister(pipe)
        finally:
            self._reading.release()

    def line(self, deadline: Deadline, what: str) -> bytes | None:
        """
        Return the next line of stdout without its line feed, or None when the child has closed it.

        One thread at a time.

        Raises:
            DeadlineExceededError: Nothing came in time.
            MessageTooLargeError: The line is longer than the limit.
        """
        while True:
            with self._reading:
                if self._closing:
                    return None
                # Only LF ends a message: U+2028 and the like may stand inside JSON strings.
                end = self._buffer.find(b"\n", self._searched)
                if end >= 0:
                    line = bytes(memoryview(self._buffer)[:end])
                    del self._buffer[: end + 1]
                    self._searched = 0
                    return line
                self._searched = len(self._buffer)
                if self._searched > self._largest:
                    self._refuse()
                if "out" not in self._open:
                    return None
                self._wait(deadline, what)

    def _wait(self, deadline: Deadline, what: str) -> None:
        deadline.check(what, server=self._server)
        # Grandchildren may hold the pipes open: the exit is looked for too, not only their end.
        ready = self._selector.select(min(deadline.remaining(), _GLANCE))
        for key, _ in ready:
            if key.data != "in":
                self._read(key.data, key.fd)
        if not ready and self._process.poll() is not None and not self._read_what_is_there():
            for name, pipe in self._pipes():
                self._forget(name, pipe.fileno())
        # A child that talks while it does not read: what it says is kept, within reason.
        if len(self._buffer) > 2 * self._largest:
            self._refuse()

    def _pipes(self) -> list[tuple[str, IO[bytes]]]:
        pipes = (("out", self._process.stdout), ("err", self._process.stderr))
        return [(name, pipe) for name, pipe in pipes if pipe is not None and name in self._open]

    def _read_what_is_there(self) -> bool:
        read = [self._read(name, pipe.fileno()) for name, pipe in self._pipes()]
        return any(read)

    def _refuse(self) -> NoReturn:
        self._buffer.clear()
        self._searched = 0
        self._refused = True
        raise MessageTooLargeError(
            f"{self._server}: the server sent a line longer than {self._largest} bytes",
            hint="ask for less, or raise max_message of this server",
            server=self._server,
        )

    def _read(self, name: str, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._forget(name, descriptor)
        elif name == "out":
            self._buffer += self._wanted(data)
        else:
            self._stderr += data
            del self._stderr[:-_STDERR_KEPT]
        return bool(data)

    def _wanted(self, data: bytes) -> bytes:
        """Return *data* without the rest of a line that was refused."""
        if self._refused:
            _, end, data = data.partition(b"\n")
            self._refused = not end
        return data

    def _forget(self, name: str, descriptor: int) -> None:
        self._open.discard(name)
        self._selector.unregister(descriptor)

    def leave(self) -> None:
        """Let go of a process that is our parent's child: neither wait for it nor end it, nor hold its pipes open."""
        self._closing = True
        self._process.returncode = 0  # else it is waited for when it is forgotten
        self._shut()

    def close(self, patience: float | None = None) -> None:
        """End it as the specification says: close stdin, wait, SIGTERM, wait, SIGKILL; the whole group."""
        if self._closing:
            return
        self._closing = True
        with self._reading:
            self._end(_PATIENCE if patience is None else patience)

    def _end(self, patience: float) -> None:
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        if not self._drained(patience):
            self._signal(signal.SIGTERM)
            self._drained(patience)
        self._signal(signal.SIGKILL)  # whoever is left of the group
        process.wait()
        self._shut()

    def _shut(self) -> None:
        self._selector.close()
        for pipe in filter(None, (self._process.stdin, self._process.stdout, self._process.stderr)):
            pipe.close()

    def _drained(self, seconds: float) -> bool:
        """Wait for the exit, not for the end of the pipes, and keep those empty meanwhile."""
        ends = time.monotonic() + seconds
        while self._process.poll() is None:
            left = ends - time.monotonic()
            if left <= 0:
                return False
            if self._open:
                for key, _ in self._selector.select(min(left, 0.02)):
                    self._read(key.data, key.fd)
                self._buffer.clear()
                self._searched = 0
            else:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(left)
        return True

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def gone(child: Child, server: str) -> McpVaultError:
    """Return the error for a child that ended before it was asked anything that matters."""
    return ConnectFailedError(f"{server}: {child.ended()}", hint="run its command by hand to see why", server=server)
