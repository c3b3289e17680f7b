"""
The audit log of one vault on one host: JSON lines, each chained to the one before, in a file for each month.

Decides the chain, the files, and what a writer does about a torn or missing end. Leaves to the caller what an event
says and the key that signs it. A line is never changed and never removed; no line holds a secret.

Spec: SPEC §18.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcpvault.errors import BusyError, McpVaultError, PermissionsError
from mcpvault.state.locking import HAS_FLOCK, wait_for
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.state.files import StateDirectory

Event = Mapping[str, Any]
Sign = Callable[[bytes], str]

HEAD: Final = "audit.head"
START: Final = "0" * 32  # the hash before the first line
_HEAD_SIZE: Final = 256  # bytes
PATIENCE: Final = 5.0  # seconds
_MARK: Final = b',"mac":"'


class Head(Record):
    """Where the chain ends: lines so far, the hash of the last, its file, and how long that file is."""

    n: int = 0
    last: str = START
    file: str = ""
    size: int = 0


def digest(line: bytes) -> str:
    """Return the hash by which the next line names *line*, which has no line end."""
    return hashlib.sha256(line).hexdigest()[:32]


def split(line: bytes) -> tuple[bytes, str]:
    """Return what a line's ``mac`` is over, and that ``mac``; it is empty where nobody had a key."""
    body, mark, mac = line.rpartition(_MARK)
    return (body + b"}", mac.removesuffix(b'"}').decode("ascii", "replace")) if mark else (line, "")


def head_in(data: bytes) -> Head | None:
    """Return the head that a file says, None where it says none."""
    try:
        told = json.loads(data)
        head = Head(int(told["n"]), str(told["last"]), str(told["file"]), int(told["size"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return head if is_segment(head.file) else None


def is_segment(name: str) -> bool:
    """Tell whether *name* is that of a file with lines."""
    return name.startswith("audit-") and name.endswith(".jsonl") and name[6:-6].isdigit()


class AuditLog:
    """
    Appends events.

    Args:
        directory: The state folder of the vault.
        sign: Makes a line's ``mac``; None where nobody has the vault's key, as after an unlock that failed.
        now: Unix seconds.
    """

    def __init__(
        self, directory: StateDirectory, sign: Sign | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._sign = sign
        self._now = now

    def append(self, events: Sequence[Event], *, durable: bool = False, patience: float = PATIENCE) -> None:
        """
        Write *events*, in order; with *durable* they are on the disk when this returns.

        Raises:
            PermissionsError: The state folder or the disk refuses.
            BusyError: Another process kept the log for *patience* seconds.
        """
        problem: str | None = None
        failure: McpVaultError | None = None
        try:
            folder = self._folder()
            descriptor = os.open(folder / HEAD, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
            try:
                self._lock(descriptor, patience)
                self._write(folder, descriptor, events, durable)
            finally:
                os.close(descriptor)  # and the lock with it
        except OSError as error:
            problem = error.strerror or "refused"
        except BusyError as error:
            failure = error
        if failure is not None:
            raise failure
        if problem is not None:
            raise PermissionsError(
                f"{self._directory.path / HEAD}: the audit log cannot be written: {problem}",
                hint="check space and permissions",
            )

    def _folder(self) -> Path:
        if not self._directory.path.is_dir():
            return self._directory.ensure()
        self._directory.judge()
        return self._directory.path

    def _lock(self, descriptor: int, patience: float) -> None:
        # Windows: the loser of a race writes a line that does not chain, which verify reports.
        if HAS_FLOCK and not wait_for(descriptor, time.monotonic() + patience):
            raise BusyError(f"{HEAD}: locked for {patience:g} s by another process", hint="try again")

    def _write(self, folder: Path, descriptor: int, events: Sequence[Event], durable: bool) -> None:
        head, found = self._end(folder, os.pread(descriptor, _HEAD_SIZE, 0))
        moment = time.gmtime(self._now())
        # A clock that was set back must not lead to an older file: the order of the files is that of the chain.
        name = max(head.file, f"audit-{time.strftime('%Y%m', moment)}.jsonl")
        if name != head.file:
            head = head.replaced(file=name, size=0)
        lines = []
        for event in [*found, *events]:
            told = {"n": head.n + 1, "t": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment), **event, "prev": head.last}
            text = json.dumps(told, ensure_ascii=True, separators=(",", ":")).encode()
            mac = self._sign(text) if self._sign is not None else ""
            line = text[:-1] + _MARK + mac.encode() + b'"}'
            lines.append(line + b"\n")
            head = head.replaced(n=head.n + 1, last=digest(line))
        file = os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _FLAGS, 0o600)
        try:
            before = os.fstat(file).st_size
            try:
                view = memoryview(b"".join(lines))
                while view:
                    view = view[os.write(file, view) :]
                if durable:
                    os.fsync(file)
            except OSError:
                os.ftruncate(file, before)  # half a line of ours, on a full disk
                raise
            size = os.fstat(file).st_size
        finally:
            os.close(file)
        os.pwrite(descriptor, json.dumps(head.replaced(size=size).fields()).encode().ljust(_HEAD_SIZE), 0)

    def _end(self, folder: Path, data: bytes) -> tuple[Head, list[Event]]:
        """Return where the chain ends, and events about what is not as the last writer left it."""
        head = head_in(data)
        if head is None:
            segments = sorted(path.name for path in folder.iterdir() if is_segment(path.name))
            if not segments:
                return Head(), []
            # The end is counted again. What the last file holds is taken as it stands: ``verify`` judges it.
            return self._counted(folder, Head(file=segments[-1]), "head_lost")
        size = 0
        with suppress(FileNotFoundError):
            size = (folder / head.file).stat().st_size
        if size == head.size:
            return head, []
        if size > head.size:
            return self._counted(folder, head, None)
        return head.replaced(size=size), [{"ev": "log_cut", "ok": False, "size": size, "expected": head.size}]

    def _counted(self, folder: Path, head: Head, why: str | None) -> tuple[Head, list[Event]]:
        """Go on from *head* over the lines that a writer had no time to count."""
        with (folder / head.file).open("r+b") as file:
            file.seek(head.size)
            data = file.read()
            found: list[Event] = [{"ev": why, "ok": False}] if why else []
            if data and not data.endswith(b"\n"):
                # A writer died in the middle of a line: it is ended, and stays.
                found.append({"ev": "line_torn", "ok": False})
                file.seek(0, os.SEEK_END)
                file.write(b"\n")
        for line in data.split(b"\n"):
            if line:
                head = head.replaced(n=_number(line, head.n + 1), last=digest(line))
        return head, found


def _number(line: bytes, default: int) -> int:
    try:
        return int(json.loads(line)["n"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return default


_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
