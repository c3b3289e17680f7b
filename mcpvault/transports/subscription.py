"""
``subscriptions/listen`` over HTTP: one request whose answer is a stream that goes on.

Leaves what counts as a change, and listening again, to ``mcp.listening``.

Spec: MCP 2026-07-28 "Subscriptions"; T60, T61.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcpvault.deadline import Deadline
from mcpvault.mcp import era as eras
from mcpvault.mcp import replies
from mcpvault.mcp.wire import Json
from mcpvault.transports.bodies import messages_of
from mcpvault.transports.endpoint import Endpoint

_METHOD = "subscriptions/listen"


def listened(endpoint: Endpoint, params: Json, *, server: str, largest: int, deadline: Deadline) -> Iterator[Json]:
    """
    Yield the notifications of a subscription; end when the server ends it.

    Raises:
        RequestLostError: The stream broke off.
        McpVaultError: What the status or the answer says.
    """
    params = eras.modern_params(params, endpoint.client.meta)
    id_, answer = endpoint.begin(_METHOD, params, deadline)
    try:
        for message in messages_of(answer, largest=largest):
            if replies.is_answer(message, id_):
                replies.result_of(message, _METHOD, params, server=server)
                return
            if isinstance(message.get("method"), str) and "id" not in message:
                yield message
        raise endpoint.lost(_METHOD)
    finally:
        answer.close()
