"""
How a conversation over HTTP begins where no earlier run knows that the server is a modern one.

Decides the era, by ``mcp.judgement`` and by what is remembered, and begins the session of a legacy
server. Leaves when to begin, and when to begin anew, to ``streamable_http``.

Spec: MCP 2026-07-28 "Backward Compatibility"; 2025-11-25 "Lifecycle"; D1-D8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from mcpvault.errors import ForbiddenError, McpVaultError, RequestLostError, ServerError, ServerUnavailableError
from mcpvault.mcp import era as eras
from mcpvault.mcp import jsonrpc, judgement
from mcpvault.secret import Secret
from mcpvault.transports.bodies import error_message, messages_of
from mcpvault.transports.endpoint import ACCEPT, NOTHING, Rejected, Settled
from mcpvault.transports.outcomes import outcome_of, raised

T = TypeVar("T")

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.mcp.wire import Json
    from mcpvault.transports.endpoint import Endpoint
    from mcpvault.transports.opening import Memory


class Handshake:
    """
    The beginning of a conversation; one thread at a time.

    Args:
        endpoint: Is asked, and told what is settled.
        memory: Of the server's era.
    """

    def __init__(self, endpoint: Endpoint, memory: Memory) -> None:
        self._endpoint = endpoint
        self._memory = memory

    def begin(self, era: str, deadline: Deadline) -> None:
        """
        Begin as a server of *era* wants it, or find the era out if it is ``auto``.

        Raises:
            McpVaultError: The server was not reached, refused us, or speaks nothing we do.
        """
        if era == "auto":
            self._probe(deadline)
            return
        failure = outcome_of(lambda: self.initialize(deadline))
        if isinstance(failure, ServerError) and self._memory.unconfirmed:
            self.probe_again(deadline)
        else:
            raised(_harmless(failure))

    def probe_again(self, deadline: Deadline) -> None:
        """What was remembered has just failed: forget it, and find it out."""
        self._memory.forget()
        self._probe(deadline)

    def initialize(self, deadline: Deadline) -> None:
        """Begin a legacy session; one that is half begun is ended."""
        result, session_id = self._initialized(deadline)
        if isinstance(result, Rejected):
            self._endpoint.refused = True
            raise self._endpoint.rejection_error(
                result,
                "initialize",
                hint="is this the MCP endpoint? if the server is one of 2024-11-05 (HTTP+SSE), "
                f"run: mcpvault set {self._endpoint.server} transport sse",
            )
        begun = Settled(session_id=session_id)
        try:
            begun = begun.replaced(version=judgement.accepted(result, eras.LEGACY_HTTP, server=self._endpoint.server))
            self._endpoint.settle(begun)
            self._endpoint.notify(jsonrpc.notification("notifications/initialized"), deadline)
        except BaseException:
            self._endpoint.settle(NOTHING)
            self._endpoint.end(begun)
            raise
        self._learn(result)
        self._endpoint.settle(begun.replaced(era="legacy"))

    def _probe(self, deadline: Deadline) -> None:
        outcome = outcome_of(lambda: self._discovered(deadline))
        if isinstance(outcome, ForbiddenError):
            # There are gateways that refuse methods they do not know: worth one question, but no evidence (D7).
            if outcome_of(lambda: self.initialize(deadline)) is not None:
                raise outcome
            return
        verdict = judgement.judge_discover(*raised(_harmless(outcome)))
        if verdict.era == "modern":
            self._endpoint.settle(Settled("modern", eras.MODERN))
            self._learn(verdict.discovered or {})
        elif verdict.era == "legacy":
            self.initialize(deadline)
        else:
            raise judgement.undecided(verdict, server=self._endpoint.server)
        self._memory.keep(verdict.era)

    def _discovered(self, deadline: Deadline) -> tuple[int, Json | None]:
        """Ask ``server/discover``; return the status and the JSON-RPC message, None where there is none."""
        endpoint = self._endpoint
        params = eras.modern_params(None, endpoint.client.meta)
        headers = ACCEPT | eras.modern_headers("server/discover", params)
        asked = jsonrpc.Numbered(endpoint.ids, "server/discover", params)
        answer = endpoint.send(asked, headers, deadline, safe=True)
        try:
            endpoint.check(answer, "server/discover")
            if answer.status != 200:
                return answer.status, error_message(answer)
            for message in messages_of(answer, largest=endpoint.largest):
                if jsonrpc.is_answer(message, asked.id):
                    return 200, message
            return 200, None
        finally:
            answer.close()

    def _initialized(self, deadline: Deadline) -> tuple[Json | Rejected, Secret | None]:
        """Ask ``initialize``; return its outcome and the session id. It is never cancelled."""
        endpoint = self._endpoint
        params = eras.initialize_params(capabilities=endpoint.client.capabilities)
        asked = jsonrpc.Numbered(endpoint.ids, "initialize", params)
        answer = endpoint.send(asked, ACCEPT, deadline, safe=True)
        session_id = Secret(answer.headers["Mcp-Session-Id"]) if "Mcp-Session-Id" in answer.headers else None
        outcome: Json | Rejected | None = None
        try:
            endpoint.check(answer, "initialize")
            outcome = endpoint.read(answer, asked.id, "initialize", params, None, deadline, NOTHING)
            return outcome, session_id
        finally:
            answer.close()
            if outcome is None:
                endpoint.end(Settled(session_id=session_id))

    def _learn(self, facts: Json) -> None:
        endpoint = self._endpoint
        self._memory.unconfirmed = False
        endpoint.server_info, endpoint.capabilities, endpoint.instructions = judgement.facts_of(facts)


def _harmless(outcome: T | McpVaultError) -> T | McpVaultError:
    """Return *outcome*; where it is a lost answer, what that is at a beginning, which does nothing at the server."""
    if isinstance(outcome, RequestLostError):
        return ServerUnavailableError(outcome.message, hint="try again later", server=outcome.server)
    return outcome
