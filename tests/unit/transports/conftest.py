"""Interactive fake servers and sessions with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from transports_waiting import Verdicts

from mcpvault import Callbacks, Session
from mcpvault.connectors import HttpConnector
from mcpvault.http.exchange import RequestsExchange
from mcpvault.http.policy import OriginPolicy
from mcpvault.http.session import new_session
from mcpvault.testing import FakeMcpServer
from mcpvault.transports.streamable_http import StreamableHttpTransport

Opened = tuple[FakeMcpServer, Session]


@pytest.fixture
def talk(fake_mcp_servers: Callable[..., FakeMcpServer]) -> Iterator[Callable[..., Opened]]:
    """Start an interactive server and open a session with it: ``talk(era, callbacks)``."""
    with ExitStack() as stack:

        def opened(era: str = "modern", callbacks: Callbacks | None = None, **options: Any) -> Opened:
            server = fake_mcp_servers(era=era, interactive=True, **options)
            connector = stack.enter_context(HttpConnector(server.url, timeout=30))
            return server, stack.enter_context(connector.session(callbacks))

        yield opened


@pytest.fixture
def speak() -> Iterator[Callable[..., Session]]:
    """Open a session with a server: ``speak(server, verdicts, era)``."""
    with ExitStack() as stack:

        def opened(server: FakeMcpServer, verdicts: Verdicts | None = None, era: str = "auto") -> Session:
            exchange = RequestsExchange(new_session(OriginPolicy(origin=server.url.removesuffix("/mcp"))), server.url)
            transport = StreamableHttpTransport(exchange, server="x", era=era, verdicts=verdicts)
            session = Session(transport, name="x", timeout=20)
            stack.callback(session.close)
            return session

        yield opened
