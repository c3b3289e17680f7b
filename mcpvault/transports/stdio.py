"""
A server as a child process, one JSON message a line, in both eras.

Decides the era by a probe that survives servers which exit on an unknown first request, and how
often a process that ends is started again. Leaves messages to ``channel``, the process to ``pipes``.

Spec: MCP 2026-07-28 and 2025-11-25 "stdio"; S1–S12.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    ConnectFailedError,
    DeadlineExceededError,
    McpVaultError,
    RequestLostError,
    RpcError,
    ServerError,
)
from mcpvault.mcp import era as eras
from mcpvault.mcp import jsonrpc, judgement
from mcpvault.mcp.callbacks import ClientSide
from mcpvault.mcp.wire import Json, Notify, VerdictStore
from mcpvault.secret import Secret
from mcpvault.transports.bodies import LARGEST
from mcpvault.transports.channel import Channel, new_id
from mcpvault.transports.opening import Memory, Opening
from mcpvault.transports.outcomes import outcome_of, raised
from mcpvault.transports.pipes import Child, gone
from mcpvault.transports.processes import start

_PROBE = 10.0  # seconds for a silent server before it counts as legacy (S7)
_ASIDE = 0.5  # seconds for a process to end that never worked
_MOST_DEATHS = 4  # of processes in a row that answered nothing, before no further one is started


def verdict_key_of(command: Sequence[str], cwd: str | None) -> str:
    """Return what the era of the server that *command* starts is remembered under."""
    return "stdio:" + hashlib.sha256(repr(([*command], cwd)).encode()).hexdigest()[:32]


class StdioTransport:
    """
    The conversation with one child process; started by ``open``, ended by ``close``.

    Args:
        command: The program.
        args: Its arguments.
        env: Our environment, of which it gets the little that every child gets.
        given: The variables that are its own; they stay secrets here, so that what it says of them is masked.
        cwd: The folder it starts in.
        server: The entry's name, for messages.
        era: ``auto`` probes; ``modern`` and ``legacy`` are taken as said.
        verdicts: Remembers what a probe has shown, or None.
        largest: The most bytes of one message.
    """

    def __init__(
        self,
        command: str,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str],
        given: Mapping[str, Secret] = MappingProxyType({}),
        cwd: str | None = None,
        server: str,
        era: str = "auto",
        verdicts: VerdictStore | None = None,
        largest: int = LARGEST,
    ) -> None:
        self.server_info: Json = {}
        self.capabilities: Json = {}
        self.instructions: str | None = None
        self.client = ClientSide(server)
        self._command = [command, *args]
        self._env, self._given = env, given
        self._cwd, self._server, self._largest = cwd, server, largest
        self._memory = Memory(era, verdicts, verdict_key_of(self._command, cwd))
        self._deaths = 0
        self._channel: Channel[Child] | None = None
        self._child: Child | None = None  # the last one, for what it said
        self._opening = Opening("starting the server", end=self._drop, interrupt=self.interrupt, server=server)

    @property
    def era(self) -> str | None:
        """``modern`` or ``legacy`` once it is open."""
        return self._channel.era if self._channel is not None else None

    @property
    def protocol_version(self) -> str | None:
        """The protocol revision spoken, once it is open."""
        return self._channel.version if self._channel is not None else None

    @property
    def stderr_tail(self) -> str:
        """The last that the server wrote to stderr, live secrets masked; it outlives the process."""
        return self._child.stderr.tail if self._child is not None else ""

    def open(self, deadline: Deadline) -> None:
        """
        Start the server and find out its era; does nothing while it runs.

        Raises:
            McpVaultError: It cannot be started, ends at once, or speaks nothing we do.
        """
        if self._channel is None or self._channel.era is None:
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
            RequestLostError: The process ended before it answered; nothing is repeated that may have been executed.
            McpVaultError: As ``mcpvault.mcp.Session.call_tool``.
        """
        safe = safe or eras.is_safe(method)
        return raised(outcome_of(lambda: self._request(method, params, deadline, on_notification, safe)))

    def listen(self, params: Json, deadline: Deadline) -> Iterator[Json]:
        """
        Yield what the server says by itself: of a subscription, or every change of a legacy server.

        Raises:
            RequestLostError: The process ended.
            McpVaultError: As ``request``.
        """
        channel, era = raised(outcome_of(lambda: self._spoken(deadline)))
        sent = eras.modern_params(params, self.client.meta) if era == "modern" else params
        if not (yield from channel.listen(sent, deadline)):
            raise self._lost(channel, "listening")

    def interrupt(self) -> None:
        """Do nothing: whoever waits for a process looks at its deadline in any case."""

    def forked(self) -> None:
        """Leave the process to the parent; the next request starts one of our own."""
        channel, self._channel = self._channel, None
        self._opening.forked()
        if channel is not None:
            channel.child.leave()

    def close(self) -> None:
        """End the process and all that it started, and the start that another thread is at."""
        self._opening.close()

    def _opened(self, deadline: Deadline) -> Channel[Child]:
        return self._running() or self._opening.alone(deadline, self._started)

    def _spoken(self, deadline: Deadline) -> tuple[Channel[Child], str]:
        """Return the channel and its era; waits while another thread finds out that it is another one."""
        while (era := (channel := self._opened(deadline)).era) is None:
            pass
        return channel, era

    def _running(self) -> Channel[Child] | None:
        channel = self._channel
        return channel if channel is not None and channel.era is not None and channel.child.alive() else None

    def _started(self, deadline: Deadline) -> Channel[Child]:
        channel = self._running()
        if channel is None:  # if one ended while nobody asked, nothing is lost
            try:
                self._begin(deadline)
            except BaseException:
                self._drop(patience=_ASIDE)
                raise
            channel = self._channel
            assert channel is not None  # noqa: S101  # begun
        return channel

    def _begin(self, deadline: Deadline) -> None:
        era = self._memory.recall()
        channel = self._spawn()
        if era == "modern":
            channel.era, channel.version = "modern", eras.MODERN
        elif era == "auto":
            self._probe(channel, deadline)
        else:
            failure = outcome_of(lambda: self._initialize(channel, deadline))
            if isinstance(failure, (ServerError, ConnectFailedError)) and self._memory.unconfirmed:
                self._drop()
                self._probe_again(deadline)
            else:
                raised(failure)

    def _request(
        self, method: str, params: Json | None, deadline: Deadline, on_notification: Notify | None, safe: bool
    ) -> Json:
        channel, era = self._spoken(deadline)
        outcome = outcome_of(lambda: self._attempt(channel, era, method, params, deadline, on_notification))
        doubtful = self._memory.unconfirmed or self.era != era  # or another thread has just found another one
        if isinstance(outcome, RequestLostError):
            if self._memory.unconfirmed:  # it may be one of those that end on a request before initialize
                self._memory.forget()
            if not safe or deadline.expired():
                raise outcome
        elif doubtful and isinstance(outcome, RpcError) and eras.casts_doubt(outcome.code):
            mended = outcome_of(lambda: self._probe_again(deadline))
            # Whatever the probe has shown: what may have been carried out is not asked for again.
            if not (safe or outcome.refused) or raised(mended) is not None or self.era == era:
                raise outcome
        else:
            self._memory.unconfirmed = False
            return raised(outcome)
        return self._attempt(*self._spoken(deadline), method, params, deadline, on_notification)

    def _attempt(
        self,
        channel: Channel[Child],
        era: str,
        method: str,
        params: Json | None,
        deadline: Deadline,
        on_notification: Notify | None,
    ) -> Json:
        sent = eras.modern_params(params, self.client.meta) if era == "modern" else params
        message = channel.ask(new_id(), method, sent, deadline, on_notification)
        if message is None:
            raise self._lost(channel, method)
        self._deaths = 0
        return jsonrpc.result_of(message, method, params, server=self._server)

    def _lost(self, channel: Channel[Child], method: str) -> RequestLostError:
        ended = channel.child.ended()
        channel.child.close()
        return RequestLostError(
            f"{self._server}: {method}: {ended}; it may have been carried out",
            hint="find out whether it was, then call it again",
            server=self._server,
        )

    def _drop(self, **patience: float) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.child.close(**patience)

    def _spawn(self) -> Channel[Child]:
        self._drop()
        if self._deaths >= _MOST_DEATHS:
            raise ConnectFailedError(
                f"{self._server}: the server process ended {self._deaths} times and answered nothing",
                hint="run its command by hand to see why, then open a new session",
                server=self._server,
            )
        self._deaths += 1
        process = raised(start(self._command, env=self._env, given=self._given, cwd=self._cwd, server=self._server))
        self._child = child = Child(process, server=self._server, largest=self._largest)
        self._channel = Channel(child, server=self._server, client=self.client)
        return self._channel

    def _probe_again(self, deadline: Deadline) -> None:
        """Find out an era that nothing has confirmed, unless another thread has done so meanwhile."""

        def probe(within: Deadline) -> None:
            if self._memory.unconfirmed:
                self._memory.forget()
                self._probe(self._channel or self._spawn(), within)

        self._opening.alone(deadline, probe)

    def _probe(self, channel: Channel[Child], deadline: Deadline) -> None:
        channel.era = None
        discover, params, patience = new_id(), eras.modern_params(None, self.client.meta), deadline.within(_PROBE)
        late: int | None = None
        outcome = outcome_of(lambda: channel.ask(discover, "server/discover", params, patience, cancels=False))
        if outcome is None:
            channel = self._spawn()  # some legacy servers end on a request before initialize (S8)
        elif isinstance(outcome, McpVaultError):
            if not isinstance(outcome, DeadlineExceededError) or deadline.expired():
                raise outcome
            late = discover  # silent: legacy, or slow to start; whichever answer comes first decides
        verdict = judgement.judge_discover(200, outcome) if isinstance(outcome, dict) else judgement.Verdict("legacy")
        if verdict.era == "legacy":
            self._initialize(channel, deadline, late=late)
        elif verdict.era == "modern":
            self._settle(channel, "modern", eras.MODERN, verdict.discovered or {})
        else:
            raise judgement.undecided(verdict, server=self._server)
        self._memory.keep(channel.era)

    def _initialize(self, channel: Channel[Child], deadline: Deadline, *, late: int | None = None) -> None:
        """Shake hands; *late* is the id of a question that may still be answered, and then settles the matter."""
        channel.era = None
        params = eras.initialize_params(capabilities=self.client.capabilities)
        id_ = new_id()
        message = channel.ask(id_, "initialize", params, deadline, late=late, cancels=False)
        if message is not None and late is not None and message.get("id") == late:
            verdict = judgement.judge_discover(200, message)
            if verdict.era == "modern":
                self._settle(channel, "modern", eras.MODERN, verdict.discovered or {})
                return
            message = channel.await_answer(id_, "initialize", deadline)
        if message is None:
            error = gone(channel.child, self._server)
            self._drop()
            raise error
        result = jsonrpc.result_of(message, "initialize", params, server=self._server)
        version = judgement.accepted(result, eras.LEGACY_STDIO, server=self._server)
        channel.notify(jsonrpc.notification("notifications/initialized"), deadline)
        self._settle(channel, "legacy", version, result)

    def _settle(self, channel: Channel[Child], era: str, version: str, facts: Json) -> None:
        self.server_info, self.capabilities, self.instructions = judgement.facts_of(facts)
        channel.era, channel.version = era, version
        self._memory.unconfirmed = False
