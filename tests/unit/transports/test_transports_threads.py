"""Many threads in one conversation: how long each waits for another, and what happens once for all of them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from transports_waiting import Verdicts, eventually

from mcpvault import Secret, Session
from mcpvault.connectors import HttpConnector
from mcpvault.deadline import Deadline
from mcpvault.errors import ConnectFailedError, DeadlineExceededError, RequestLostError
from mcpvault.http.exchange import RequestsExchange
from mcpvault.http.policy import OriginPolicy
from mcpvault.http.session import new_session
from mcpvault.testing import FakeMcpServer
from mcpvault.transports.either import EitherTransport
from mcpvault.transports.legacy_sse import LegacySseTransport
from mcpvault.transports.outcomes import outcome_of
from mcpvault.transports.stdio import StdioTransport, verdict_key_of
from mcpvault.transports.streamable_http import StreamableHttpTransport

THREADS = 8
Opening = tuple[Any, Callable[[Deadline], object], Callable[[], object]]  # the transport, how it opens, has it begun?


@pytest.fixture
def opening(request: pytest.FixtureRequest, fake_mcp_servers: Callable[..., FakeMcpServer]) -> Iterator[Opening]:
    """Return a transport whose server never answers."""
    server = fake_mcp_servers()
    server.misbehave("hang-before-headers")
    exchange = RequestsExchange(new_session(OriginPolicy(origin=server.url.removesuffix("/mcp"))), server.url)
    newer = StreamableHttpTransport(exchange, server="x", era="auto")
    older = LegacySseTransport(exchange, server="x")
    silent = StdioTransport(sys.executable, ["-ISc", "import sys; sys.stdin.read()"], env=os.environ, server="x")
    either = EitherTransport(newer, older, server="x", url=server.url)
    session = Session(newer, name="x")

    def governed(deadline: Deadline) -> None:
        with deadline.governing():
            session.list_tools()

    openings: dict[str, Opening] = {
        "http": (newer, newer.open, lambda: server.requests),
        "sse": (older, older.open, lambda: server.requests),
        "either": (either, either.open, lambda: server.requests),
        "stdio": (silent, silent.open, lambda: silent._child),
        "session": (session, governed, lambda: server.requests),
    }
    with ExitStack() as stack:
        for each in (newer, older, silent):
            stack.callback(each.close)
        yield openings[request.param]


@pytest.mark.parametrize("opening", ["http", "sse", "either", "stdio", "session"], indirect=True)
def test_nobody_waits_for_another_s_opening_beyond_the_own_deadline(opening: Opening) -> None:
    """A short call ends in its time while a long one opens the conversation, and says that it sent nothing."""
    transport, open_, begun = opening
    long = Deadline(60)
    thread = threading.Thread(target=lambda: outcome_of(lambda: open_(long)))
    thread.start()
    try:
        eventually(begun)
        begin = time.monotonic()
        with pytest.raises(DeadlineExceededError) as caught:
            open_(Deadline(0.2))
        took = time.monotonic() - begin
    finally:
        long.end()
        transport.interrupt()
        thread.join(20)

    assert took < 10
    assert not caught.value.sent
    assert "another thread" in caught.value.message


@pytest.mark.parametrize("opening", ["http", "sse", "either", "stdio", "session"], indirect=True)
def test_closing_ends_the_opening_of_another_thread(opening: Opening) -> None:
    """Whoever closes waits for no opening, and the one that was under way ends with an error that says why."""
    transport, open_, begun = opening
    outcomes: list[object] = []
    long = Deadline(60)
    thread = threading.Thread(target=lambda: outcomes.append(outcome_of(lambda: open_(long))))
    thread.start()
    try:
        eventually(begun)
        begin = time.monotonic()
        transport.close()
        took = time.monotonic() - begin
        thread.join(10)
    finally:
        long.end()
        transport.interrupt()
        thread.join(20)

    assert took < 5
    assert [ConnectFailedError] == [type(each) for each in outcomes]
    assert "closed meanwhile" in str(outcomes[0])
    with pytest.raises((ConnectFailedError, RuntimeError), match="closed"):
        open_(Deadline(5))


def at_once(work: Callable[[], Any]) -> list[Any]:
    """Do *work* in many threads at the same time, and return what each came to, errors included."""
    barrier = threading.Barrier(THREADS, timeout=20)

    def one(_: int) -> Any:
        barrier.wait()
        return outcome_of(work)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


def test_a_lost_session_is_begun_anew_once(fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """All threads find it gone, one initializes, every read goes through, and no session is left behind."""
    server = fake_mcp_servers(era="legacy")
    with HttpConnector(server.url, timeout=20) as connector:
        session = connector.session()
        tools = session.list_tools()
        for loss in range(1, 6):
            server.sessions.clear()

            assert [tools] * THREADS == at_once(session.list_tools)
            assert (1 + loss, 1) == (len(server.called("initialize")), len(server.sessions))

    assert set() == server.sessions


def test_calls_in_a_lost_session_are_told_and_not_repeated(fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """Each call is sent once, into the old session or the one new one; whichever was refused says so."""
    server = fake_mcp_servers(era="legacy")
    with HttpConnector(server.url, timeout=20) as connector:
        session = connector.session()
        session.list_tools()
        server.sessions.clear()
        results = at_once(lambda: session.call_tool("echo", {"message": "x"}))

        assert (THREADS, 2) == (len(server.called("tools/call")), len(server.called("initialize")))
        assert any(isinstance(each, RequestLostError) for each in results)
        assert all(isinstance(each, RequestLostError) or "x" == each.text() for each in results)


def test_a_wrong_memory_is_mended_once(
    fake_mcp_servers: Callable[..., FakeMcpServer], speak: Callable[..., Session]
) -> None:
    """All threads speak the remembered era to a server of the other; one finds out, and every call goes through."""
    server = fake_mcp_servers(era="legacy")
    verdicts = Verdicts({server.url: "modern"})
    session = speak(server, verdicts)

    assert ["x"] * THREADS == at_once(lambda: session.call_tool("echo", {"message": "x"}).text())
    assert {server.url: "legacy"} == verdicts
    assert (1, 1) == (len(server.called("initialize")), len(server.sessions))


def test_a_wrong_memory_of_a_process_is_mended_once(tmp_path: Path) -> None:
    """The same over pipes: one process, one ``initialize``, and every call goes through."""
    server, journal = Path(__file__).with_name("odd_stdio_server.py"), tmp_path / "journal"
    args, given = ["-IS", str(server), "strict"], {"JOURNAL": Secret(str(journal))}
    verdicts = Verdicts({verdict_key_of([sys.executable, *args], None): "modern"})
    transport = StdioTransport(sys.executable, args, env=os.environ, given=given, server="x", verdicts=verdicts)
    with Session(transport, name="x", timeout=20) as session:
        results = at_once(lambda: session.call_tool("echo", {"message": "x"}).text())

    assert ["x"] * THREADS == results
    assert ["legacy"] == [*verdicts.values()]
    assert (1, 1) == tuple(map(journal.read_text().split().count, ("start", "initialize")))
