"""
The audit log of one vault on one host: JSON lines, each chained to the one before, in a file for each month.

Decides the files, and what a writer does about an end that is torn, missing, or not as the last writer left it. Leaves
to the caller what an event says and the keys that sign it. A line is never changed and never removed; no line holds a
secret.

Spec: SPEC §18.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcpvault.errors import BusyError, McpVaultError, PermissionsError
from mcpvault.open_files import AS_IS, HAS_FLOCK, NO_LINK, wait_for
from mcpvault.state.audit_lines import (
    END,
    HEAD,
    Chain,
    End,
    Event,
    Head,
    Known,
    believed_end,
    digest,
    end_text,
    head_in,
    is_segment,
    joined,
    proved,
)

if TYPE_CHECKING:
    from mcpvault.state.audit_signing import Keys
    from mcpvault.state.files import StateDirectory

_HEAD_SIZE: Final = 256  # bytes
PATIENCE: Final = 5.0  # seconds


class AuditLog:
    """
    Appends events.

    Args:
        directory: The state folder of the vault.
        keys: Sign; None where nobody has the vault's key, as after an unlock that failed. What is written then is
            vouched for by the next writer that has it.
        now: Unix seconds.
    """

    def __init__(
        self, directory: StateDirectory, keys: Keys | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._keys = keys
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
        hint = head_in(os.read(descriptor, _HEAD_SIZE))
        moment = time.gmtime(self._now())
        name = f"audit-{time.strftime('%Y%m', moment)}.jsonl"
        if self._keys is not None:
            log, head, found = self._believed(folder, hint, name, self._keys)
        else:
            log, (head, found) = "", self._as_found(folder, hint, name)
        # A clock that was set back must not lead to an older file: the order of the files is that of the chain.
        name = max(head.file, name)
        lines = []
        for event in [*found, *events]:
            told = {"n": head.n + 1, "t": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment), **event}
            told |= {"log": log, "prev": head.last} if log else {"prev": head.last}
            body = json.dumps(told, ensure_ascii=True, separators=(",", ":")).encode()
            line = joined(body, self._keys.sign(body) if self._keys is not None else "")
            lines.append(line + b"\n")
            head = head.replaced(n=head.n + 1, last=digest(line))
        head = head.replaced(file=name, size=self._added(folder / name, b"".join(lines), durable))
        if self._keys is not None and log:
            self._sign_end(folder, End(log, self._keys.epoch, head), self._keys)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(head.fields()).encode().ljust(_HEAD_SIZE))

    @staticmethod
    def _added(path: Path, data: bytes, durable: bool) -> int:
        """Write *data* to the end of the file *path*; return how long that is now."""
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _FLAGS, 0o600)
        try:
            before = os.fstat(file).st_size
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(file, view) :]
                if durable:
                    os.fsync(file)
            except OSError:
                os.ftruncate(file, before)  # half a line of ours, on a full disk
                raise
            return os.fstat(file).st_size
        finally:
            os.close(file)

    @staticmethod
    def _sign_end(folder: Path, end: End, keys: Keys) -> None:
        file = os.open(folder / END, os.O_WRONLY | os.O_CREAT | _FLAGS, 0o600)
        try:
            os.write(file, end_text(end, keys).ljust(_END_SIZE))
        finally:
            os.close(file)
        if keys.known() != (known := Known(end.log, end.epoch)):
            keys.remember(known)

    def _believed(self, folder: Path, hint: Head | None, name: str, keys: Keys) -> tuple[str, Head, list[Event]]:
        """
        Return the log's name, where it ends, and events about what nobody with a key has left so.

        The name is empty where the end is not ours to move: the vault has had another key since it was opened here.
        A log that has no end yet gets one before its first line, in the file *name*: whoever is killed leaves both.
        """
        data = None
        with suppress(FileNotFoundError):
            file = os.open(folder / END, os.O_RDONLY | _FLAGS)
            try:
                data = os.read(file, 2 * _END_SIZE)
            finally:
                os.close(file)
        end, problem = believed_end(data, keys)
        if problem == "lost" and keys.known() != keys.known(again=True):
            end, problem = believed_end(data, keys)
        if end is not None:
            head, found = self._gone_on(folder, end.head, hint, name, keys)
            return end.log, head, [*([{"ev": "anchor_lost", "ok": False}] if problem else []), *found]
        head, found = self._as_found(folder, hint, name)
        if problem == "new":
            return "", head, found
        known = keys.known()
        log = known.log if known is not None else os.urandom(8).hex()
        if problem == "none":
            head = head.replaced(file=head.file or name)
            head = head.replaced(size=_size(folder / head.file))
            self._sign_end(folder, End(log, keys.epoch, head), keys)
        if problem != "none" or head.n:
            found.append(_FOUND[problem])
        return log, head, found

    def _as_found(self, folder: Path, hint: Head | None, name: str) -> tuple[Head, list[Event]]:
        """Return where the chain ends by what nobody vouches for."""
        if hint is not None:
            return self._gone_on(folder, hint, hint, name, None)
        segments = _segments(folder)
        if not segments:
            return Head(), []
        head, found = self._gone_on(folder, Head(file=segments[-1]), None, name, None)
        return head, [{"ev": "head_lost", "ok": False}, *found]

    @staticmethod
    def _gone_on(
        folder: Path, head: Head, hint: Head | None, month: str, keys: Keys | None
    ) -> tuple[Head, list[Event]]:
        """Go on from *head* over the lines behind it, which with *keys* have to be what a writer may write."""
        size = _size(folder / head.file)
        begun = month > head.file and _size(folder / month) > 0  # its file, by somebody who was killed over it
        if hint is not None and hint.file == head.file and size == head.size and not begun:
            return head, []
        if size < head.size:
            cut = {"ev": "log_cut", "ok": False, "size": size, "expected": head.size}
            return head.replaced(size=size), [cut]
        chain, wrong, ended = Chain(head.n, head.last), False, True
        name = head.file
        for name in [head.file, *(each for each in _segments(folder) if each > head.file)]:
            with os.fdopen(os.open(folder / name, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600), "r+b") as file:
                file.seek(head.size if name == head.file else 0)
                data = file.read()
                ended = not data or data.endswith(b"\n")
                if not ended:  # a writer died in the middle of a line: it is ended, and stays
                    file.write(b"\n")
            for line in filter(None, data.split(b"\n")):
                wrong |= chain.take(line) is not None or (keys is not None and not proved(line, keys))
        found: list[Event] = [{"ev": "line_torn", "ok": False}] if chain.torn or not ended else []
        found += [{"ev": "log_changed", "ok": False}] if wrong and keys is not None else []
        return Head(chain.n, chain.last, name), found


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if is_segment(path.name))


_END_SIZE: Final = 320  # bytes
_FOUND: Final[Mapping[str, Event]] = {
    "none": {"ev": "log_adopted", "ok": True},
    "old": {"ev": "key_lost", "ok": True},
    "lost": {"ev": "anchor_lost", "ok": False},
}
_FLAGS: Final = AS_IS | NO_LINK
