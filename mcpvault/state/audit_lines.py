"""
The lines of the audit log, the chain that they form, and the two files that say where it ends.

Decides what follows what, and which end may be believed. Reads and writes no file; makes no key.

Spec: SPEC §18.1.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.state.audit_signing import Keys

Event = Mapping[str, Any]

HEAD: Final = "audit.head"
END: Final = "anchor.audit"
START: Final = "0" * 32  # the hash before the first line
_MARK: Final = b',"mac":"'
_OF_THE_LOG: Final = frozenset({"line_torn", "log_cut", "head_lost"})  # what a writer without a key may say of it


class Head(Record):
    """Where the chain ends: lines so far, the hash of the last, its file, and how long that file is."""

    n: int = 0
    last: str = START
    file: str = ""
    size: int = 0


class End(Record):
    """Where the chain ended when somebody with the key wrote last; ``log`` names the log, ``epoch`` the key."""

    log: str
    epoch: int
    head: Head


class Known(Record):
    """What the host's anchor says: that it has this log, and that its end was last signed in this epoch."""

    log: str
    epoch: int


def digest(line: bytes) -> str:
    """Return the hash by which the next line names *line*, which has no line end."""
    return hashlib.sha256(line).hexdigest()[:32]


def joined(body: bytes, mac: str) -> bytes:
    """Return the object *body* with ``mac`` as its last key."""
    return body[:-1] + _MARK + mac.encode() + b'"}'


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
    return head if is_segment(head.file) and head.n >= 0 and head.size >= 0 else None


def end_text(end: End, keys: Keys) -> bytes:
    """Return what ``anchor.audit`` says, signed; *end* is of the vault's own epoch."""
    told = {"log": end.log, "epoch": end.epoch, **end.head.fields()}
    body = json.dumps(told, separators=(",", ":")).encode()
    return joined(body, keys.of_end(body, end.epoch)[0])


def believed_end(data: bytes | None, keys: Keys) -> tuple[End | None, Literal["", "none", "old", "new", "lost"]]:
    """
    Return the end that ``anchor.audit`` says, if it may be believed, and what is the matter with it.

    Returns:
        ``none``: there never was one that this host knows of. ``old``: it was signed with a key that the vault no
        longer keeps, as the host's anchor says too. ``new``: with a key that came after the vault was opened.
        ``lost``: it is gone, damaged, forged, or of another log than this host's.
    """
    known = keys.known()
    data = (data or b"").rstrip()
    if not data:
        return None, "none" if known is None else "lost"
    body, mac = split(data)
    head = head_in(body)
    if head is None:
        return None, "lost"
    told = json.loads(body)
    end = End(str(told.get("log")), told["epoch"] if isinstance(told.get("epoch"), int) else 0, head)
    expected = keys.of_end(body, end.epoch)
    if any(hmac.compare_digest(mac.encode(), each.encode()) for each in expected):
        return end, "" if known is None or known.log == end.log else "lost"
    if end.epoch > keys.epoch:
        return None, "new"
    told = known is not None and known.log == end.log and known.epoch <= end.epoch < keys.epoch
    return None, "old" if told and not expected else "lost"


def is_segment(name: str) -> bool:
    """Tell whether *name* is that of a file with lines."""
    return name.startswith("audit-") and name.endswith(".jsonl") and name[6:-6].isdigit()


def event_in(line: bytes) -> Event | None:
    """Return what a line says, None where it is no event."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and isinstance(told.get("ev"), str) else None


def proved(line: bytes, keys: Keys) -> bool:
    """Tell whether the ``mac`` of a line holds, where it has one."""
    body, mac = split(line)
    return not mac or event_in(line) is None or keys.proves(body, mac)


class Chain:
    """
    How far a chain has got, and what is wrong with the next line.

    Args:
        n: Lines so far.
        last: The hash of the last of them.
    """

    def __init__(self, n: int = 0, last: str = START) -> None:
        self.n = n
        self.last = last
        self.torn = False  # the last line is no event, which the next one has to say

    def take(self, line: bytes) -> str | None:
        """Go on over *line*; return what is wrong with it, None if nothing is."""
        told, torn, expected = event_in(line), self.torn, self.n + 1
        follows = told is not None and told.get("prev") == self.last
        self.n, self.last, self.torn = expected, digest(line), told is None
        if torn and not (told is not None and follows and told["ev"] == "line_torn"):
            return "the line before it is no event"
        if told is None:
            return None
        number = told.get("n")
        if type(number) is int:
            self.n = number
        if not follows:
            return "does not follow the line before it: one was changed or taken away"
        if number != expected:
            return f"is number {number}, expected {expected}"
        if not split(line)[1] and not _needs_no_key(told):
            return "is not signed"
        return None


def _needs_no_key(told: Event) -> bool:
    return told["ev"] in _OF_THE_LOG or (told["ev"] == "unlock" and told.get("ok") is False)
