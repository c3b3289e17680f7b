"""
``subscriptions/listen`` over HTTP: one request whose answer is a stream that goes on.

Leaves what counts as a change, and listening again, to ``mcp.listening``.

Spec: MCP 2026-07-28 "Subscriptions"; T60, T61.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError
from mcpvault.mcp import era as eras
from mcpvault.mcp import jsonrpc
from mcpvault.mcp.wire import HttpAnswer, Json
from mcpvault.transports.bodies import messages_of
from mcpvault.transports.endpoint import ACCEPT, Endpoint, Rejected
from mcpvault.transports.outcomes import outcome_of

_METHOD = "subscriptions/listen"


def listened(endpoint: Endpoint, params: Json, deadline: Deadline) -> Iterator[Json]:
    """
    Yield the notifications of a subscription; end when the server ends it.

    Raises:
        RequestLostError: The stream broke off.
        McpVaultError: What the status or the answer says.
    """
    params = eras.modern_params(params, endpoint.client.meta)
    id_, answer = _begun(endpoint, params, deadline)
    try:
        for message in messages_of(answer, largest=endpoint.largest):
            if jsonrpc.is_answer(message, id_):
                jsonrpc.result_of(message, _METHOD, params, server=endpoint.server)
                return
            if isinstance(message.get("method"), str) and "id" not in message:
                yield message
        raise endpoint.lost(_METHOD)
    finally:
        answer.close()


def _begun(endpoint: Endpoint, params: Json, deadline: Deadline) -> tuple[int, HttpAnswer]:
    """Send the request; return its id and its answer, to be read message by message."""
    id_ = next(endpoint.ids)
    headers = ACCEPT | eras.modern_headers(_METHOD, params)
    answer = endpoint.send(jsonrpc.request(id_, _METHOD, params), headers, deadline)
    refusal = outcome_of(lambda: _refusal(endpoint, answer, params))
    if refusal is not None:
        answer.close()
        raise refusal
    return id_, answer


def _refusal(endpoint: Endpoint, answer: HttpAnswer, params: Json) -> McpVaultError | None:
    endpoint.check(answer, _METHOD)
    if answer.status == 200:
        return None
    rejected = endpoint.rejection(answer, _METHOD, params, endpoint.settled)
    assert isinstance(rejected, Rejected)  # noqa: S101  # an error is raised, and a result is none here
    return endpoint.rejection_error(rejected, _METHOD)
