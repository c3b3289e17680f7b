"""
Every misbehaviour of a server on stdio ends in a typed error, in time, in bounded memory, and leaves nothing behind.

The table is the test: one row per misbehaviour, and a row for every misbehaviour (a test compares).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hostile_child
import pytest
from test_hostile_servers import CANARY, MOST_MEMORY, forget_peak, leaks, memory

from mcpvault import Secret, Session
from mcpvault.errors import (
    ConnectFailedError,
    DeadlineExceededError,
    McpVaultError,
    MessageTooLargeError,
    RemoteProtocolError,
    RequestLostError,
    RpcError,
    UnsupportedVersionError,
)
from mcpvault.transports.stdio import StdioTransport

pytestmark = pytest.mark.skipif(os.name != "posix", reason="stdio servers need a POSIX system")

PATIENCE = 0.4  # seconds that a call may take where the server would take for ever


class Row(NamedTuple):
    """A misbehaviour when ``tools/call`` (or *on* something else) comes, and the error that it must become."""

    name: str
    error: type[McpVaultError]
    code: int
    on: str = "tools/call"
    seconds: float = 30.0
    largest: int = 64 << 20
    message: str = "x"


def late(name: str, **options: Any) -> Row:
    """Return a row for a server that would take for ever."""
    return Row(name, DeadlineExceededError, 4, seconds=PATIENCE, **options)


ROWS = [
    # never
    late("silent"),
    late("deaf"),
    late("deaf", message="x" * (2 << 20)),
    late("stopped"),
    late("half-a-line"),
    late("drip"),
    late("wrong-id"),
    late("id-of-other-type"),
    late("missing-id"),
    late("no-version"),
    late("carriage-returns"),
    late("utf-16"),
    late("endless-blank-lines"),
    late("endless-notifications"),
    late("endless-progress"),
    late("endless-answers"),
    late("endless-questions"),
    late("endless-stderr"),
    late("endless-stderr-and-stdout"),
    # too much
    Row("endless-line", MessageTooLargeError, 5),
    Row("gigabyte", MessageTooLargeError, 5),
    Row("many-megabytes", MessageTooLargeError, 5, largest=1 << 20),
    Row("gigabyte-of-space", MessageTooLargeError, 5),
    Row("unread-answers", MessageTooLargeError, 5, largest=1 << 16),
    Row("deep-json", RemoteProtocolError, 5),
    Row("huge-number", RemoteProtocolError, 5),
    Row("endless-noise", RemoteProtocolError, 5),
    Row("endless-pages", RemoteProtocolError, 5, on="tools/list"),
    Row("cursor-loop", RemoteProtocolError, 5, on="tools/list"),
    # gone
    Row("die", RequestLostError, 5),
    Row("die-of-a-signal", RequestLostError, 5),
    Row("die-mid-answer", RequestLostError, 5),
    Row("die-with-a-long-line", RequestLostError, 5),
    Row("leave-a-child-behind", RequestLostError, 5),
    Row("close-stdout", RequestLostError, 5),
    Row("close-stdin", RequestLostError, 5, on="initialize"),
    # not what was asked for
    Row("error-without-id", RpcError, 5),
    Row("misshapen-error", RemoteProtocolError, 5),
    Row("result-and-error", RemoteProtocolError, 5),
    Row("neither-result-nor-error", RemoteProtocolError, 5),
    Row("result-of-wrong-shape", RemoteProtocolError, 5),
    Row("wrong-fields", RemoteProtocolError, 5),
    Row("wrong-fields", RemoteProtocolError, 5, on="tools/list"),
    Row("unknown-result-type", RemoteProtocolError, 5),
    Row("batch", RemoteProtocolError, 5),
    Row("other-version", RemoteProtocolError, 5),
    Row("invalid-utf8", RemoteProtocolError, 5),
    Row("nan", RemoteProtocolError, 5),
    Row("byte-order-mark", RemoteProtocolError, 5),
    Row("glued", RemoteProtocolError, 5),
    Row("tells-the-secret", RpcError, 5),
    # from the beginning
    late("deaf", on="start"),
    late("endless-stderr", on="start"),
    late("endless-notifications", on="start"),
    late("silent", on="initialize"),
    Row("endless-line", MessageTooLargeError, 5, on="start"),
    Row("endless-noise", RemoteProtocolError, 5, on="start"),
    Row("die", ConnectFailedError, 4, on="start"),
    Row("die-with-a-long-line", ConnectFailedError, 4, on="start"),
    Row("leave-a-child-behind", ConnectFailedError, 4, on="start"),
    Row("close-stdout", ConnectFailedError, 4, on="start"),
    Row("die", ConnectFailedError, 4, on="initialize"),
    Row("result-of-wrong-shape", RemoteProtocolError, 5, on="initialize"),
    Row("wrong-fields", UnsupportedVersionError, 5, on="initialize"),
    Row("invalid-utf8", RemoteProtocolError, 5, on="server/discover"),
]
# These are borne: the answer is there.
BORNE = {"duplicate-answer", "asks-back", "noise", "long-stderr"}


def spoken(row: Row) -> str:
    """Return the id of a row."""
    return " ".join([row.name, *([row.on] if row.on != "tools/call" else []), *(["large"] * (row.message != "x"))])


@contextmanager
def running(name: str, on: str = "tools/call", *, largest: int = 64 << 20) -> Iterator[Session]:
    """Give a session with a server that misbehaves."""
    transport = StdioTransport(
        sys.executable,
        ["-IS", hostile_child.__file__, name, on],
        env=os.environ,
        given={"TOKEN": Secret(CANARY)},
        server="hostile",
        largest=largest,
    )
    with closing(Session(transport, name="hostile", timeout=30)) as session:
        yield session


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """End servers that do not go by themselves without waiting long: most of these do not."""
    monkeypatch.setattr("mcpvault.transports.pipes._PATIENCE", 0.1)


def descriptors() -> set[str]:
    """Return the descriptors of this process, with what they are."""
    found = set()
    for name in os.listdir("/proc/self/fd") if Path("/proc/self/fd").exists() else ():
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:
            continue  # it was that of the listing
    return found


def children() -> set[int]:
    """Return the processes that this one has started and not waited for, zombies included."""
    tasks = Path("/proc/self/task")
    return {int(pid) for task in tasks.glob("*/children") for pid in task.read_text().split()}


def emptied(group: int) -> bool:
    """Tell whether all processes of a group have ended, or do within seconds: a signal needs its time."""
    ends = time.monotonic() + 10
    while lives_in(group):
        if time.monotonic() > ends:
            return False
    return True


def lives_in(group: int) -> bool:
    """Tell whether a process of the group runs; one that has ended and whom nobody waits for does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False


@pytest.mark.parametrize("row", ROWS, ids=spoken)
def test_a_misbehaving_child_becomes_a_typed_error(row: Row) -> None:
    """The error has the type and code of its row, comes in time, in little memory, without a secret; nothing stays."""
    open_before, children_before = descriptors(), children()
    with running(row.name, row.on, largest=row.largest) as session:
        if row.on not in ("start", "initialize", "server/discover"):
            session.ping()
        forget_peak()
        before = memory("VmRSS")
        begin = time.monotonic()

        with pytest.raises(McpVaultError) as caught:
            call(session, row)

        took = time.monotonic() - begin
        peak = memory("VmHWM") - before
        child = session._transport._child  # type: ignore[attr-defined]
    closed = time.monotonic() - begin - took

    assert (True, row.code) == (isinstance(caught.value, row.error), caught.value.exit_code), repr(caught.value)
    assert took < row.seconds + 5
    assert closed < 5
    assert peak < MOST_MEMORY
    assert [] == [*leaks(caught.value)]
    assert CANARY not in session.stderr_tail
    assert len(session.stderr_tail) <= 8 * 1024
    assert (open_before, children_before) == (descriptors(), children())
    assert emptied(child.pid)


@pytest.mark.parametrize("name", sorted(BORNE))
def test_what_can_be_borne_is_borne(name: str) -> None:
    """Extra lines around the right answer do not cost the answer, nor the next one."""
    with running(name) as session:
        for word in ("hello", "again"):
            assert word == session.call_tool("echo", {"message": word}).text()


@pytest.mark.parametrize("name", ["noise", "asks-back", "long-stderr", "endless-answers"])
def test_what_comes_before_anything_was_asked(name: str) -> None:
    """A banner, questions and complaints before the first request are borne; what never ends is not waited for."""
    with running(name, "start") as session:
        if name != "endless-answers":
            assert "hello" == session.call_tool("echo", {"message": "hello"}).text()
        else:
            with pytest.raises(DeadlineExceededError):
                session.call_tool("echo", {"message": "hello"}, timeout=0.5)


@pytest.mark.parametrize(
    "name",
    ["silent", "wrong-id", "batch", "invalid-utf8", "glued", "deep-json", "misshapen-error", "error-without-id"],
)
def test_the_session_survives(name: str) -> None:
    """After a misbehaviour that leaves the process and its lines whole, the same process answers the next call."""
    with running(name) as session:
        with pytest.raises(McpVaultError):
            session.call_tool("echo", {"message": "x"}, timeout=0.5)
        assert ["echo"] == [tool.name for tool in session.list_tools()]


def test_a_line_that_was_too_long_is_read_to_its_end() -> None:
    """What follows an answer that was too large is understood: the rest of its line is thrown away as it comes."""
    with running("many-megabytes", largest=1 << 20) as session:
        with pytest.raises(MessageTooLargeError):
            session.call_tool("echo", {"message": "x"})
        forget_peak()
        before = memory("VmRSS")

        assert ["echo"] == [tool.name for tool in session.list_tools()]
        assert memory("VmHWM") - before < 16 << 20


def test_every_misbehaviour_has_a_row() -> None:
    """A misbehaviour that no row mentions would be untested."""
    assert hostile_child.HABITS.keys() == {row.name for row in ROWS} | BORNE


def call(session: Session, row: Row) -> object:
    """Make the call that the row is about."""
    if row.on == "tools/list":
        return session.list_tools()
    return session.call_tool("echo", {"message": row.message}, timeout=row.seconds)
