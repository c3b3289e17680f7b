"""
Streamable HTTP, in both eras: one POST a message, a JSON document or an event stream back.

Decides the legacy session's life, and what is asked again. Leaves how a conversation begins to
``handshake``, single requests to ``endpoint``; connections, credentials and deadlines on the wire
to the exchange it is given.

Spec: MCP 2026-07-28 and 2025-11-25 "Streamable HTTP".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from mcpvault.errors import McpVaultError, RequestLostError, RpcError
from mcpvault.mcp import era as eras
from mcpvault.transports.bodies import LARGEST
from mcpvault.transports.endpoint import NOTHING, Endpoint, Rejected, Settled
from mcpvault.transports.opening import Memory, Opening
from mcpvault.transports.outcomes import outcome_of, raised

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.mcp.callbacks import ClientSide
    from mcpvault.mcp.wire import HttpExchange, Json, Notify, VerdictStore
    from mcpvault.transports.handshake import Handshake
    from mcpvault.transports.mirroring import Mirrors
    from mcpvault.transports.side_stream import SideStream

_MAY_ASK = frozenset({"tools/call", "prompts/get", "resources/read"})  # what a server may ask back for


def verdict_key_of(url: str) -> str:
    """Return what the era of the server at *url* is remembered under."""
    return url.partition("?")[0]


class StreamableHttpTransport:
    """
    The conversation with one MCP endpoint.

    Args:
        exchange: Sends requests to the endpoint.
        server: The entry's name, for messages.
        era: ``auto`` probes; ``modern`` and ``legacy`` are taken as said.
        verdicts: Remembers what a probe has shown, or None.
        verdict_key: What the verdict is remembered under; the endpoint by default.
        largest: The most bytes that one message may have.
    """

    def __init__(
        self,
        exchange: HttpExchange,
        *,
        server: str,
        era: str = "auto",
        verdicts: VerdictStore | None = None,
        verdict_key: str | None = None,
        largest: int = LARGEST,
    ) -> None:
        self._server = server
        self._memory = Memory(era, verdicts, verdict_key or verdict_key_of(exchange.url))
        self._exchange = exchange
        self._endpoint = Endpoint(exchange, server=server, largest=largest)
        self._mirrors: Mirrors | None = None  # of the tools that have been listed, if any mirrors arguments
        self._opening = Opening(
            "opening the session", end=self._endpoint.close, interrupt=self.interrupt, server=server
        )

    @property
    def client(self) -> ClientSide:
        """Our side of the conversation."""
        return self._endpoint.client

    @client.setter
    def client(self, client: ClientSide) -> None:
        self._endpoint.client = client

    @property
    def server_info(self) -> Json:
        """What the server says it is."""
        return self._endpoint.server_info

    @property
    def capabilities(self) -> Json:
        """What the server says it can do."""
        return self._endpoint.capabilities

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used."""
        return self._endpoint.instructions

    @property
    def refused(self) -> bool:
        """Whether ``initialize`` was, by its status: perhaps the server is an older one."""
        return self._endpoint.refused

    @property
    def era(self) -> str | None:
        """``modern`` or ``legacy`` once it is open."""
        return self._endpoint.settled.era

    @property
    def protocol_version(self) -> str | None:
        """The protocol revision spoken, once it is open."""
        return self._endpoint.settled.version

    def open(self, deadline: Deadline) -> None:
        """
        Find out the era and, in the legacy one, initialize; does nothing the second time.

        Raises:
            McpVaultError: The server was not reached, refused us, or speaks nothing we do.
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
            RequestLostError: The connection broke after sending; nothing is repeated that may have been executed.
            McpVaultError: As ``mcpvault.mcp.Session.call_tool``.
        """
        safe = safe or eras.is_safe(method)
        return raised(outcome_of(lambda: self._request(method, params, deadline, on_notification, safe)))

    def listen(self, params: Json, deadline: Deadline) -> Iterator[Json]:
        """
        Yield what the server says by itself: of a subscription, or on the stream that a legacy server offers.

        Raises:
            RequestLostError: It broke off, or there is no such stream.
            McpVaultError: As ``request``.
        """
        self.open(deadline)
        if self.era == "modern":
            from mcpvault.transports.subscription import listened

            yield from listened(self._endpoint, params, deadline)
            return
        yield from self._side(deadline).listen(deadline)

    def interrupt(self) -> None:
        """Wake whoever waits for an answer, in any thread, so that it looks at its deadline."""
        self._exchange.interrupt()

    def forked(self) -> None:
        """Leave what is the parent's alone: connections, and a legacy session."""
        self._opening.forked()
        self._endpoint.side = None
        if self.era != "modern":
            self._endpoint.settle(NOTHING)

    def close(self) -> None:
        """End the session of a legacy server as well as it goes, and close the connections."""
        self._opening.close()

    def _opened(self, deadline: Deadline) -> Settled:
        """Return what is settled; one thread settles it, where nothing is."""
        while (settled := self._endpoint.settled).era is None:
            self._opening.alone(deadline, self._begin)
        return settled

    def _begin(self, deadline: Deadline) -> None:
        if self._endpoint.settled.era is None:
            era = self._memory.recall()
            if era == "modern":
                self._endpoint.settle(Settled("modern", eras.MODERN))
            else:
                self._handshake().begin(era, deadline)

    def _handshake(self) -> Handshake:
        from mcpvault.transports.handshake import Handshake

        return Handshake(self._endpoint, self._memory)

    def _request(
        self, method: str, params: Json | None, deadline: Deadline, on_notification: Notify | None, safe: bool
    ) -> Json:
        settled = self._opened(deadline)
        mirrored = self._mirrored(settled, method, params, deadline, on_notification)
        outcome = outcome_of(lambda: self._ask(settled, method, params, deadline, on_notification, safe, mirrored))
        if isinstance(outcome, dict):
            self._memory.unconfirmed = False
            return outcome
        if isinstance(outcome, McpVaultError):
            self._mend(settled, outcome, method, params, deadline, on_notification, safe, mirrored)
        elif outcome.session_gone:
            # "the client MUST start a new session by sending a new InitializeRequest" -- MCP 2025-11-25
            self._renew(settled, self._handshake().initialize, deadline)
            if not safe:
                raise self._endpoint.ended(method)
        elif self._doubtful(settled):
            self._renew(settled, self._handshake().probe_again, deadline)
        else:
            raise self._endpoint.rejection_error(outcome, method)
        settled = self._opened(deadline)
        mirrored = self._mirrored(settled, method, params, deadline, on_notification)
        again = self._ask(settled, method, params, deadline, on_notification, safe, mirrored)
        if isinstance(again, Rejected):
            raise self._endpoint.rejection_error(again, method)
        return again

    def _ask(
        self,
        settled: Settled,
        method: str,
        params: Json | None,
        deadline: Deadline,
        on_notification: Notify | None,
        safe: bool,
        mirrored: Mapping[str, str] | None,
    ) -> Json | Rejected:
        if method in _MAY_ASK and settled.era == "legacy" and self.client.answers:
            self._side(deadline)
        edition = self.client.edition
        outcome = self._endpoint.ask(settled, method, params, deadline, on_notification, safe=safe, mirrored=mirrored)
        if method == "tools/list" and settled.era == "modern" and isinstance(outcome, dict):
            mirrors = self._mirrors if params and "cursor" in params else None
            if eras.may_mirror(outcome):
                from mcpvault.transports.mirroring import taken

                mirrors = taken(outcome, mirrors, edition=edition, server=self._server)
            self._mirrors = mirrors
        return outcome

    def _mirrored(
        self, settled: Settled, method: str, params: Json | None, deadline: Deadline, on_notification: Notify | None
    ) -> Mapping[str, str] | None:
        """Return the headers that mirror a call's arguments; tools that may have changed are listed anew first."""
        mirrors = self._mirrors
        if mirrors is None or method != "tools/call" or not params or settled.era != "modern":
            return None
        if mirrors.edition is not self.client.edition:
            self._opening.alone(
                deadline, lambda within: self._list_again(settled, within, on_notification, instead=mirrors)
            )
            mirrors = self._mirrors
        return (mirrors.headers(params) or None) if mirrors is not None else None

    def _list_again(
        self, settled: Settled, deadline: Deadline, on_notification: Notify | None, *, instead: Mirrors | None
    ) -> None:
        """List the tools, unless another thread has done so meanwhile."""
        if self._mirrors is instead:
            from mcpvault.transports.mirroring import listed_again

            self._mirrors = listed_again(self._endpoint, settled, deadline, on_notification, server=self._server)

    def _side(self, deadline: Deadline) -> SideStream:
        """Return the stream on which a legacy server speaks by itself."""

        def begun(_: Deadline) -> SideStream:
            if self._endpoint.side is None:
                from mcpvault.transports.side_stream import SideStream

                self._endpoint.side = SideStream(self._endpoint, server=self._server, largest=self._endpoint.largest)
            return self._endpoint.side

        return self._endpoint.side or self._opening.alone(deadline, begun)

    def _mend(
        self,
        settled: Settled,
        error: McpVaultError,
        method: str,
        params: Json | None,
        deadline: Deadline,
        on_notification: Notify | None,
        safe: bool,
        mirrored: Mapping[str, str] | None,
    ) -> None:
        """Make asking again right, or raise *error*."""
        if isinstance(error, RequestLostError):
            # "a broken stream is a lost request": asked again, under a new id, only where twice is the same as once.
            if safe and not deadline.expired():
                return
        elif isinstance(error, RpcError):
            if self._doubtful(settled) and eras.casts_doubt(error.code):
                mended = outcome_of(lambda: self._renew(settled, self._handshake().probe_again, deadline))
                # Whatever the probe has shown: what may have been carried out is not asked for again.
                if (safe or error.refused) and raised(mended) is None and self.era != settled.era:
                    return
            elif error.code == eras.HEADER_MISMATCH and method == "tools/call" and params and settled.era == "modern":
                # "the client SHOULD call tools/list … then retry": it was refused before it was carried out.
                self._list_again(settled, deadline, on_notification, instead=self._mirrors)
                if self._mirrored(settled, method, params, deadline, on_notification) != mirrored:
                    return
        raise error

    def _doubtful(self, settled: Settled) -> bool:
        """Tell whether nothing has confirmed the era of *settled*, or another thread has just found another one."""
        return self._memory.unconfirmed or self.era != settled.era

    def _renew(self, failed: Settled, settle: Callable[[Deadline], None], deadline: Deadline) -> None:
        """Let *settle* replace what has *failed*, unless another thread has done so meanwhile."""

        def renew(within: Deadline) -> None:
            if self._endpoint.settled is failed:
                self._endpoint.settle(NOTHING)
                settle(within)

        self._opening.alone(deadline, renew)
