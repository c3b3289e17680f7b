"""
What a server asks for in the middle of a call, and the results that the caller's callbacks give.

Decides what is refused, and with which code. One judgement for both ways of asking: requests of
legacy servers, and the ``inputRequests`` of modern ones.

Spec: MCP 2025-11-25 client features; 2026-07-28 "Multi Round-Trip Requests".
"""

from __future__ import annotations

from typing import Any

from mcpvault.errors import InputDeclinedError, RemoteProtocolError
from mcpvault.mcp import elicitation, jsonrpc
from mcpvault.mcp.callbacks import Callbacks
from mcpvault.mcp.wire import Json
from mcpvault.quoting import quote
from vault_schema.record import Record

DECLINED = -1  # what SDKs answer when a person says no to sampling
_MOST = 100  # inputs of one round


class Refusal(Record):
    """Why there is no result."""

    code: int
    message: str


def result_for(method: str, params: Json, callbacks: Callbacks, *, server: str) -> Json | Refusal:
    """Return the result of a server's request; what a callback raises is raised."""
    if method == "elicitation/create":
        return _elicited(params, callbacks, server)
    if method == "sampling/createMessage" and callbacks.on_sampling is not None:
        if not isinstance(params.get("messages"), list):
            return Refusal(jsonrpc.INVALID_PARAMS, "messages: expected a list")
        message = callbacks.on_sampling(params)
        return Refusal(DECLINED, "declined") if message is None else dict(message)
    if method == "roots/list" and callbacks.roots is not None:
        roots = callbacks.roots() if callable(callbacks.roots) else callbacks.roots
        return {"roots": [{"uri": root} if isinstance(root, str) else dict(root) for root in roots]}
    return Refusal(jsonrpc.METHOD_NOT_FOUND, "method not found")


def _elicited(params: Json, callbacks: Callbacks, server: str) -> Json | Refusal:
    mode = params.get("mode", "form")  # "Clients MUST treat requests without a mode field as form mode"
    try:
        asked: elicitation.FormElicitation | elicitation.UrlElicitation
        given: Any
        if mode == "form" and callbacks.on_elicitation is not None:
            asked = elicitation.FormElicitation(params, server)
        elif mode == "url" and callbacks.on_url is not None:
            asked = elicitation.UrlElicitation(params, server)
        elif callbacks.on_elicitation is None and callbacks.on_url is None:
            return Refusal(jsonrpc.METHOD_NOT_FOUND, "method not found")
        else:
            return Refusal(jsonrpc.INVALID_PARAMS, "this mode was not declared")
    except RemoteProtocolError as error:
        return Refusal(jsonrpc.INVALID_PARAMS, error.message.partition(": ")[2])
    if isinstance(asked, elicitation.FormElicitation):
        given = callbacks.on_elicitation(asked) if callbacks.on_elicitation is not None else None
    else:
        given = callbacks.on_url(asked) if callbacks.on_url is not None else None
    return elicitation.answer_of(asked, given)


def reply(message: Json, callbacks: Callbacks, *, server: str) -> bytes:
    """Return the response to a request of a legacy server."""
    params = message.get("params")
    result = result_for(message["method"], params if isinstance(params, dict) else {}, callbacks, server=server)
    head = jsonrpc.head_of_reply(message)
    if isinstance(result, Refusal):
        return jsonrpc.encode({**head, "error": {"code": result.code, "message": result.message}})
    return jsonrpc.encode({**head, "result": result})


def responses(requests: Any, callbacks: Callbacks, *, server: str) -> Json:
    """
    Return ``inputResponses`` for ``inputRequests``, under the same keys.

    Raises:
        RemoteProtocolError: Something in them is no request, or was not declared.
        InputDeclinedError: A callback declined, and the protocol has no word for that.
    """
    if not isinstance(requests, dict) or len(requests) > _MOST:
        raise RemoteProtocolError(f"{server}: the server asks for inputs in a wrong way", server=server)
    return {key: _response(request, callbacks, server) for key, request in requests.items()}


def _response(request: Any, callbacks: Callbacks, server: str) -> Json:
    method = request.get("method") if isinstance(request, dict) else None
    params = request.get("params", {}) if isinstance(request, dict) else None
    if not isinstance(method, str) or not isinstance(params, dict):
        raise RemoteProtocolError(f"{server}: the server asks for an input that is no request", server=server)
    result = result_for(method, params, callbacks, server=server)
    if not isinstance(result, Refusal):
        return result
    if result.code == DECLINED:
        raise InputDeclinedError(f"{server}: the server needs {method}, and that was declined", server=server)
    raise RemoteProtocolError(
        f"{server}: the server asks for {quote(method)!r}, which cannot be given: {result.message}",
        hint="if this needs a person: mcpvault call on a terminal, or pass callbacks=… to the session",
        server=server,
    )
