"""
Reading the audit log: whether its chain holds, and what it says about one server.

Decides what is wrong with a chain. Writes nothing.

Spec: SPEC §18.1.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mcpvault.state.audit import HEAD, START, digest, head_in, is_segment, split
from mcpvault.state.store import StateStore
from vault_schema.record import Record

Event = Mapping[str, Any]


class Fault(Record):
    """What is wrong, and where: a file and the number of a line in it, counted from 1."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


class Verdict(Record):
    """What ``verified`` found: how many lines there are, how many of them are signed, and what is wrong."""

    lines: int
    signed: int
    faults: tuple[Fault, ...]


def lines_of(store: StateStore) -> Iterator[tuple[str, int, bytes]]:
    """Yield file, number and bytes of every line, in the order of the chain."""
    for name in store.names():
        if is_segment(name):
            for number, line in enumerate((store.read(name) or b"").split(b"\n"), 1):
                if line:
                    yield name, number, line


def events(store: StateStore) -> Iterator[Event]:
    """Yield what every line says, in order; what is no event is left out, ``verified`` reports it."""
    for _, _, line in lines_of(store):
        if (told := _told(line)) is not None:
            yield told


def verified(store: StateStore, sign: Callable[[bytes], str]) -> Verdict:
    """
    Follow the chain from its first line to its end.

    Args:
        store: The state of the vault.
        sign: Makes the ``mac`` of a line. Lines that were signed under an earlier key of the vault do not match it;
            they are vouched for by the first line after them that does.

    Returns:
        With faults where a line was changed, moved, taken away or put in; the log itself may say so too, in events
        that a writer wrote when it saw it.
    """
    faults: list[Fault] = []
    last, count, signed = START, 0, 0
    unproved: list[Fault] = []
    torn: Fault | None = None  # explained if the next line is a writer's word about it
    place = (HEAD, 0)
    for name, number, line in lines_of(store):
        place, count = (name, number), count + 1
        told = _told(line)
        if torn is not None and not (told is not None and told["ev"] == "line_torn" and told.get("prev") == last):
            faults.append(torn)
        torn = Fault(name, number, "is no event") if told is None else None
        if told is None:
            pass
        elif told.get("prev") != last:
            faults.append(Fault(name, number, "does not follow the line before it: one was changed or taken away"))
        elif told.get("n") != count:
            faults.append(Fault(name, number, f"is number {told.get('n')}, expected {count}"))
            count = told["n"] if isinstance(told.get("n"), int) else count
        elif told["ev"] in _MARKS:
            faults.append(Fault(name, number, _MARKS[told["ev"]]))
        body, mac = split(line)
        if mac and hmac.compare_digest(mac.encode(), sign(body).encode()):
            signed += 1
            unproved.clear()
        elif mac:
            unproved.append(Fault(name, number, "its signature does not hold under the vault's key"))
        last = digest(line)
    faults += [torn] if torn is not None else []
    faults += [] if signed and not unproved else unproved
    faults += _about_end(store, last, count, place)
    return Verdict(lines=count, signed=signed, faults=tuple(faults))


_MARKS = {
    "log_cut": "a writer found that lines before this one had been taken away",
    "head_lost": "a writer found that audit.head was gone; what came before is as it was found",
}


def _about_end(store: StateStore, last: str, count: int, place: tuple[str, int]) -> Iterator[Fault]:
    data = store.read(HEAD)
    head = head_in(data) if data else None
    if head is None:
        if count:
            yield Fault(HEAD, 0, "is gone or damaged: lines at the end may have been taken away")
        return
    if head.n > count:
        yield Fault(place[0], place[1], f"the log ends here, and {head.n - count} lines that were written are gone")
    elif head.n == count and head.last != last:
        yield Fault(place[0], place[1], "is not the line that was written last")


def _told(line: bytes) -> Event | None:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and isinstance(told.get("ev"), str) else None
