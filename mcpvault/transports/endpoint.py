"""
One MCP endpoint over HTTP: a message out, the answer to it back, and what is heard in between.

Decides headers, and what each status and stream means for one request. Leaves the era to ``handshake``,
and what is asked again to ``streamable_http``. A request keeps to what was settled when it was asked,
whatever other threads settle meanwhile; who finds that it failed can tell by ``is`` whether that still stands.

Spec: MCP 2026-07-28 and 2025-11-25 "Streamable HTTP".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mcpvault.deadline import Deadline
from mcpvault.errors import DeadlineExceededError, McpVaultError, RemoteProtocolError, RequestLostError, RpcError
from mcpvault.mcp import era as eras
from mcpvault.mcp import jsonrpc
from mcpvault.mcp.callbacks import ClientSide
from mcpvault.transports.bodies import error_message, media_type, messages_of, problem_of
from mcpvault.transports.outcomes import outcome_of, raised
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.mcp.wire import HttpAnswer, HttpExchange, Json, Meanwhile, Notify
    from mcpvault.secret import Secret
    from mcpvault.transports.side_stream import SideStream

ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
_ACCEPT_STREAM = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
_GOODBYE = 2.0  # seconds for the DELETE of a session
_ASIDE = 0.5  # seconds for a cancellation, when the time is over already


class Settled(Record):
    """
    What a conversation has settled: era, revision and session.

    ``era`` is ``modern``, ``legacy``, or None before that is known; ``session_id``, of a legacy
    session, is as good as a credential (T41).
    """

    era: str | None = None
    version: str | None = None
    session_id: Secret | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that say so in a legacy request."""
        headers = {}
        if self.version is not None:
            headers["MCP-Protocol-Version"] = self.version
        if self.session_id is not None:
            headers["Mcp-Session-Id"] = self.session_id.reveal()
        return headers


NOTHING = Settled()


class Rejected(Record):
    """A request that was not carried out, and no JSON-RPC error says why."""

    status: int
    session_gone: bool = False


class Endpoint:
    """
    The endpoint and what the conversation with it has settled, for many threads.

    Args:
        exchange: Sends requests to it.
        server: The entry's name, for messages.
        largest: The most bytes that one message may have.

    Attributes:
        settled: Era, version and session.
        server_info: What the server says it is.
        capabilities: What it says it can do.
        instructions: How it wants to be used.
        refused: ``initialize`` was, by its status: perhaps the server is an older one.
        client: Our side of the conversation.
        ids: Of requests, each once.
        side: The stream on which a legacy server speaks by itself, where somebody takes what it says.
    """

    def __init__(self, exchange: HttpExchange, *, server: str, largest: int) -> None:
        self.settled = NOTHING
        self.server_info: Json = {}
        self.capabilities: Json = {}
        self.instructions: str | None = None
        self.refused = False
        self.client = ClientSide(server)
        self.side: SideStream | None = None
        self.server = server
        self.largest = largest
        self.ids = itertools.count(1)
        self._exchange = exchange

    def settle(self, settled: Settled) -> None:
        """Go on in this era, version and session."""
        if self.side is not None and settled.session_id != self.settled.session_id:
            self.side.close()
            self.side = None
        self.settled = settled

    def ask(
        self,
        settled: Settled,
        method: str,
        params: Json | None,
        deadline: Deadline,
        on_notification: Notify | None,
        *,
        safe: bool,
        mirrored: Mapping[str, str] | None = None,
    ) -> Json | Rejected:
        """
        Send a request under a new id and return its result; it keeps to what is *settled* when it is asked.

        *safe*: it may be sent twice, under another id. *mirrored*: the headers that mirror its arguments (T6).

        Raises:
            RequestLostError: The answer did not come, or not whole.
            McpVaultError: What the status or the answer says.
        """
        if settled.era == "modern":
            params = eras.modern_params(params, self.client.meta)
            headers = ACCEPT | eras.modern_headers(method, params)
            if mirrored:
                headers |= mirrored
        else:
            headers = ACCEPT | settled.headers()
        asked = jsonrpc.Numbered(self.ids, method, params)
        side = self.side
        meanwhile = side.during(on_notification, deadline) if side is not None else None
        answer: HttpAnswer | None = None
        try:
            answer = self.send(asked, headers, deadline, safe=safe, meanwhile=meanwhile)
            self.check(answer, method)
            return self.read(answer, asked.id, method, params, on_notification, deadline, settled)
        except McpVaultError as error:
            if isinstance(error, DeadlineExceededError):
                self._cancel(asked.id)
            raise
        except BaseException as error:  # Ctrl-C, or a callback that failed
            self._cancel(asked.id)
            if meanwhile is None:
                raise
            reason: BaseException = getattr(error, "reason", error)
        finally:
            if answer is not None:
                answer.close()
        raise reason

    def stream(self, last_event_id: str, deadline: Deadline) -> HttpAnswer | None:
        """
        Open the event stream of a legacy server, after *last_event_id* where there is one; None if it offers none.

        Raises:
            McpVaultError: It was not reached, or refuses us.
        """
        headers = _ACCEPT_STREAM | self.settled.headers()
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        answer = self._exchange.send("GET", headers, None, deadline, safe=True)
        problem = problem_of(answer, server=self.server, method="GET")
        if problem is None and answer.status == 200 and media_type(answer) == "text/event-stream":
            return answer
        answer.close()
        if problem is not None:
            raise problem
        return None

    def notify(self, body: bytes, deadline: Deadline) -> None:
        """
        Send a notification or a response of ours to a legacy server.

        Raises:
            McpVaultError: The server does not accept it.
        """
        answer = self.send(body, ACCEPT | self.settled.headers(), deadline)
        try:
            self.check(answer, "notification", accepted=True)
        finally:
            answer.close()

    def end(self, settled: Settled) -> None:
        """End a legacy session as well as it goes."""
        if settled.session_id is not None:
            headers = ACCEPT | settled.headers()
            outcome_of(lambda: self._exchange.send("DELETE", headers, None, Deadline(_GOODBYE)).close())

    def close(self) -> None:
        """End a legacy session as well as it goes, and close the connections."""
        if self.side is not None:
            self.side.close()
        settled, self.settled = self.settled, self.settled.replaced(session_id=None)
        self.end(settled)
        self._exchange.close()

    def _cancel(self, id_: int) -> None:
        # On a modern server closing the stream cancels, on a legacy one it means nothing (T24, T47).
        if self.settled.era == "legacy":
            outcome_of(lambda: self.notify(jsonrpc.cancelled(id_, "gave up"), Deadline(_ASIDE)))

    def check(self, answer: HttpAnswer, method: str, *, accepted: bool = False) -> None:
        """Raise the error that the status alone decides, if it is one."""
        problem = problem_of(answer, server=self.server, method=method, accepted=accepted)
        if problem is not None:
            raise problem

    def read(
        self,
        answer: HttpAnswer,
        id_: int,
        method: str,
        params: Json | None,
        on_notification: Notify | None,
        deadline: Deadline,
        settled: Settled,
    ) -> Json | Rejected:
        """Return the result that *answer* holds for the request *id_*; take what else it holds."""
        if answer.status != 200:
            return self.rejection(answer, method, params, settled)
        if settled.era == "modern":
            messages = messages_of(answer, largest=self.largest)
        else:
            from mcpvault.transports.resumption import resumable

            messages = resumable(self, answer, deadline)
        try:
            for message in messages:
                if jsonrpc.is_answer(message, id_):
                    return jsonrpc.result_of(message, method, params, server=self.server)
                self.hear(message, on_notification, deadline)
        finally:
            messages.close()
        raise self.lost(method)

    def lost(self, method: str) -> RequestLostError:
        """Return the error for an answer that ended without a result."""
        return RequestLostError(
            f"{self.server}: {method}: the answer ended without a result; it may have been carried out",
            hint="find out whether it was, then call it again",
            server=self.server,
        )

    def ended(self, method: str) -> RequestLostError:
        """Return the error for a request that came to a session which had ended; another is open."""
        return RequestLostError(
            f"{self.server}: {method}: the session had ended; a new one is open, and nothing was repeated",
            hint="call it again if that is right",
            server=self.server,
        )

    def rejection(self, answer: HttpAnswer, method: str, params: Json | None, settled: Settled) -> Json | Rejected:
        """Judge 400, 404 and 405: nothing was carried out."""
        if settled.session_id is not None and answer.status == 404:
            return Rejected(404, session_gone=True)
        message = error_message(answer)
        if message is None or message.get("error") is None:
            return Rejected(answer.status)
        outcome = outcome_of(lambda: jsonrpc.result_of(message, method, params, server=self.server))
        if isinstance(outcome, RpcError):
            outcome.refused = True
        return raised(outcome)

    def rejection_error(self, rejected: Rejected, method: str, *, hint: str | None = None) -> RemoteProtocolError:
        """Return the error for a request that stays rejected."""
        said = "the session ended again" if rejected.session_gone else f"unexpected status {rejected.status}"
        return RemoteProtocolError(f"{self.server}: {method}: {said}", hint=hint, server=self.server)

    def hear(self, message: Json, on_notification: Notify | None, deadline: Deadline) -> None:
        """Take what is not the answer: a notification, or a request of a legacy server."""
        method = message.get("method")
        if not isinstance(method, str):
            return  # an answer to nobody: dropped (T26)
        if "id" not in message:
            facts = message.get("params")
            if on_notification is not None:
                on_notification(method, facts if isinstance(facts, dict) else {})
        elif self.settled.era != "modern":
            body = self.client.reply(message)
            # On a second connection, from within the reading of this one: the server may wait for it (T49).
            outcome_of(lambda: self.notify(body, deadline))

    def send(
        self,
        body: bytes | Callable[[], bytes],
        headers: dict[str, str],
        deadline: Deadline,
        *,
        safe: bool = False,
        meanwhile: Meanwhile | None = None,
    ) -> HttpAnswer:
        """Post a message and return the answer, whatever its status."""
        return self._exchange.send("POST", headers, body, deadline, safe=safe, meanwhile=meanwhile)
