"""Fixtures of the threat tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from threat_house import Victim, victim_in

from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

PUBLIC = "mcp.example.com"


@pytest.fixture
def good() -> Iterator[FakeAuthorizationServer]:
    """The authorization server that the victim trusts."""
    with FakeAuthorizationServer() as issuer:
        yield issuer


@pytest.fixture
def evil() -> Iterator[FakeAuthorizationServer]:
    """An attacker's authorization server; it takes whatever it is sent."""
    with FakeAuthorizationServer() as issuer:
        yield issuer


@pytest.fixture
def server(good: FakeAuthorizationServer) -> Iterator[FakeMcpServer]:
    """An MCP server that takes the tokens of ``good``."""
    with FakeMcpServer(authorization_server=good) as made:
        yield made


@pytest.fixture
def victim(home: Path) -> Iterator[Victim]:
    """A victim with an empty vault."""
    with victim_in(home) as made:
        yield made


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the names below ``example.com`` resolve, to where a server of the test answers; return one of them."""
    look_up = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        return look_up("127.0.0.1" if str(host).endswith(".example.com") else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return PUBLIC
