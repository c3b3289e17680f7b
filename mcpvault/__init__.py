"""
Blocking MCP sessions whose credentials live in one encrypted file.

    import mcpvault

    with mcpvault.connect("linear") as linear:
        for tool in linear.list_tools():
            print(tool.name)

The map of the house: ``connect.py`` is the way of the data, top to bottom;
``vault_schema`` says what a vault file may hold, ``vault`` opens it, ``http``
guards every request, ``mcp`` speaks the protocol, ``transports`` carry it,
``cli`` is the command. Everything raised on purpose is in ``errors``.

Names are loaded on first use (PEP 562), so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpvault._version import VERSION as __version__

if TYPE_CHECKING:
    from mcpvault.client import MCPClient
    from mcpvault.connect import Vault, connect
    from mcpvault.connectors import HttpConnector, StdioConnector
    from mcpvault.errors import McpVaultError
    from mcpvault.login import OAuthProvider
    from mcpvault.mcp.callbacks import Callbacks
    from mcpvault.mcp.session import AuthState, Session
    from mcpvault.pool import Outcome, SessionPool
    from mcpvault.secret import Secret

__all__ = [
    "AuthState",
    "Callbacks",
    "HttpConnector",
    "MCPClient",
    "McpVaultError",
    "OAuthProvider",
    "Outcome",
    "Secret",
    "Session",
    "SessionPool",
    "StdioConnector",
    "Vault",
    "__version__",
    "connect",
]

_HOME = {
    "AuthState": "mcpvault.mcp.session",
    "Callbacks": "mcpvault.mcp.callbacks",
    "HttpConnector": "mcpvault.connectors",
    "MCPClient": "mcpvault.client",
    "McpVaultError": "mcpvault.errors",
    "OAuthProvider": "mcpvault.login",
    "Outcome": "mcpvault.pool",
    "Secret": "mcpvault.secret",
    "Session": "mcpvault.mcp.session",
    "SessionPool": "mcpvault.pool",
    "StdioConnector": "mcpvault.connectors",
    "Vault": "mcpvault.connect",
    "connect": "mcpvault.connect",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mcpvault' has no attribute {name!r}")
    import importlib

    from mcpvault.startup import Loading

    with Loading():
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
