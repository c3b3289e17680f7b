"""
The half of a session that talks: opening, one request and its rounds, lists page by page, what is heard.

Decides what a request carries besides its parameters, and which results are kept. Leaves eras,
framing and sending to the transport, and the names of things to ``session``.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from mcpvault.errors import LoginNeededError, McpVaultError, RemoteProtocolError, RpcError, UsageError
from mcpvault.mcp import types
from mcpvault.mcp.callbacks import NOBODY, Callbacks, ClientSide, LogMessage
from mcpvault.mcp.era import own_meta
from mcpvault.mcp.forks import renew_in_children
from mcpvault.mcp.standing import AuthState, Standing

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.mcp.caching import ResultCache
    from mcpvault.mcp.wire import Authorization, Json, TaskMemory, Transport

MOST_VISITS = 5  # rounds of pages that a person must see before one request
_INVALID_PARAMS, _URL_REQUIRED = -32602, -32042
_OURS = ("initialize", "server/discover", "subscriptions/listen")
_TRACE = ("traceparent", "tracestate", "baggage")


class Conversation(Standing):
    """
    A conversation with one server. The first call opens it; use it as a context manager to end it.

    Args:
        transport: The carrier.
        name: The entry's name, for messages.
        timeout: Seconds that one call may take, all of it.
        on_event: Called with each new ``AuthState``.
        callbacks: What the server may ask for, and what is to be heard.
        authorization: Obtains the grant, where there is one to obtain.
        remedy: Says what helps where there is none and the server refuses.
        tasks: Returns where the ids of tasks are kept for other runs, when there is one to keep.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        name: str,
        timeout: float | None = 300.0,
        on_event: Callable[[AuthState], None] | None = None,
        callbacks: Callbacks | None = None,
        authorization: Authorization | None = None,
        remedy: Callable[[], str] | None = None,
        tasks: Callable[[], TaskMemory] | None = None,
    ) -> None:
        super().__init__(name, timeout, on_event, authorization, remedy)
        self._callbacks = callbacks or NOBODY
        self._client = transport.client = ClientSide(name, self._callbacks)
        self._transport = transport
        self._tasks = tasks
        self._cache: ResultCache | None = None
        self._changes = 0  # how often the server said that something kept may be stale
        self._level_told = False
        self._tokens = itertools.count(1)
        self._lock = threading.RLock()
        renew_in_children(self)
        self._closed = False

    def __enter__(self) -> Self:
        try:
            self._open(self._deadline(None))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def interrupt(self) -> None:
        """Let the calls that other threads have under way look at their deadlines at once."""
        self._transport.interrupt()

    def forked(self) -> None:
        """Begin anew in a forked child: connections, sessions and processes are the parent's, and so are locks."""
        self._lock = threading.RLock()
        self._cache = None
        self._level_told = False
        if self.state is AuthState.READY:
            self.state = AuthState.DISCOVERING
        self._transport.forked()

    def close(self) -> None:
        """End the conversation. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._transport.close()

    @property
    def closed(self) -> bool:
        """Whether it has been closed; another session with the server may be opened."""
        return self._closed

    @property
    def era(self) -> str | None:
        """``modern`` or ``legacy`` once it is open."""
        return self._transport.era

    @property
    def protocol_version(self) -> str | None:
        """The protocol revision spoken, once it is open."""
        return self._transport.protocol_version

    @property
    def server_info(self) -> Json:
        """What the server says it is; do not rely on it (L5)."""
        return self._transport.server_info

    @property
    def capabilities(self) -> Json:
        """What the server says it can do."""
        return self._transport.capabilities

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used."""
        return self._transport.instructions

    @property
    def stderr_tail(self) -> str:
        """The last that a stdio server wrote to stderr, live secrets masked; it outlives the process."""
        return getattr(self._transport, "stderr_tail", "")

    def _open(self, deadline: Deadline) -> None:
        if self._closed:
            raise RuntimeError("the session is closed")
        with deadline.holding(self._lock, f"{self.name}: opening the session", server=self.name):
            before = self.state
            try:
                self._transport.open(deadline)
            except McpVaultError as error:
                self._become(self._after(error))
                raise
            # It may be open and have asked nothing yet: then nobody has looked at the grant.
            answered = bool(self._transport.server_info) and before is AuthState.DISCOVERING
            if self._authorization is None or answered or self.state is not before:
                self._become(AuthState.READY)
        if self._client.log_level is not None and not self._level_told:
            try:
                self._tell_level(self._client.log_level, deadline)
            except RpcError:
                pass  # it says what it says, then

    def _tell_level(self, level: str, deadline: Deadline) -> None:
        """Tell a legacy server which messages are wanted; a modern one reads it in each request (L2)."""
        self._level_told = True
        if self._transport.era == "legacy" and "logging" in self.capabilities:
            self._request("logging/setLevel", {"level": level}, deadline)

    def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        retry: Literal["never", "safe"] = "never",
    ) -> Json:
        """
        Return the result of a request that only an extension knows; ``Callbacks.extensions`` declares it.

        ``_meta`` is added to *params*. *timeout* and *retry* are those of ``call_tool``.

        Raises:
            UsageError: The method, or a key of ``_meta``, is the protocol's own; nothing was sent.
            RpcError: The server does not know it, or answers with an error.
            McpVaultError: See ``call_tool``.
        """
        if method in _OURS or method.startswith("notifications/"):
            raise UsageError(f"request: {method!r} is the session's own")
        own_meta((params or {}).get("_meta"))
        deadline = self._deadline(timeout)
        self._open(deadline)
        return self._request(method, dict(params or {}), deadline, safe=retry == "safe")

    def _request(
        self,
        method: str,
        params: Json | None,
        deadline: Deadline,
        *,
        on_progress: Callable[[Json], None] | None = None,
        meta: Mapping[str, Any] | None = None,
        safe: bool = False,
        keep: bool = False,
    ) -> Json:
        """
        Return the result of one request, after all its rounds.

        Args:
            method: Its method.
            params: Its parameters.
            deadline: For all of it.
            on_progress: Takes the parameters of each progress notification.
            meta: More for its ``_meta``.
            safe: It may be carried out twice.
            keep: Its result may be kept as long as the server says.
        """
        if keep and self._cache is not None and (held := self._cache.get(method, params)) is not None:
            return held
        token = next(self._tokens)
        if on_progress is not None or meta or self._callbacks.trace is not None:
            params = {**(params or {}), "_meta": self._meta(token if on_progress is not None else None, meta)}
        changes = self._changes

        def notified(what: str, facts: Json) -> None:
            if what == "notifications/progress" and on_progress is not None:
                if facts.get("progressToken") == token:
                    on_progress(facts)
            else:
                self._hear(what, facts)

        def ask(asked: Json | None) -> Json:
            return self._transport.request(method, asked, deadline=deadline, on_notification=notified, safe=safe)

        try:
            result = ask(params) if self._callbacks.on_url is None else self._visiting(ask, method, params)
            if result.get("resultType", "complete") == "input_required":
                result = self._carry_on(ask, result, method, params, deadline)
            elif keep and "ttlMs" in result and changes == self._changes:
                self._keep(method, params, result)
        except LoginNeededError as error:
            self._become(self._after(error))
            raise
        self._become(AuthState.READY)
        return result

    def _visiting(self, ask: Callable[[Json | None], Json], method: str, params: Json | None) -> Json:
        """Ask, and again as long as a legacy server names pages to visit first: then it has carried nothing out."""
        for _ in range(MOST_VISITS):
            try:
                return ask(params)
            except RpcError as error:
                if error.code != _URL_REQUIRED or self._transport.era != "legacy":
                    raise
                wanted = error.with_traceback(None)
            from mcpvault.mcp.visits import visit

            visit(wanted, self._callbacks, what=method, server=self.name)
        raise wanted

    def _carry_on(
        self, ask: Callable[[Json], Json], result: Json, method: str, params: Json | None, deadline: Deadline
    ) -> Json:
        if self._transport.era != "modern":
            raise RemoteProtocolError(f"{self.name}: {method}: unexpected resultType", server=self.name)
        from mcpvault.mcp.rounds import carried_on

        return carried_on(ask, result, params, client=self._client, deadline=deadline, what=method, server=self.name)

    def _meta(self, token: int | None, more: Mapping[str, Any] | None) -> Json:
        meta: Json = {}
        if self._callbacks.trace is not None:
            meta.update((name, text) for name, text in self._callbacks.trace().items() if name in _TRACE)
        meta.update(more or {})
        if token is not None:
            meta["progressToken"] = token
        return meta

    def _keep(self, method: str, params: Json | None, result: Json) -> None:
        if self._transport.era == "modern":
            if self._cache is None:
                from mcpvault.mcp.caching import ResultCache

                self._cache = ResultCache()
            self._cache.put(method, params, result)

    def _hear(self, method: str, params: Json) -> None:
        """Take what the server says in between."""
        if method.endswith(("list_changed", "/updated")):
            self._changes += 1
            self._client.heard(method)
            if self._cache is not None:
                self._cache.heard(method, params)
        if method == "notifications/message" and self._callbacks.on_log is not None:
            message = LogMessage.of(params)
            if message.reaches(self._client.log_level):
                self._callbacks.on_log(message)
        elif self._callbacks.on_notification is not None:
            self._callbacks.on_notification(method, params)

    def _authorized_anew(self) -> None:
        # "Caches MUST NOT be shared across authorization contexts"
        self._changes += 1
        self._client.edition = object()
        if self._cache is not None:
            self._cache.forget()

    def _list(self, method: str, key: str, required: str, timeout: float | None) -> list[Json]:
        deadline = self._deadline(timeout)
        self._open(deadline)
        cached = self._cache is not None

        def pages() -> list[Json]:
            ask = partial(self._request, method, deadline=deadline, keep=True)
            return types.all_items(ask, method, key=key, required=required, server=self.name)

        try:
            return pages()
        except RpcError as error:
            # "If a cursor becomes invalid … the client SHOULD discard all cached pages and re-fetch"
            if error.code != _INVALID_PARAMS or not cached or self._cache is None:
                raise
            self._cache.forget(method)
        return pages()
