"""
One MCP endpoint over HTTP: a message out, the answer to it back, and what is heard in between.

Decides headers, and what each status and stream means for one request. Leaves the era,
and what is asked again, to ``streamable_http``.

Spec: MCP 2026-07-28 and 2025-11-25 "Streamable HTTP".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING

from mcpvault.deadline import Deadline
from mcpvault.errors import DeadlineExceededError, McpVaultError, RemoteProtocolError, RequestLostError, RpcError
from mcpvault.mcp import era as eras
from mcpvault.mcp import jsonrpc, replies
from mcpvault.mcp.client_side import ClientSide
from mcpvault.transports.bodies import error_message, media_type, messages_of, problem_of
from mcpvault.transports.outcomes import outcome_of, raised
from mcpvault.transports.settled import NOTHING, Rejected, Settled, session_of

if TYPE_CHECKING:
    from mcpvault.mcp.wire import HttpAnswer, HttpExchange, Json, Meanwhile, Notify
    from mcpvault.secret import Secret
    from mcpvault.transports.side_stream import SideStream

_ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
_ACCEPT_STREAM = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
_GOODBYE = 2.0  # seconds for the DELETE of a session
_ASIDE = 0.5  # seconds for a cancellation, when the time is over already


class Endpoint:
    """
    The endpoint and what the conversation with it has settled, for many threads.

    Attributes:
        settled: Era, version and session.
        client: Our side of the conversation.
        side: The stream on which a legacy server speaks by itself, where somebody takes what it says.
    """

    def __init__(self, exchange: HttpExchange, *, server: str, largest: int) -> None:
        self.settled = NOTHING
        self.client = ClientSide(server)
        self.side: SideStream | None = None
        self._exchange = exchange
        self._server = server
        self._largest = largest
        self._ids = itertools.count(1)

    def settle(self, settled: Settled) -> None:
        """Go on in this era, version and session."""
        if self.side is not None and settled.session_id != self.settled.session_id:
            self.side.close()
            self.side = None
        self.settled = settled

    def discover(self, deadline: Deadline) -> tuple[int, Json | None]:
        """Ask ``server/discover``; return the status and the JSON-RPC message, None where there is none."""
        params = eras.modern_params(None, self.client.meta)
        headers = _ACCEPT | eras.modern_headers("server/discover", params)
        asked = jsonrpc.Numbered(self._ids, "server/discover", params)
        answer = self._send(asked, headers, deadline, safe=True)
        try:
            self._check(answer, "server/discover")
            if answer.status != 200:
                return answer.status, error_message(answer)
            for message in messages_of(answer, largest=self._largest):
                if replies.is_answer(message, asked.id):
                    return 200, message
            return 200, None
        finally:
            answer.close()

    def initialize(self, deadline: Deadline) -> tuple[Json | Rejected, Secret | None]:
        """Ask ``initialize``; return its outcome and the session id. It is never cancelled."""
        params = eras.initialize_params(capabilities=self.client.capabilities)
        asked = jsonrpc.Numbered(self._ids, "initialize", params)
        answer = self._send(asked, _ACCEPT, deadline, safe=True)
        session_id = session_of(answer.headers)
        outcome: Json | Rejected | None = None
        try:
            self._check(answer, "initialize")
            outcome = self._read(answer, asked.id, "initialize", params, None, deadline, NOTHING)
            return outcome, session_id
        finally:
            answer.close()
            if outcome is None:
                self.end(Settled(session_id=session_id))

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
            headers = _ACCEPT | eras.modern_headers(method, params)
            if mirrored:
                headers |= mirrored
        else:
            headers = _ACCEPT | settled.headers()
        asked = jsonrpc.Numbered(self._ids, method, params)
        side = self.side
        meanwhile = side.during(on_notification, deadline) if side is not None else None
        answer: HttpAnswer | None = None
        try:
            answer = self._send(asked, headers, deadline, safe=safe, meanwhile=meanwhile)
            self._check(answer, method)
            return self._read(answer, asked.id, method, params, on_notification, deadline, settled)
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

    def begin(self, method: str, params: Json, deadline: Deadline) -> tuple[int, HttpAnswer]:
        """
        Send a modern request; return its id and its answer, to be read message by message.

        Raises:
            McpVaultError: What the status says.
        """
        id_ = next(self._ids)
        answer = self._send(
            jsonrpc.request(id_, method, params), _ACCEPT | eras.modern_headers(method, params), deadline
        )
        outcome = outcome_of(lambda: self._started(answer, method, params))
        if outcome is not None:
            answer.close()
            raise outcome
        return id_, answer

    def _started(self, answer: HttpAnswer, method: str, params: Json) -> McpVaultError | None:
        self._check(answer, method)
        if answer.status == 200:
            return None
        rejected = self._rejection(answer, method, params, self.settled)
        assert isinstance(rejected, Rejected)  # noqa: S101  # an error is raised, and a result is none here
        return self.rejection_error(rejected, method)

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
        problem = problem_of(answer, server=self._server, method="GET")
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
        answer = self._send(body, _ACCEPT | self.settled.headers(), deadline)
        try:
            self._check(answer, "notification", accepted=True)
        finally:
            answer.close()

    def end(self, settled: Settled) -> None:
        """End a legacy session as well as it goes."""
        if settled.session_id is not None:
            headers = _ACCEPT | settled.headers()
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

    def _check(self, answer: HttpAnswer, method: str, *, accepted: bool = False) -> None:
        problem = problem_of(answer, server=self._server, method=method, accepted=accepted)
        if problem is not None:
            raise problem

    def _read(
        self,
        answer: HttpAnswer,
        id_: int,
        method: str,
        params: Json | None,
        on_notification: Notify | None,
        deadline: Deadline,
        settled: Settled,
    ) -> Json | Rejected:
        if answer.status != 200:
            return self._rejection(answer, method, params, settled)
        modern = settled.era == "modern"
        messages = messages_of(answer, largest=self._largest) if modern else self._resumable(answer, deadline)
        try:
            for message in messages:
                if replies.is_answer(message, id_):
                    return replies.result_of(message, method, params, server=self._server)
                self.hear(message, on_notification, deadline)
        finally:
            messages.close()
        raise self.lost(method)

    def _resumable(self, answer: HttpAnswer, deadline: Deadline) -> Generator[Json, None, None]:
        """Yield the messages of a legacy server's answer; a stream that breaks off is taken up again if it can be."""
        from mcpvault.mcp.sse import SSEDecoder

        decoder = SSEDecoder(self._largest)
        batches = self.settled.version in eras.BATCHES
        try:
            yield from messages_of(answer, largest=self._largest, batches=batches, decoder=decoder)
        except RequestLostError:
            if not decoder.last_event_id:
                raise
        if decoder.last_event_id:
            from mcpvault.transports.resumption import resumed

            yield from resumed(self, decoder, largest=self._largest, deadline=deadline)

    def lost(self, method: str) -> RequestLostError:
        """Return the error for an answer that ended without a result."""
        return RequestLostError(
            f"{self._server}: {method}: the answer ended without a result; it may have been carried out",
            hint="find out whether it was, then call it again",
            server=self._server,
        )

    def ended(self, method: str) -> RequestLostError:
        """Return the error for a request that came to a session which had ended; another is open."""
        return RequestLostError(
            f"{self._server}: {method}: the session had ended; a new one is open, and nothing was repeated",
            hint="call it again if that is right",
            server=self._server,
        )

    def _rejection(self, answer: HttpAnswer, method: str, params: Json | None, settled: Settled) -> Json | Rejected:
        """Judge 400, 404 and 405: nothing was carried out."""
        if settled.session_id is not None and answer.status == 404:
            return Rejected(404, session_gone=True)
        message = error_message(answer)
        if message is None or message.get("error") is None:
            return Rejected(answer.status)
        outcome = outcome_of(lambda: replies.result_of(message, method, params, server=self._server))
        if isinstance(outcome, RpcError):
            outcome.refused = True
        return raised(outcome)

    def rejection_error(self, rejected: Rejected, method: str, *, hint: str | None = None) -> RemoteProtocolError:
        """Return the error for a request that stays rejected."""
        said = "the session ended again" if rejected.session_gone else f"unexpected status {rejected.status}"
        return RemoteProtocolError(f"{self._server}: {method}: {said}", hint=hint, server=self._server)

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

    def _send(
        self,
        body: bytes | Callable[[], bytes],
        headers: dict[str, str],
        deadline: Deadline,
        *,
        safe: bool = False,
        meanwhile: Meanwhile | None = None,
    ) -> HttpAnswer:
        return self._exchange.send("POST", headers, body, deadline, safe=safe, meanwhile=meanwhile)
