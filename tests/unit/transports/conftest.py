"""Interactive fake servers and sessions with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from mcpvault import Callbacks, Session
from mcpvault.connectors import HttpConnector
from mcpvault.testing import FakeMcpServer

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
