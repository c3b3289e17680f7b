"""
Streamable HTTP or HTTP+SSE: whichever the server at this URL turns out to speak.

Decides when the older one is tried: where the newer one's ``initialize`` was refused by its status, and never after
a refused credential. Leaves speaking to the two transports.

Spec: MCP 2026-07-28 "Backward Compatibility"; D9.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from mcpvault.deadline import Deadline
from mcpvault.errors import RemoteProtocolError, ServerError
from mcpvault.mcp.callbacks import ClientSide
from mcpvault.mcp.wire import Json, Notify, VerdictStore
from mcpvault.transports.legacy_sse import LegacySseTransport
from mcpvault.transports.outcomes import outcome_of, raised
from mcpvault.transports.streamable_http import StreamableHttpTransport


class EitherTransport:
    """
    The conversation with a server of either kind.

    Args:
        newer: Tried first, unless the older one is remembered.
        older: Tried where the newer one does not fit.
        server: The entry's name, for messages.
        url: What the verdict is remembered under.
        verdicts: Remembers which it was, or None.
    """

    def __init__(
        self,
        newer: StreamableHttpTransport,
        older: LegacySseTransport,
        *,
        server: str,
        url: str,
        verdicts: VerdictStore | None = None,
    ) -> None:
        self._newer = newer
        self._older = older
        self._server = server
        self._key = "sse:" + url.partition("?")[0]
        self._verdicts = verdicts
        self._settled: StreamableHttpTransport | LegacySseTransport | None = None
        self._lock = threading.RLock()

    @property
    def client(self) -> ClientSide:
        """Our side of the conversation."""
        return self._newer.client

    @client.setter
    def client(self, client: ClientSide) -> None:
        self._newer.client = self._older.client = client

    @property
    def server_info(self) -> Json:
        """What the server says it is."""
        return self._spoken.server_info

    @property
    def capabilities(self) -> Json:
        """What the server says it can do."""
        return self._spoken.capabilities

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used."""
        return self._spoken.instructions

    @property
    def era(self) -> str | None:
        """``modern`` or ``legacy`` once it is open."""
        return self._spoken.era

    @property
    def protocol_version(self) -> str | None:
        """The protocol revision spoken, once it is open."""
        return self._spoken.protocol_version

    def open(self, deadline: Deadline) -> None:
        """
        Find out which one it is and open it; does nothing when that is done.

        Raises:
            McpVaultError: As the transport's own ``open``.
        """
        if self._settled is None:
            raised(outcome_of(lambda: self._settle_once(deadline)))
        self._spoken.open(deadline)

    def request(
        self,
        method: str,
        params: Json | None,
        *,
        deadline: Deadline,
        on_notification: Notify | None = None,
        safe: bool = False,
    ) -> Json:
        """Send one request and return its result object; see the transport's own ``request``."""
        self.open(deadline)
        return self._spoken.request(method, params, deadline=deadline, on_notification=on_notification, safe=safe)

    def listen(self, params: Json, deadline: Deadline) -> Iterator[Json]:
        """Yield the notifications of a subscription; see the transport's own ``listen``."""
        self.open(deadline)
        yield from self._spoken.listen(params, deadline)

    def interrupt(self) -> None:
        """Wake whoever waits for an answer, in any thread, so that it looks at its deadline."""
        self._spoken.interrupt()

    def forked(self) -> None:
        """Begin anew in a forked child, and leave what is the parent's alone."""
        self._lock = threading.RLock()
        self._older.forked()
        self._newer.forked()

    def close(self) -> None:
        """End whichever there is."""
        self._older.close()
        self._newer.close()

    @property
    def _spoken(self) -> StreamableHttpTransport | LegacySseTransport:
        return self._settled or self._newer

    def _settle_once(self, deadline: Deadline) -> None:
        with deadline.holding(self._lock, f"{self._server}: finding out its transport", server=self._server):
            if self._settled is None:
                self._settle(deadline)

    def _settle(self, deadline: Deadline) -> None:
        if self._verdicts is not None and self._verdicts.get(self._key) is not None:
            outcome = outcome_of(lambda: self._older.open(deadline))
            if not isinstance(outcome, ServerError):
                self._settled = raised(outcome) or self._older
                return
            self._verdicts.forget(self._key)
        outcome = outcome_of(lambda: self._newer.open(deadline))
        if not self._newer.refused or not isinstance(outcome, RemoteProtocolError):
            self._settled = raised(outcome) or self._newer
            return
        second = outcome_of(lambda: self._older.open(deadline))
        if isinstance(second, RemoteProtocolError):
            raise outcome  # it would be about a stream that nobody has promised
        self._settled = raised(second) or self._older
        if self._verdicts is not None:
            self._verdicts.put(self._key, "legacy")
