"""
HTTP+SSE, as 2024-11-05 had it: one stream that stays open, messages posted beside it, answers on the stream.

Decides when the stream is opened again. Leaves messages to ``channel``; connections and credentials to the
exchange. Only for entries that ask for it: "new implementations SHOULD NOT adopt" it.

Spec: MCP 2024-11-05 "HTTP with SSE"; 2026-07-28 "Backward Compatibility" (D9).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urljoin

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, OriginMismatchError, RemoteProtocolError, RequestLostError
from mcpvault.mcp import era as eras
from mcpvault.mcp import jsonrpc, judgement
from mcpvault.mcp.callbacks import ClientSide
from mcpvault.mcp.wire import HttpAnswer, HttpExchange, Json, Notify
from mcpvault.quoting import quote
from mcpvault.transports.bodies import LARGEST, media_type, problem_of
from mcpvault.transports.channel import Channel, new_id
from mcpvault.transports.event_pipe import EventPipe
from mcpvault.transports.opening import Opening
from mcpvault.transports.outcomes import outcome_of, raised
from vault_schema import SchemaError, origin_of

_LONGEST_ENDPOINT = 8192  # bytes


class LegacySseTransport:
    """
    The conversation with one server; opened by the first request.

    Args:
        exchange: Sends requests to the URL of the stream.
        server: The entry's name, for messages.
        largest: The most bytes that one message may have.

    Attributes:
        client: Our side of the conversation.
    """

    def __init__(self, exchange: HttpExchange, *, server: str, largest: int = LARGEST) -> None:
        self.server_info: Json = {}
        self.capabilities: Json = {}
        self.instructions: str | None = None
        self.client = ClientSide(server)
        self._exchange = exchange
        self._server = server
        self._largest = largest
        self._channel: Channel[EventPipe] | None = None
        self._opening = Opening("opening the stream", end=self._end, interrupt=self.interrupt, server=server)

    @property
    def era(self) -> str | None:
        """``legacy`` once it is open."""
        return self._channel.era if self._channel is not None else None

    @property
    def protocol_version(self) -> str | None:
        """The protocol revision spoken, once it is open."""
        return self._channel.version if self._channel is not None else None

    def open(self, deadline: Deadline) -> None:
        """
        Open the stream and initialize; does nothing while it is open.

        Raises:
            McpVaultError: The server was not reached, refused us, or offers no such stream.
        """
        if self.era is None:
            raised(outcome_of(lambda: self._opened(deadline)))

    def request(
        self,
        method: str,
        params: Json | None,
        *,
        deadline: Deadline,
        on_notification: Notify | None = None,
        safe: bool = False,
    ) -> Json:
        """
        Return the result object of one request; *safe*: it may be carried out twice.

        Raises:
            RpcError: The server answered with an error.
            RequestLostError: The stream broke off; nothing is repeated that may have been executed.
            McpVaultError: As ``mcpvault.mcp.Session.call_tool``.
        """

        def attempt() -> Json:
            return self._attempt(method, params, deadline, on_notification)

        outcome = outcome_of(attempt)
        if isinstance(outcome, RequestLostError) and (safe or eras.is_safe(method)) and not deadline.expired():
            outcome = outcome_of(attempt)
        return raised(outcome)

    def listen(self, params: Json, deadline: Deadline) -> Iterator[Json]:
        """
        Yield every change that the server tells of.

        Raises:
            RequestLostError: The stream broke off.
            McpVaultError: As ``request``.
        """
        channel = raised(outcome_of(lambda: self._opened(deadline)))
        if not (yield from channel.listen(params, deadline)):
            raise self._lost(channel, "listening")

    def interrupt(self) -> None:
        """Wake whoever waits for an answer, in any thread: the stream ends."""
        self._exchange.interrupt()

    def forked(self) -> None:
        """Leave the stream to the parent; the next request opens one of our own."""
        self._channel = None
        self._opening.forked()

    def close(self) -> None:
        """End the stream, and with it the session, and the opening that another thread is at."""
        self._opening.close()

    def _end(self) -> None:
        self._drop()
        self._exchange.close()

    def _attempt(self, method: str, params: Json | None, deadline: Deadline, on_notification: Notify | None) -> Json:
        channel = self._opened(deadline)
        message = channel.ask(new_id(), method, params, deadline, on_notification)
        if message is None:
            raise self._lost(channel, method)
        return jsonrpc.result_of(message, method, params, server=self._server)

    def _opened(self, deadline: Deadline) -> Channel[EventPipe]:
        channel = self._channel
        if channel is None or not channel.child.alive():
            channel = self._opening.alone(deadline, self._open_anew)
        return channel

    def _open_anew(self, deadline: Deadline) -> Channel[EventPipe]:
        channel = self._channel
        if channel is not None and channel.child.alive():
            return channel
        self._drop()
        channel = Channel(self._pipe(deadline), server=self._server, client=self.client)
        try:
            self._initialize(channel, deadline)
        except BaseException:
            channel.child.close()
            raise
        self._channel = channel
        return channel

    def _initialize(self, channel: Channel[EventPipe], deadline: Deadline) -> None:
        params = eras.initialize_params(capabilities=self.client.capabilities)
        message = channel.ask(new_id(), "initialize", params, deadline, cancels=False)
        if message is None:
            raise RemoteProtocolError(f"{self._server}: the stream ended during initialize", server=self._server)
        result = jsonrpc.result_of(message, "initialize", params, server=self._server)
        channel.version = judgement.accepted(result, eras.LEGACY_STDIO, server=self._server)
        channel.notify(jsonrpc.notification("notifications/initialized"), deadline)
        channel.era = "legacy"
        self.server_info, self.capabilities, self.instructions = judgement.facts_of(result)

    def _pipe(self, deadline: Deadline) -> EventPipe:
        """Open the stream and read where messages go."""
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        answer = self._exchange.send("GET", headers, None, deadline, safe=True)
        pipe: EventPipe | None = None
        try:
            self._check(answer)
            opening = EventPipe(answer, server=self._server, largest=self._largest)
            opening.posts = self._exchange.at(self._endpoint(opening.first("endpoint", deadline)))
            pipe = opening
            return pipe
        finally:
            if pipe is None:
                answer.close()

    def _check(self, answer: HttpAnswer) -> None:
        problem = problem_of(answer, server=self._server, method="GET")
        if problem is None and (answer.status != 200 or media_type(answer) != "text/event-stream"):
            problem = RemoteProtocolError(
                f"{self._server}: the server offers no event stream (status {answer.status})",
                hint="is this the URL of its stream, often …/sse?",
                server=self._server,
            )
        if problem is not None:
            raise problem

    def _endpoint(self, data: bytes) -> str:
        """
        Return the URL that the server names for messages.

        Raises:
            RemoteProtocolError: It is none.
            OriginMismatchError: It leads elsewhere, where the credential is not for.
        """
        try:
            url = urljoin(self._exchange.url, data.decode("ascii")) if len(data) <= _LONGEST_ENDPOINT else ""
            origin = origin_of(url.partition("#")[0])
        except (SchemaError, ValueError):
            origin = ""
        if not origin:
            shown = quote(data[:200].decode("utf-8", "replace"))
            raise RemoteProtocolError(
                f"{self._server}: the server names no URL for messages: {shown!r}", server=self._server
            )
        if origin != origin_of(self._exchange.url.partition("?")[0]):
            raise OriginMismatchError(
                f"{self._server}: the server wants messages at {origin}, which the entry is not for; nothing was sent",
                server=self._server,
            )
        return url

    def _lost(self, channel: Channel[EventPipe], method: str) -> McpVaultError:
        channel.child.close()
        return RequestLostError(
            f"{self._server}: {method}: the stream ended before the answer; it may have been carried out",
            hint="find out whether it was, then call it again",
            server=self._server,
        )

    def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.child.close()
