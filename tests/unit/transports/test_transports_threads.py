"""Many threads in one conversation: how long each waits for another, and what happens once for all of them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from transports_waiting import eventually

from mcpvault import Session
from mcpvault.deadline import Deadline
from mcpvault.errors import DeadlineExceededError
from mcpvault.http.exchange import RequestsExchange
from mcpvault.http.policy import OriginPolicy
from mcpvault.http.session import new_session
from mcpvault.testing import FakeMcpServer
from mcpvault.transports.either import EitherTransport
from mcpvault.transports.legacy_sse import LegacySseTransport
from mcpvault.transports.outcomes import outcome_of
from mcpvault.transports.stdio import StdioTransport
from mcpvault.transports.streamable_http import StreamableHttpTransport

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
