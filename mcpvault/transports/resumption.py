"""
Event streams of legacy servers, taken up again where they broke off.

Decides when, how often and from which event a stream is asked for again. Leaves what the
messages mean to ``endpoint``.

Spec: MCP 2025-11-25 "Resumability and Redelivery" (SEP-1699); T46.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    ConnectFailedError,
    DeadlineExceededError,
    McpVaultError,
    RequestLostError,
    ServerUnavailableError,
)
from mcpvault.mcp import era as eras
from mcpvault.mcp.sse import SSEDecoder
from mcpvault.mcp.wire import HttpAnswer, Json
from mcpvault.transports.bodies import messages_of
from mcpvault.transports.outcomes import outcome_of

if TYPE_CHECKING:
    from mcpvault.transports.endpoint import Endpoint

_RECONNECTION_TIME = 1000  # milliseconds, where the server names none
_SHORTEST = 20  # milliseconds
_MOST_FAILURES = 3  # in a row: nothing came before the stream broke again
_PASSING = (ConnectFailedError, RequestLostError, ServerUnavailableError)


def resumable(endpoint: Endpoint, answer: HttpAnswer, deadline: Deadline) -> Generator[Json, None, None]:
    """Yield the messages of a legacy server's answer; a stream that breaks off is taken up again if it can be."""
    decoder = SSEDecoder(endpoint.largest)
    batches = endpoint.settled.version in eras.BATCHES
    try:
        yield from messages_of(answer, largest=endpoint.largest, batches=batches, decoder=decoder)
    except RequestLostError:
        if not decoder.last_event_id:
            raise
    if decoder.last_event_id:
        yield from resumed(endpoint, decoder, largest=endpoint.largest, deadline=deadline)


def resumed(endpoint: Endpoint, decoder: SSEDecoder, *, largest: int, deadline: Deadline) -> Iterator[Json]:
    """
    Yield what is left of a stream that *decoder* has read up to its ``last_event_id``; end where that cannot be had.

    "the client MUST respect it, waiting the given number of milliseconds before attempting to reconnect"

    Raises:
        DeadlineExceededError: The time is over.
        McpVaultError: The server was reached and refuses us.
    """
    failures = 0
    while failures < _MOST_FAILURES:
        waiting, begun = decoder.reconnection_time, decoder.last_event_id
        deadline.pause(max(_RECONNECTION_TIME if waiting is None else waiting, _SHORTEST) / 1000)
        failures += 1
        answer = outcome_of(lambda since=begun: endpoint.stream(since, deadline))  # type: ignore[misc]
        if answer is None:
            return
        if isinstance(answer, McpVaultError):
            if not isinstance(answer, _PASSING):
                raise answer
            continue
        decoder = SSEDecoder(largest, last_event_id=begun)
        decoder.reconnection_time = waiting
        batches = endpoint.settled.version in eras.BATCHES
        alive = yield from until_it_breaks(answer, decoder, largest=largest, deadline=deadline, batches=batches)
        if alive or decoder.last_event_id != begun:
            failures = 0


def until_it_breaks(
    answer: HttpAnswer, decoder: SSEDecoder, *, largest: int, deadline: Deadline, batches: bool
) -> Generator[Json, None, bool]:
    """
    Yield the messages of a stream until it ends, in whichever way; then be done with *answer*.

    Returns whether the server was alive: something came, or it was merely silent.
    """
    messages = messages_of(answer, largest=largest, batches=batches, decoder=decoder)
    alive = False
    try:
        while True:
            try:
                message = next(messages, None)
            except RequestLostError:
                return alive
            except DeadlineExceededError:
                if deadline.expired():
                    raise
                return True
            if message is None:
                return alive
            alive = True
            yield message
    finally:
        answer.close()
