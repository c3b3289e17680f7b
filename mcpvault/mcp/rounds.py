"""
Multi round-trip requests: a server needs inputs before it answers, and the request is asked again with them.

Decides what goes into the next round, and when it is enough. Leaves the inputs to ``inputs``.

Spec: MCP 2026-07-28 "Multi Round-Trip Requests"; M1–M5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcpvault.deadline import Deadline
from mcpvault.errors import RemoteProtocolError
from mcpvault.mcp.callbacks import ClientSide
from mcpvault.mcp.wire import Json

MOST_ROUNDS = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.25  # seconds before asking again with nothing but the server's state


def carried_on(
    ask: Callable[[Json], Json],
    result: Json,
    params: Json | None,
    *,
    client: ClientSide,
    deadline: Deadline,
    what: str,
    server: str,
) -> Json:
    """
    Return the result that the rounds end with.

    Args:
        ask: Sends the request with these parameters, as a request of its own.
        result: The first result, with ``resultType`` ``input_required``.
        params: What was asked.
        client: Gives the inputs.
        deadline: For all rounds.
        what: The method, for messages.
        server: The entry's name, for messages.

    Raises:
        RemoteProtocolError: The server asks in a wrong way, or again and again.
        DeadlineExceededError: The time is over.
    """
    pause = _FIRST_PAUSE
    for _ in range(MOST_ROUNDS):
        again: Json = dict(params or {})
        requests, state = result.get("inputRequests"), result.get("requestState")
        if requests is None and state is None:
            raise _wrong(f"{what}: the server wants an input and does not say which", server)
        if requests is not None:
            again["inputResponses"] = client.inputs(requests)
        else:
            deadline.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        if state is not None:
            again["requestState"] = _echo(state, what, server)
        deadline.check(f"{server}: {what}", server=server)
        result = ask(again)
        if result.get("resultType", "complete") != "input_required":
            return result
    raise _wrong(f"{what}: the server still wants inputs after {MOST_ROUNDS} rounds", server)


def _echo(state: Any, what: str, server: str) -> str:
    """Return the server's state as it is: "clients MUST NOT inspect, parse, modify" it."""
    if not isinstance(state, str):
        raise _wrong(f"{what}: the server's requestState is no text", server)
    try:
        state.encode()
    except UnicodeEncodeError:
        pass
    else:
        return state
    raise _wrong(f"{what}: the server's requestState is no Unicode text", server)


def _wrong(what: str, server: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"{server}: {what}", server=server)
