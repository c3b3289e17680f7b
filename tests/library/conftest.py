"""Fixtures of the library's OAuth tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from library_house import House

from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer


@pytest.fixture
def build(home: Path) -> Iterator[Callable[..., House]]:
    """Build a house: ``build(policy={…}, env={…}, tool_scopes=…)``; what is not named is the MCP server's."""
    with ExitStack() as stack:

        def made(*, policy: dict[str, Any] | None = None, env: dict[str, str] | None = None, **options: Any) -> House:
            issuer = stack.enter_context(FakeAuthorizationServer(**(policy or {})))
            server = stack.enter_context(FakeMcpServer(authorization_server=issuer, **options))
            house = House(home, issuer, server, env)
            stack.push(house.closing)
            return house

        yield made


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """A house with the OAuth entry ``x``, where nobody has logged in."""
    built = build()
    built.add()
    return built
