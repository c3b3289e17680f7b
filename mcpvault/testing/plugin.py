"""
The pytest plugin: fake servers as fixtures.

Loaded by pytest at start in every project that has mcpvault installed, so it
imports nothing of ours before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mcpvault.testing.authorization_server import FakeAuthorizationServer
    from mcpvault.testing.server import FakeMcpServer


@pytest.fixture
def fake_mcp_servers() -> Iterator[Callable[..., FakeMcpServer]]:
    """Start fake servers with the arguments of ``FakeMcpServer``; they are closed after the test."""
    from contextlib import ExitStack

    from mcpvault.testing.server import FakeMcpServer

    with ExitStack() as stack:

        def start(**options: Any) -> FakeMcpServer:
            return stack.enter_context(FakeMcpServer(**options))

        yield start


@pytest.fixture
def fake_mcp_server(fake_mcp_servers: Callable[..., FakeMcpServer]) -> FakeMcpServer:
    """Start a fake server that speaks both eras and asks for no credential."""
    return fake_mcp_servers()


@pytest.fixture
def fake_authorization_servers() -> Iterator[Callable[..., FakeAuthorizationServer]]:
    """Start authorization servers with the arguments of ``FakeAuthorizationServer``; they are closed after the test."""
    from contextlib import ExitStack

    from mcpvault.testing.authorization_server import FakeAuthorizationServer

    with ExitStack() as stack:

        def start(**options: Any) -> FakeAuthorizationServer:
            return stack.enter_context(FakeAuthorizationServer(**options))

        yield start


@pytest.fixture
def fake_authorization_server(
    fake_authorization_servers: Callable[..., FakeAuthorizationServer],
) -> FakeAuthorizationServer:
    """Start an authorization server that agrees to everything that is asked properly."""
    return fake_authorization_servers()
