"""
``Callbacks``: what a caller lets a server ask for and wants to hear; ``ClientSide``: the client that the server sees.

Decides which capabilities are declared: one for each callback that is given, and the caller's extensions.
Leaves answering to ``inputs``, loaded when a server asks.

Spec: MCP 2026-07-28 "Elicitation", "Sampling", "Roots", "Logging"; W3C Trace Context.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcpvault.errors import UsageError
from mcpvault.mcp import era, jsonrpc
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.mcp.elicitation import FormElicitation, UrlElicitation
    from mcpvault.mcp.tasks import Task
    from mcpvault.mcp.wire import Json, Notify

TASKS = "io.modelcontextprotocol/tasks"
# "Extension identifiers MUST follow the _meta key naming rules, with a mandatory prefix."
_LABEL, _NAME = "[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?", "[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_EXTENSION = rf"{_LABEL}(?:\.{_LABEL})*/{_NAME}"

TOOLS_CHANGED = "notifications/tools/list_changed"
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")  # RFC 5424 §6.2.1


class LogMessage(Record):
    """What a server logged: one of syslog's eight levels, the logger if it has a name, and any JSON value."""

    level: str
    data: Any
    logger: str | None = None

    @classmethod
    def of(cls, params: Json) -> LogMessage:
        """Return the message of a ``notifications/message``."""
        logger = params.get("logger")
        return cls(str(params.get("level", "info")), params.get("data"), logger if isinstance(logger, str) else None)

    def reaches(self, level: str | None) -> bool:
        """Tell whether it is of *level* or above; an unknown level always is."""
        known = self.level in LEVELS and level in LEVELS
        return not known or LEVELS.index(self.level) >= LEVELS.index(str(level))


class Callbacks(Record):
    """
    What a session does for the server that it talks to. All are optional; none is called from another thread.

    A callback runs inside the call during which the server asks, and its time counts as the call's. What it
    raises ends that call, and is raised from it.

    Args:
        on_elicitation: Fills a form in: returns ``form.accept({…})``, ``form.decline()`` or ``form.cancel()``.
        on_url: Lets a person visit a URL; returns ``visit.accept()`` once they agreed and were there. It is not asked
            about a URL whose host browsers may read otherwise: that is the server's error.
        on_sampling: Takes the parameters of ``sampling/createMessage``; returns a CreateMessageResult, or None to
            decline.
        roots: ``file://`` URIs (or objects with ``uri`` and ``name``), or a function that returns them.
        on_log: Takes each ``LogMessage`` of ``log_level`` and above.
        log_level: ``debug info notice warning error critical alert emergency``.
        on_task: Takes the ``Task`` that a server makes of a call, before it is waited for: keep its ``id``.
        on_notification: Takes method and parameters of everything else that the server says in between.
        trace: Returns ``traceparent``, ``tracestate`` and ``baggage`` to send along with each request.
        extensions: What is declared besides, each with its settings: ``{"com.example/name": {}}``. The caller makes
            of it what there is to make; ``on_task`` declares tasks.
    """

    on_elicitation: Callable[[FormElicitation], Json | None] | None = None
    on_url: Callable[[UrlElicitation], Json | None] | None = None
    on_sampling: Callable[[Json], Json | None] | None = None
    roots: Sequence[str | Json] | Callable[[], Sequence[str | Json]] | None = None
    on_log: Callable[[LogMessage], None] | None = None
    log_level: str = "info"
    on_task: Callable[[Task], None] | None = None
    on_notification: Notify | None = None
    trace: Callable[[], Mapping[str, str]] | None = None
    extensions: Mapping[str, Json] | None = None

    def capabilities(self) -> Json:
        """
        Return the ClientCapabilities of every revision.

        Raises:
            UsageError: An extension has no proper name, no settings, or is not the caller's to declare.
        """
        found: Json = {}
        modes: Json = {
            mode: {} for mode, given in (("form", self.on_elicitation), ("url", self.on_url)) if given is not None
        }
        if modes:
            found["elicitation"] = modes
        if self.on_sampling is not None:
            found["sampling"] = {}
        if self.roots is not None:
            found["roots"] = {}
        for name, settings in (self.extensions or {}).items():
            if not (isinstance(name, str) and re.fullmatch(_EXTENSION, name) and isinstance(settings, Mapping)):
                raise UsageError(f"extensions: {name!r}: expected a name like com.example/name, and an object")
            if name == TASKS:
                raise UsageError(f"extensions: {name!r} is declared by on_task")
            found.setdefault("extensions", {})[name] = dict(settings)
        return found


NOBODY = Callbacks()


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
