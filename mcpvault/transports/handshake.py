"""
How a conversation over HTTP begins: the era that the server speaks, and the session of a legacy one.

Decides the era, by ``mcp.era``'s judgement and by what is remembered. Leaves when to begin, and when to
begin anew, to ``streamable_http``.

Spec: MCP 2026-07-28 "Backward Compatibility"; 2025-11-25 "Lifecycle"; D1-D8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpvault.errors import ForbiddenError, ServerError
from mcpvault.mcp import era as eras
from mcpvault.mcp import jsonrpc
from mcpvault.transports.outcomes import outcome_of, raised
from mcpvault.transports.settled import NOTHING, Rejected, Settled

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.mcp.wire import Json
    from mcpvault.transports.endpoint import Endpoint
    from mcpvault.transports.memory import Memory


class Handshake:
    """
    The beginning of a conversation, and what the server has said of itself in it; one thread at a time.

    Args:
        endpoint: Is asked, and told what is settled.
        memory: Of the server's era.
        server: The entry's name, for messages.

    Attributes:
        server_info: What the server says it is.
        capabilities: What it says it can do.
        instructions: How it wants to be used.
        refused: ``initialize`` was, by its status: perhaps the server is an older one.
    """

    def __init__(self, endpoint: Endpoint, memory: Memory, *, server: str) -> None:
        self.server_info: Json = {}
        self.capabilities: Json = {}
        self.instructions: str | None = None
        self.refused = False
        self._endpoint = endpoint
        self._memory = memory
        self._server = server

    def begin(self, deadline: Deadline) -> None:
        """
        Settle the era that the entry names or the memory knows, or find it out.

        Raises:
            McpVaultError: The server was not reached, refused us, or speaks nothing we do.
        """
        era = self._memory.recall()
        if era == "modern":
            self._endpoint.settle(Settled("modern", eras.MODERN))
        elif era == "auto":
            self._probe(deadline)
        else:
            failure = outcome_of(lambda: self.initialize(deadline))
            if isinstance(failure, ServerError) and self._memory.unconfirmed:
                self.probe_again(deadline)
            else:
                raised(failure)

    def probe_again(self, deadline: Deadline) -> None:
        """What was remembered has just failed: forget it, and find it out."""
        self._memory.forget()
        self._probe(deadline)

    def initialize(self, deadline: Deadline) -> None:
        """Begin a legacy session; one that is half begun is ended."""
        result, session_id = self._endpoint.initialize(deadline)
        if isinstance(result, Rejected):
            self.refused = True
            raise self._endpoint.rejection_error(
                result,
                "initialize",
                hint="is this the MCP endpoint? if the server is one of 2024-11-05 (HTTP+SSE), "
                f"run: mcpvault set {self._server} transport sse",
            )
        begun = Settled(session_id=session_id)
        try:
            begun = begun.replaced(version=eras.accepted(result, eras.LEGACY_HTTP, server=self._server))
            self._endpoint.settle(begun)
            self._endpoint.notify(jsonrpc.notification("notifications/initialized"), deadline)
        except BaseException:
            self._endpoint.settle(NOTHING)
            self._endpoint.end(begun)
            raise
        self._learn(result)
        self._endpoint.settle(begun.replaced(era="legacy"))

    def _probe(self, deadline: Deadline) -> None:
        outcome = outcome_of(lambda: self._endpoint.discover(deadline))
        if isinstance(outcome, ForbiddenError):
            # There are gateways that refuse methods they do not know: worth one question, but no evidence (D7).
            if outcome_of(lambda: self.initialize(deadline)) is not None:
                raise outcome
            return
        verdict = eras.judge_discover(*raised(outcome))
        if verdict.era == "modern":
            self._endpoint.settle(Settled("modern", eras.MODERN))
            self._learn(verdict.discovered or {})
        elif verdict.era == "legacy":
            self.initialize(deadline)
        else:
            raise eras.undecided(verdict, server=self._server)
        self._memory.keep(verdict.era)

    def _learn(self, facts: Json) -> None:
        self._memory.unconfirmed = False
        self.server_info, self.capabilities, self.instructions = eras.facts_of(facts)
