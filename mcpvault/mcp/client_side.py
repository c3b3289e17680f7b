"""
The client that a server sees: what it declares, what each modern request says of it, what it answers.

Decides nothing: ``Callbacks`` do. Loads the means to answer when a server asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpvault.mcp import era, jsonrpc
from mcpvault.mcp.callbacks import NOBODY, TASKS, Callbacks

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Json

TOOLS_CHANGED = "notifications/tools/list_changed"


class ClientSide:
    """
    Our side of a conversation.

    Args:
        server: The entry's name, for messages.
        callbacks: What the caller lets the server ask for.

    Attributes:
        capabilities: What ``initialize`` declares.
        answers: A server may ask for something besides ``ping``.
        meta: What stands in the ``_meta`` of every modern request.
        edition: Stands for the server's tools; another object as soon as they may have changed.
    """

    def __init__(self, server: str, callbacks: Callbacks = NOBODY) -> None:
        self.callbacks = callbacks
        self.capabilities: Json = callbacks.capabilities()
        self.answers = bool(self.capabilities.keys() - {"extensions"})
        self.meta = era.META
        self.edition = object()
        self._server = server
        self._level = callbacks.log_level if callbacks.on_log is not None else None
        if callbacks is not NOBODY:
            self._describe()

    @property
    def log_level(self) -> str | None:
        """The level that messages are wanted from; None: none are."""
        return self._level

    @log_level.setter
    def log_level(self, level: str | None) -> None:
        self._level = level
        self._describe()

    def heard(self, method: str) -> None:
        """Take a notification: the server's tools may have changed with it."""
        if method == TOOLS_CHANGED:
            self.edition = object()

    def with_tasks(self) -> Json:
        """Return the ``_meta`` of a request that may be answered by a task."""
        declared = {**self.capabilities, "extensions": {**self.capabilities.get("extensions", {}), TASKS: {}}}
        return {**self.meta, era.META_CAPABILITIES: declared}

    def reply(self, message: Json) -> bytes:
        """Return the answer to a request of a legacy server; what a callback raises is raised."""
        if not self.answers or message["method"] == "ping":
            return jsonrpc.reply_to(message)
        from mcpvault.mcp.inputs import reply

        return reply(message, self.callbacks, server=self._server)

    def inputs(self, requests: Json) -> Json:
        """
        Return the ``inputResponses`` for the ``inputRequests`` of a modern server.

        Raises:
            RemoteProtocolError: It asks for something that was not declared, or in a wrong way.
            InputDeclinedError: A callback declines where the protocol has no word for that.
        """
        from mcpvault.mcp.inputs import responses

        return responses(requests, self.callbacks, server=self._server)

    def _describe(self) -> None:
        meta = {**era.META, era.META_CAPABILITIES: self.capabilities}
        self.meta = meta if self._level is None else {**meta, era.META_LOG_LEVEL: self._level}
        if self.callbacks.on_task is not None:
            self.meta = self.with_tasks()
