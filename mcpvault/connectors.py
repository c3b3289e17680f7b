"""
One server, no configuration: ``HttpConnector`` and ``StdioConnector``.

What they accept is what an entry of ``MCPClient`` accepts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from mcpvault import mcp_use
from mcpvault.client import MCPClient
from mcpvault.mcp.session import Session
from mcpvault.secret import Secret

if TYPE_CHECKING:
    from mcpvault.connect import Auth
    from mcpvault.mcp.callbacks import Callbacks


def _secret(value: str | Secret) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


class _Connector:
    _entry: Mapping[str, Any]
    _name: str

    def __init__(self) -> None:
        self._client = MCPClient(env=os.environ)
        self._client.add_server(self._name, **self._entry)
        self._timeout = self._entry.get("timeout")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def session(self, callbacks: Callbacks | None = None) -> Session:
        """Return the session; the same one while it is open, with the callbacks of the first time."""
        return self._client.session(self._name, callbacks=callbacks)

    def close(self) -> None:
        """End the session."""
        self._client.close_all()


class HttpConnector(_Connector):
    """
    One server over Streamable HTTP: ``HttpConnector(url, auth_token=…).session()``.

    Args:
        url: The MCP endpoint.
        auth_token: A bearer token, as text, ``Secret`` or ``${NAME}``; None for none, an empty one is refused.
        headers: Further headers.
        auth: A ``requests`` authentication or an ``OAuthProvider``, instead of a token.
        oauth: As in an entry of ``MCPClient``; ``True`` if there is nothing to say about it.
        timeout: Seconds that one call may take.
        transport: ``sse`` for a server of 2024-11-05, ``auto`` to try that where Streamable HTTP is refused.
        name: What messages call the server.
    """

    def __init__(
        self,
        url: str,
        *,
        auth_token: str | Secret | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        auth: Auth | None = None,
        oauth: Mapping[str, Any] | bool | None = None,
        timeout: int | None = None,
        transport: str | None = None,
        name: str = "server",
    ) -> None:
        self._name = name
        # Wrapped at once: a traceback of what follows must not show what the caller has passed.
        auth_token = Secret(auth_token) if isinstance(auth_token, str) else auth_token
        headers = {key: _secret(value) for key, value in headers.items()} if headers is not None else None
        oauth = mcp_use.sheltered(oauth)
        given = {"url": url, "auth_token": auth_token, "headers": headers, "auth": auth, "oauth": oauth}
        given |= {"timeout": timeout, "transport": transport}
        self._entry = {key: value for key, value in given.items() if value is not None}
        super().__init__()


class StdioConnector(_Connector):
    """
    One server as a child process: ``StdioConnector("npx", ["-y", "some-server"]).session()``.

    Args:
        command: The program.
        args: Its arguments.
        env: Variables for it, besides the few that every child gets.
        cwd: The folder it starts in.
        timeout: Seconds that one call may take.
        name: What messages call the server.
    """

    def __init__(
        self,
        command: str,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str | Secret] | None = None,
        cwd: str | None = None,
        timeout: int | None = None,
        name: str = "server",
    ) -> None:
        self._name = name
        env = {key: _secret(value) for key, value in env.items()} if env is not None else None
        given = {"command": command, "args": list(args), "env": env, "cwd": cwd, "timeout": timeout}
        self._entry = {key: value for key, value in given.items() if value is not None}
        super().__init__()
