"""
Reading the audit log: whether its chain holds, and what it says about one server.

Decides what is wrong with a chain. Writes nothing.

Spec: SPEC §18.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mcpvault.state.audit_lines import (
    END,
    HEAD,
    Chain,
    Event,
    believed_end,
    event_in,
    is_segment,
    proved,
    split,
)
from mcpvault.state.store import StateStore
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.state.audit_signing import Keys


class Fault(Record):
    """What is wrong, and where: a file and the number of a line in it, counted from 1."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" if self.line else f"{self.file}: {self.what}"


class Verdict(Record):
    """
    What ``verified`` found.

    ``signed`` lines hold under the vault's key, ``since`` is the time of the first line. Nobody can tell whether lines
    before ``covered_from`` are all that were written: an earlier version of mcpvault or an earlier key has.
    """

    lines: int
    signed: int
    faults: tuple[Fault, ...]
    covered_from: int = 1
    since: str = ""


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
        if (told := event_in(line)) is not None:
            yield told


def verified(store: StateStore, keys: Keys) -> Verdict:
    """
    Follow the chain from its first line to its end, and compare it with the end that was signed.

    Args:
        store: The state of the vault.
        keys: The vault's.

    Returns:
        With faults where a line was changed, moved, taken away or put in; the log itself may say so too, in events
        that a writer wrote when it saw it. What cannot be seen: that failed attempts to unlock are gone from behind
        the end that was signed, and that log and anchors were removed, or put back together as they were before.
    """
    end, problem = believed_end(store.read(END), keys)  # before the lines: others may be writing more of them
    chain, signed, covered_from, since, under_end = Chain(), 0, 1, "", False
    faults, unproved = [], list[Fault]()
    number, place, reached = 0, Fault(END, 0, ""), False
    for name, at, line in lines_of(store):
        number, place = number + 1, Fault(name, at, "")
        told = event_in(line) or {}
        since = since or str(told.get("t", ""))
        if (what := chain.take(line) or _MARKS.get(str(told.get("ev")))) is not None:
            faults.append(place.replaced(what=what))
        if told.get("ev") in ("log_adopted", "key_lost"):
            covered_from = number
            if told["ev"] == "log_adopted" and not keys.lost:
                faults += unproved  # nobody but the vault's own keys can have signed them
            unproved.clear()
        if told.get("ev") == "log_adopted" and under_end:
            faults.append(place.replaced(what=f"a writer found no {END}, though lines before this one were under one"))
        under_end = under_end or "log" in told
        if not proved(line, keys):
            unproved.append(place.replaced(what="its signature does not hold under the vault's key"))
        elif split(line)[1]:
            signed += 1
            if end is None and keys.lost:
                unproved.clear()  # whoever has the key has seen them
        if end is not None and not reached and chain.n >= end.head.n:
            reached = True
            unproved.clear()
            if (chain.n, chain.last) != (end.head.n, end.head.last):
                faults.append(place.replaced(what="is not the line that was written last"))
    if problem in ("lost", "new") or (problem == "none" and under_end):
        faults.insert(0, Fault(END, 0, "is gone, damaged or forged: lines may be missing"))
    if chain.torn:
        faults.append(place.replaced(what="is no event"))
    if end is not None and not reached:
        gone = end.head.n - chain.n
        faults.append(place.replaced(what=f"the log ends here, and {gone} lines that were written are gone"))
    faults += unproved
    covered_from = covered_from if end is not None else number + 1
    return Verdict(lines=number, signed=signed, faults=tuple(faults), covered_from=covered_from, since=since)


_MARKS = {
    "log_cut": "a writer found that lines before this one had been taken away",
    "log_changed": "a writer found lines before this one that nobody with the key had written",
    "anchor_lost": f"a writer found that {END} was gone, damaged or forged: lines before this one may be missing",
    "head_lost": f"a writer found that {HEAD} was gone; what came before is as it was found",
}
