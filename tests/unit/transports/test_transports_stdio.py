"""A server as a child process: its lines, its era, its end, its stderr and its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from mcpvault import Callbacks, Secret, Session
from mcpvault.deadline import Deadline
from mcpvault.errors import (
    ConfigurationError,
    ConnectFailedError,
    DeadlineExceededError,
    McpVaultError,
    MessageTooLargeError,
    RemoteProtocolError,
    RequestLostError,
    RpcError,
    UnsupportedVersionError,
)
from mcpvault.transports import stdio
from mcpvault.transports.stdio import StdioTransport

SERVER = str(Path(__file__).with_name("odd_stdio_server.py"))
TOKEN = "canary-Zq81LmVx0aTrW3"


class Remembered(dict[str, str]):
    """Verdicts in memory."""

    def put(self, key: str, era: str) -> None:
        """Remember."""
        self[key] = era

    def forget(self, key: str) -> None:
        """Forget."""
        self.pop(key, None)


class Running:
    """A session with one odd server, and what the server wrote down."""

    def __init__(self, session: Session, transport: StdioTransport, journal: Path) -> None:
        self.session, self.transport, self._journal = session, transport, journal

    def echo(self, message: str = "hi", **options: Any) -> str:
        """Call the tool."""
        return self.session.call_tool("echo", {"message": message}, **options).text()

    @property
    def came(self) -> list[str]:
        """What reached the servers, starts included."""
        return self._journal.read_text().split() if self._journal.exists() else []

    def starts(self) -> int:
        """How many processes there were."""
        return self.came.count("start")


Run = Callable[..., Running]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Open a session with a server of some habit: ``run(habit, word…, env={}, **options of the transport)``."""
    with ExitStack() as stack:

        def opened(
            *words: str, env: dict[str, str] | None = None, callbacks: Callbacks | None = None, **options: Any
        ) -> Running:
            journal = tmp_path / "journal"
            given = {name: Secret(value) for name, value in {"JOURNAL": str(journal), **(env or {})}.items()}
            transport = StdioTransport(
                sys.executable, ["-IS", SERVER, *words], env=os.environ, given=given, server="odd", **options
            )
            session = Session(transport, name="odd", timeout=20, callbacks=callbacks)
            stack.callback(session.close)
            return Running(session, transport, journal)

        yield opened


def gone(pid: int) -> bool:
    """Tell whether a process has ended; it may wait for its parent to notice."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def until(condition: Callable[[], bool]) -> bool:
    """Wait until *condition* holds, for seconds at most."""
    ends = time.monotonic() + 10
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)
    return condition()


# Framing


@pytest.mark.parametrize("habit", [["byte-by-byte"], ["crlf"], ["noise", "3"], ["noise", "900"], ["modern"]], ids=str)
def test_only_a_line_feed_ends_a_message(run: Run, habit: list[str]) -> None:
    """However the bytes come, and whatever is printed between messages, text comes back as it went."""
    message = 'one\ntwo\r\nthree \u2028 \u2029 \x85 \v \f "\\" \N{WAVING HAND SIGN} \x00'

    assert message == run(*habit).echo(message)


@pytest.mark.parametrize("habit", [["noise", "1001"], ["garbled"], ["batch"]], ids=lambda habit: habit[0])
def test_what_is_no_message_is_not_borne_for_ever(run: Run, habit: list[str]) -> None:
    """Too many lines of noise, a message that is broken and a batch where there are none end the call, typed."""
    with pytest.raises(RemoteProtocolError):
        run(*habit).echo()


def test_batches_are_read_where_the_revision_has_them(run: Run) -> None:
    """2025-03-26 lets a server put a notification and an answer into one line."""
    heard: list[str] = []
    server = run(
        "batch",
        env={"REVISION": "2025-03-26"},
        callbacks=Callbacks(on_notification=lambda method, _: heard.append(method)),
    )

    assert ("hi", ["n"]) == (server.echo(), heard)


def test_the_oldest_revision_is_spoken_on_stdio(run: Run) -> None:
    """2024-11-05 is accepted, a revision that nobody knows is not."""
    server = run("proper", env={"REVISION": "2024-11-05"})

    assert ("hi", "2024-11-05") == (server.echo(), server.session.protocol_version)
    with pytest.raises(UnsupportedVersionError):
        run("proper", env={"REVISION": "2019-01-01"}).echo()


# Limits


def test_a_line_without_end_is_refused(run: Run) -> None:
    """A line longer than the limit ends the call, and is not kept."""
    server = run("endless", largest=1 << 20)
    with pytest.raises(MessageTooLargeError):
        server.echo()

    assert len(server.transport._child._buffer) < 4 << 20  # type: ignore[union-attr]


def test_a_line_may_be_as_long_as_the_limit(run: Run) -> None:
    """One message just below the limit is read, and one above it is not."""
    assert 60_000 == len(run("proper", largest=64 * 1024).echo("x" * 60_000))
    with pytest.raises(MessageTooLargeError):
        run("proper", largest=64 * 1024).echo("x" * 600_000)


def test_a_full_pipe_in_every_direction_is_no_deadlock(run: Run) -> None:
    """A large request to a server that first fills stderr is written and answered."""
    message = "x" * (2 << 20)

    assert message == run("talk").echo(message)


def test_a_server_that_does_not_read_holds_nobody(run: Run) -> None:
    """Writing to a full pipe ends at the deadline."""
    server = run("deaf")
    with pytest.raises(DeadlineExceededError):
        server.echo(timeout=1)  # it was answered nothing, and reads no more
    begin = time.monotonic()
    with pytest.raises(McpVaultError):
        server.echo("x" * (2 << 20), timeout=0.5)

    assert time.monotonic() - begin < 5


# Era


def test_the_probe_survives_a_server_that_ends(run: Run) -> None:
    """A server that exits on a request before initialize is started again and is legacy; the next run knows that."""
    verdicts = Remembered()
    server = run("exit-on-probe", verdicts=verdicts)

    assert ("hi", "legacy", 2) == (server.echo(), server.session.era, server.starts())
    assert ["legacy"] == list(verdicts.values())

    again = run("exit-on-probe", verdicts=verdicts)
    assert ("hi", 3) == (again.echo(), again.starts())


def test_a_silent_server_is_legacy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer to the probe within its time means initialize, in the same process."""
    monkeypatch.setattr(stdio, "_PROBE", 0.3)
    server = run("silent-probe")

    assert ("hi", "legacy", 1) == (server.echo(), server.session.era, server.starts())


def test_a_late_answer_counts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A modern server that was slow to start is modern, although initialize was on its way."""
    monkeypatch.setattr(stdio, "_PROBE", 0.3)
    server = run("late-probe")

    assert ("hi", "modern", 1) == (server.echo(), server.session.era, server.starts())


@pytest.mark.parametrize("code", [-32601, -32602, -32600, -32603, -32700, -32000, -32002, 0, 1, 404])
def test_any_error_leads_to_initialize(run: Run, code: int) -> None:
    """Falling back hangs on no code: whatever a server does not understand, it is asked to initialize."""
    server = run("probe-error", str(code))

    assert ("hi", "legacy", 1) == (server.echo(), server.session.era, server.starts())


def test_what_was_remembered_and_fails_is_asked_anew(run: Run) -> None:
    """A server that was replaced by one of the other era is spoken to in that, and the memory is corrected."""
    verdicts = Remembered()
    run("modern", verdicts=verdicts).echo()
    (key,) = verdicts
    wrong = Remembered({key: "legacy"})
    server = run("modern", verdicts=wrong)

    assert ("hi", "modern") == (server.echo(), server.session.era)
    assert ["modern"] == list(wrong.values())


@pytest.mark.parametrize(("code", "times"), [(-32000, 1), (-32602, 1), (-32601, 2), (-32022, 2)])
def test_a_call_that_may_have_been_carried_out_is_not_repeated(run: Run, code: int, times: int) -> None:
    """Its error mends the memory and is raised; only what was refused unseen is called again, in the right era."""
    verdicts = Remembered()
    run("half-done", str(code), verdicts=verdicts).session.list_tools()
    (key,) = verdicts
    verdicts[key] = "modern"
    server = run("half-done", str(code), verdicts=verdicts)
    with pytest.raises(RpcError) if times == 1 else nullcontext() as caught:
        server.echo()

    assert (times, "legacy") == (server.came.count("tools/call"), verdicts[key])
    assert caught is None or code == caught.value.code
    assert "hi" == server.echo()


def test_an_era_that_is_given_is_not_asked_for(run: Run) -> None:
    """``era="legacy"`` saves the probe."""
    server = run("exit-on-probe", era="legacy")

    assert ("hi", 1) == (server.echo(), server.starts())
    assert "server/discover" not in server.came


# The end


def test_a_lost_call_is_never_repeated(run: Run) -> None:
    """A process that ends on a call loses it: the error says so and why, and the call reached one server once."""
    for habit in ("die", "die-mid-answer"):
        server = run(habit)
        before = server.came.count("tools/call")
        with pytest.raises(RequestLostError) as caught:
            server.echo()
        assert 1 == server.came.count("tools/call") - before
        assert "ended with status 3" in caught.value.message


def test_restarts_are_bounded(run: Run) -> None:
    """A server that dies on every call is started four times, and then no more."""
    server = run("die")
    for _ in range(4):
        with pytest.raises(RequestLostError):
            server.echo()
    starts = server.starts()
    for _ in range(2):
        with pytest.raises(ConnectFailedError) as caught:
            server.echo()

    assert (4, 4) == (starts, server.starts())
    assert "ended 4 times" in caught.value.message


def test_a_read_is_repeated_once(run: Run) -> None:
    """A list that was lost is asked for again, once; if it is lost again, that is told."""
    server = run("die-on-list")
    with pytest.raises(RequestLostError):
        server.session.list_tools()

    assert (2, 2) == (server.starts(), server.came.count("tools/list"))


def test_a_server_that_ends_between_calls_is_started_again(run: Run) -> None:
    """Nothing was lost, so nobody hears of it."""
    server = run("proper")
    server.echo()
    child = server.transport._child
    assert child is not None
    os.kill(child.pid, 9)
    assert until(lambda: not child.alive())

    assert ("again", 2) == (server.echo("again"), server.starts())


def test_a_command_that_ends_at_once_is_told_with_its_words(run: Run) -> None:
    """What cannot start says why on stderr, and the error repeats that."""
    with pytest.raises(ConnectFailedError) as caught:
        run("die-at-once").echo()

    assert "cannot go on" in caught.value.message


@pytest.mark.parametrize("command", ["/nowhere/to/be/found", "/etc/passwd", "nul\0"], ids=["none", "no program", "nul"])
def test_a_command_that_cannot_be_started_is_a_fault_of_the_entry(command: str) -> None:
    """The error is exit 8 and names the command."""
    transport = StdioTransport(command, env=os.environ, server="odd")
    with pytest.raises(ConfigurationError) as caught:
        transport.open(Deadline(5))

    assert 8 == caught.value.exit_code
    assert repr(command) in caught.value.message


def test_closing_ends_the_whole_family(run: Run) -> None:
    """A grandchild that holds every pipe ends with the server, and closing does not wait for the pipes."""
    server = run("family")
    grandchild, child = int(server.echo()), server.transport._child
    assert child is not None
    assert not gone(grandchild)

    begin = time.monotonic()
    server.session.close()

    assert time.monotonic() - begin < 4
    assert gone(child.pid)
    assert until(lambda: gone(grandchild))


@pytest.mark.parametrize("waited", [False, True])
def test_a_family_outlives_its_head_by_no_more_than_the_session(run: Run, waited: bool) -> None:
    """A server that has ended keeps its number until its group is killed; where it was waited for, nobody is."""
    server = run("family")
    grandchild, child = int(server.echo()), server.transport._child
    assert child is not None
    os.kill(child.pid, 9)
    assert until(lambda: not child.alive())
    if waited:
        os.waitpid(child.pid, 0)
    assert waited == (not Path(f"/proc/{child.pid}").exists())
    server.session.close()

    assert not Path(f"/proc/{child.pid}").exists()
    if waited:
        assert not gone(grandchild)
        os.kill(grandchild, 9)
    assert until(lambda: gone(grandchild))


def test_a_forked_child_does_not_keep_the_server(run: Run) -> None:
    """While a child that was forked lives, closing in the parent still ends the server by the end of its stdin."""
    server = run("proper")
    server.echo()
    child = server.transport._child
    assert child is not None
    held, released = os.pipe()
    forked = os.fork()
    if not forked:
        os.close(released)
        os.read(held, 1)
        os._exit(0)
    server.session.close()
    os.close(released)
    os.waitpid(forked, 0)
    os.close(held)

    assert 0 == child._process.returncode


def test_a_server_that_will_not_go_is_killed(run: Run) -> None:
    """One that ignores the end of stdin and SIGTERM is killed."""
    server = run("stay")
    server.echo()
    child = server.transport._child
    assert child is not None
    child.close(patience=0.1)

    assert gone(child.pid)


def test_nothing_is_left_open(run: Run) -> None:
    """Descriptors are as many after many sessions as before, however they ended."""

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    run("proper").echo()
    begin = count() - 3  # the pipes of the first
    for habit in ("proper", "die", "exit-on-probe", "die-at-once", "garbled"):
        server = run(habit)
        with pytest.raises(McpVaultError) if habit not in ("proper", "exit-on-probe") else ExitStack():
            server.echo()
        server.session.close()

    assert begin + 3 == count()


# Cancellation


def test_a_call_that_is_given_up_is_cancelled(run: Run) -> None:
    """The server hears that nobody waits any more, and the session goes on."""
    server = run("silent")
    with pytest.raises(DeadlineExceededError):
        server.echo(timeout=0.5)

    assert until(lambda: "notifications/cancelled" in server.came)
    assert ["echo"] == [tool.name for tool in server.session.list_tools()]
    assert 1 == server.starts()


def test_an_answer_that_comes_too_late_is_nobodys(run: Run) -> None:
    """What is answered after its call was given up is dropped, and the next requests get their own answers."""
    server = run("late-answer", era="legacy")
    for _ in range(2):
        with pytest.raises(DeadlineExceededError):
            server.echo("late", timeout=0.3)
        assert ["echo"] == [tool.name for tool in server.session.list_tools()]

    assert 2 == server.came.count("notifications/cancelled")
    assert 1 == server.starts()


# Subscriptions


def test_a_subscription_hears_what_carries_its_id(run: Run) -> None:
    """Two at once, and calls beside them: each gets its own, in whichever order it came; nothing is answered."""
    server = run("listens")
    with (
        server.session.listen("a://one", timeout=20) as one,
        server.session.listen("a://two", timeout=20) as two,
    ):
        for order in ((one, two), (two, one)):
            assert "hi" == server.echo()
            assert {one: "a://one", two: "a://two"} == {each: next(each).uri for each in order}

    assert "response" not in server.came
    assert until(lambda: 2 == server.came.count("notifications/cancelled"))


def test_a_process_that_never_agrees_to_a_subscription_is_given_up(run: Run) -> None:
    """The session's time counts until the subscription has begun; the process is told, and goes on."""
    server = run("never-agrees")
    server.echo()
    server.session.timeout = 0.3

    with pytest.raises(DeadlineExceededError):
        server.session.listen("a://one")
    server.session.timeout = 20
    assert "hi" == server.echo()
    assert (1, 1) == (server.starts(), server.came.count("notifications/cancelled"))


def test_a_subscription_outlives_the_process(run: Run) -> None:
    """The server is started again and listened to again; what may have been missed is told."""
    server = run("listens")
    with server.session.listen("a://one", timeout=20) as changes:
        assert server.transport._child is not None
        os.kill(server.transport._child.pid, 9)
        missed = next(changes)
        server.echo()
        told = next(changes)

    assert [("a://one", True), ("a://one", False)] == [(each.uri, each.missed) for each in (missed, told)]
    assert (2, 2) == (server.starts(), server.came.count("subscriptions/listen"))


# stderr and environment


def test_stderr_is_drained_masked_and_at_hand(run: Run) -> None:
    """Megabytes on stderr hold up nothing; the last of it can be read, without the secret in it."""
    server = run("talk", env={"TOKEN": TOKEN})
    server.echo()

    assert until(lambda: "the token is [redacted]" in server.session.stderr_tail)
    assert TOKEN not in server.session.stderr_tail
    assert len(server.session.stderr_tail) <= 8 * 1024


def test_a_server_may_talk_between_calls(run: Run) -> None:
    """A megabyte on stderr while nobody calls holds the server up in nothing, and its last words are at hand."""
    server = run("talk-afterwards")
    for number in (1, 2):
        assert str(number) == server.echo(str(number))
        assert until(lambda count=number: count == server.came.count("said"))
        assert server.session.stderr_tail.endswith(f"e\nsaid last: {number}\n")
    assert 1 == server.starts()


def test_no_thread_is_there_while_a_process_forks() -> None:
    """The thread that reads stderr rests for a fork; then it goes on in the parent, and the child has none."""
    script = """
import os, sys, threading
seen = []
os.register_at_fork(before=lambda: seen.append(threading.active_count()))  # the first comes last
from mcpvault.connectors import StdioConnector
with StdioConnector(sys.executable, sys.argv[1:]) as connector:
    session = connector.session()
    session.call_tool("echo", {"message": "1"})
    seen.append(threading.active_count())
    if not (child := os.fork()):
        os._exit(threading.active_count() + len(session.stderr_tail))
    seen += [threading.active_count(), os.waitpid(child, 0)[1] >> 8, session.call_tool("echo", {"message": "2"}).text()]
print(*seen)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "-IS", SERVER, "proper"], capture_output=True, text=True, check=True, timeout=60
    )

    assert ["2", "1", "2", "1", "2"] == done.stdout.split()


def test_stderr_outlives_the_process(run: Run) -> None:
    """What a server said before it died is there afterwards, masked, in the error too."""
    server = run("die", env={"TOKEN": TOKEN})
    with pytest.raises(RequestLostError) as caught:
        server.echo()

    assert "cannot go on: [redacted]\n" == server.session.stderr_tail
    assert "cannot go on: [redacted]" in caught.value.message
    assert TOKEN not in f"{caught.value!r}{vars(caught.value)}"


def test_the_last_words_of_a_server_are_heard(run: Run) -> None:
    """What it says when its stdin ends is there after the session was closed."""
    for _ in range(5):
        server = run("farewell")
        server.echo()
        server.session.close()
        assert server.session.stderr_tail.endswith("e\ngood bye\n")


def test_secrets_go_into_the_environment_and_nowhere_else(run: Run) -> None:
    """The child has the secret in its environment, not in its arguments, and our own environment is not changed."""
    server = run("proper", env={"TOKEN": TOKEN})
    server.echo()
    child = server.transport._child
    assert child is not None
    place = Path(f"/proc/{child.pid}")

    assert f"TOKEN={TOKEN}".encode() in place.joinpath("environ").read_bytes().split(b"\0")
    assert TOKEN.encode() not in place.joinpath("cmdline").read_bytes()
    assert TOKEN not in json.dumps(dict(os.environ))
    assert TOKEN not in repr(vars(server.transport))
