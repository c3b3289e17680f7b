"""
A child process and its three pipes: whoever waits for a message reads and writes for all who do.

Decides framing by line, and limits. Leaves what the lines mean to ``stdio``, stderr to ``stderr``, and how
processes start and end to ``processes``.

Spec: MCP "stdio" transport; S1, S5, S12.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import threading
import time
from typing import IO, NoReturn

from mcpvault.deadline import Deadline
from mcpvault.errors import ConnectFailedError, McpVaultError, MessageTooLargeError
from mcpvault.quoting import quote
from mcpvault.transports.processes import ProcessGroup
from mcpvault.transports.stderr import Stderr

_CHUNK = 64 * 1024  # bytes
_PATIENCE = 2.0  # seconds for each step of ending a child
_GLANCE = 0.25  # seconds between two looks at whether a silent child still lives
_MOMENT = 0.1  # seconds for a child that has closed its stdout to end


class Child:
    """
    A running server.

    Args:
        process: From ``start``.
        server: The entry's name, for messages.
        largest: The most bytes of one line.

    Attributes:
        stderr: What it writes there.
        torn: A message was begun and not written to its end: nothing after it would be understood.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, server: str, largest: int) -> None:
        self._process = process
        self._group = ProcessGroup(process)
        self._server = server
        self._largest = largest
        self._buffer = bytearray()
        self._searched = 0
        self._refused = False  # a line was too long, and its end has not come yet
        self._open = True  # stdout
        self.torn = False
        self._closing = False
        self._reading = threading.Lock()  # the selector, and the buffer of stdout
        self._writing = threading.Lock()  # one message after the other
        self._selector = selectors.DefaultSelector()
        assert process.stdin and process.stdout and process.stderr  # noqa: S101
        os.set_blocking(process.stdin.fileno(), False)
        self._stdout = process.stdout.fileno()
        os.set_blocking(self._stdout, False)
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self.stderr = Stderr(process.stderr, name=f"mcpvault stderr of {server}")

    @property
    def pid(self) -> int:
        """The child's process id, which is also its process group's."""
        return self._group.id

    def alive(self) -> bool:
        """Tell whether it still runs."""
        return not self._closing and self._group.status() is None

    def ended(self) -> str:
        """Return how it ended, for messages."""
        self._group.ends_within(_MOMENT)
        code = self._group.status()
        how = "has closed its stdout" if code is None else f"ended with status {code}"
        tail = self.stderr.tail.strip().splitlines()
        said = f"; it said last: {quote(tail[-1])!r}" if tail else ""
        return f"the server process {how}{said}"

    def send(self, line: bytes, deadline: Deadline) -> bool:
        """
        Write one line, reading stdout meanwhile; False if the child is gone.

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
                if self._closing:
                    return False
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
            self._selector.register(pipe, selectors.EVENT_WRITE)
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
                if not self._open:
                    return None
                self._wait(deadline, what)

    def _wait(self, deadline: Deadline, what: str) -> None:
        deadline.check(what, server=self._server)
        # Grandchildren may hold the pipe open: the exit is looked for too, not only its end.
        ready = self._selector.select(min(deadline.remaining(), _GLANCE))
        if any(key.fd == self._stdout for key, _ in ready):
            self._read()
        if not ready and self._open and self._group.status() is not None and not self._read():
            self._forget()
        # A child that talks while it does not read: what it says is kept, within reason.
        if len(self._buffer) > 2 * self._largest:
            self._refuse()

    def _refuse(self) -> NoReturn:
        self._buffer.clear()
        self._searched = 0
        self._refused = True
        raise MessageTooLargeError(
            f"{self._server}: the server sent a line longer than {self._largest} bytes",
            hint="ask for less, or raise max_message of this server",
            server=self._server,
        )

    def _read(self) -> bool:
        try:
            data = os.read(self._stdout, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._forget()
        self._buffer += self._wanted(data)
        return bool(data)

    def _wanted(self, data: bytes) -> bytes:
        """Return *data* without the rest of a line that was refused."""
        if self._refused:
            _, end, data = data.partition(b"\n")
            self._refused = not end
        return data

    def _forget(self) -> None:
        if self._open:
            self._open = False
            self._selector.unregister(self._stdout)

    def leave(self) -> None:
        """Let go of a process that is our parent's child: neither wait for it nor end it, nor hold its pipes open."""
        self._closing = True
        self._group.leave()
        self.stderr.forked()
        self._shut()

    def close(self, patience: float | None = None) -> None:
        """End it as the specification says: close stdin, wait, SIGTERM, wait, SIGKILL; the whole group."""
        if self._closing:
            return
        self._closing = True
        with self._reading:
            if self._process.stdin is not None:
                self._process.stdin.close()
            # Its exit is waited for, not the end of its pipes, and stdout is kept empty meanwhile.
            self._group.end(_PATIENCE if patience is None else patience, self._throw_away)
            self._shut()

    def _throw_away(self, seconds: float) -> bool:
        if not self._open:
            time.sleep(seconds)
            return False
        came = bool(self._selector.select(seconds))
        if came:
            self._read()
        self._buffer.clear()
        self._searched = 0
        return came

    def _shut(self) -> None:
        self._selector.close()
        self.stderr.close()
        for pipe in filter(None, (self._process.stdin, self._process.stdout)):
            pipe.close()


def gone(child: Child, server: str) -> McpVaultError:
    """Return the error for a child that ended before it was asked anything that matters."""
    return ConnectFailedError(f"{server}: {child.ended()}", hint="run its command by hand to see why", server=server)
