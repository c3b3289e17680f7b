"""A name that nobody resolves holds a call no longer than a server that does not answer."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mcpvault.deadline import Deadline
from mcpvault.errors import ConnectFailedError, DeadlineExceededError
from mcpvault.http import Timeouts
from mcpvault.http.connection import dial
from mcpvault.http.policy import Allowance
from mcpvault.http.resolution import Unresolved, resolve

_FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]


class Resolver:
    """The system's resolver, which answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.asking = threading.Event()
        self.answers = threading.Event()

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        """Answer late."""
        self.asked.append(host)
        self.asking.set()
        assert self.answers.wait(30)
        if host == "missing.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return _FOUND


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    """Put a resolver in the place of the system's that is silent until ``answers`` is set."""
    silent = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", silent)
    yield silent
    silent.answers.set()
    for thread in threading.enumerate():
        if thread.name == "mcpvault-resolution":
            thread.join()


@pytest.mark.parametrize(
    ("timeouts", "expected", "message"),
    [
        (Timeouts(total=0.2), DeadlineExceededError, "http://slow.example:80: no answer within 0.2 s"),
        (
            Timeouts(connect=0.2, total=30),
            ConnectFailedError,
            "http://slow.example:80: the host name was not resolved within 0.2 s",
        ),
    ],
    ids=["total", "connect"],
)
def test_a_silent_resolver_is_left(
    session_to: Callable[..., Any], resolver: Resolver, timeouts: Timeouts, expected: type[Exception], message: str
) -> None:
    """The call ends when its time, or the time for connecting, is over, and says what it waited for."""
    session = session_to("http://slow.example:80", allow_http=True, timeout=timeouts, retries=0)
    began = time.monotonic()

    with pytest.raises(expected) as caught:
        session.get("http://slow.example:80/mcp")

    assert message == caught.value.message  # type: ignore[attr-defined]
    assert 3 > time.monotonic() - began


def test_one_resolver_is_left_behind_for_one_name(resolver: Resolver) -> None:
    """Whoever asks for the same name again while nobody has answered waits for the same resolver."""
    for _ in range(5):
        with pytest.raises(Unresolved):
            resolve("slow.example", 443, 0.01)
    resolver.answers.set()

    assert _FOUND == resolve("slow.example", 443, 30)
    assert 2 >= len(resolver.asked)


def test_a_later_question_is_a_new_one(resolver: Resolver) -> None:
    """No answer is kept: a name that moves is followed."""
    resolver.answers.set()
    resolve("moves.example", 443, 30)
    resolve("moves.example", 443, 30)

    assert ["moves.example"] * 2 == resolver.asked


def test_what_the_resolver_says_reaches_everybody_who_asked(resolver: Resolver) -> None:
    """Two threads that wait for one resolver both learn that there is no such name."""
    errors: list[socket.gaierror] = []

    def ask() -> None:
        try:
            resolve("missing.example", 443, 30)
        except socket.gaierror as e:
            errors.append(e)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    threads[0].start()
    assert resolver.asking.wait(30)
    threads[1].start()
    resolver.answers.set()
    for thread in threads:
        thread.join()

    assert [socket.EAI_NONAME] * 2 == [e.errno for e in errors]
    assert errors[0] is not errors[1]


@pytest.mark.parametrize(("host", "seconds"), [("127.0.0.1", 5.0), ("localhost", None)])
def test_what_takes_no_time_takes_no_thread(monkeypatch: pytest.MonkeyPatch, host: str, seconds: float | None) -> None:
    """An address is read where it is asked for, and so is a name that may take as long as it likes."""
    threads: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", threads.append)
    total = math.inf if seconds is None else seconds
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        allowance = Allowance(Deadline(seconds), connect=total, read=math.inf)
        dial(host, port, allowance, lambda _: None).close()

    assert [] == threads


def test_where_no_thread_can_begin_the_name_is_resolved_all_the_same(
    monkeypatch: pytest.MonkeyPatch, resolver: Resolver
) -> None:
    """An interpreter that is ending starts no threads; the last words to a server are still sent."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    resolver.answers.set()
    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert _FOUND == resolve("last.example", 443, 5)
