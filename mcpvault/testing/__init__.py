"""
Servers to test against, without a network and without a real credential.

    from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

    with FakeMcpServer(era="modern", token="let-me-in") as server:
        ...  # server.url, server.requests, server.misbehave("endless-sse")

    with FakeAuthorizationServer() as issuer, FakeMcpServer(authorization_server=issuer) as server:
        ...  # issuer.issuer, issuer.follow(authorization_url), issuer.redemptions, server.protection

The pytest plugin offers the fixtures ``fake_mcp_server``, ``fake_mcp_servers``,
``fake_authorization_server`` and ``fake_authorization_servers``.
Nothing here is meant to face a network: servers listen on 127.0.0.1 only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcpvault.testing.authorization.jose import SigningKey
    from mcpvault.testing.authorization_server import FakeAuthorizationServer
    from mcpvault.testing.listener import Recorded
    from mcpvault.testing.server import FakeMcpServer

__all__ = ["FakeAuthorizationServer", "FakeMcpServer", "Recorded", "SigningKey"]

_HOME = {
    "FakeAuthorizationServer": "mcpvault.testing.authorization_server",
    "FakeMcpServer": "mcpvault.testing.server",
    "Recorded": "mcpvault.testing.listener",
    "SigningKey": "mcpvault.testing.authorization.jose",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mcpvault.testing' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
