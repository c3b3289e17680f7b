"""
Pages that a person must visit before a legacy server carries a request out: its error names them.

Decides whether the request may be asked again. Opens no URL; a callback does, with consent.

Spec: MCP 2025-11-25 "URL Mode Elicitation", ``URLElicitationRequiredError``.
"""

from __future__ import annotations

from mcpvault.errors import InputDeclinedError, RemoteProtocolError, RpcError
from mcpvault.mcp.callbacks import Callbacks
from mcpvault.mcp.inputs import Refusal, result_for

_MOST = 10  # pages of one error


def visit(error: RpcError, callbacks: Callbacks, *, what: str, server: str) -> None:
    """
    Let a person visit what *error* names; return when they have been everywhere.

    Raises:
        InputDeclinedError: They do not want to.
        RemoteProtocolError: The error names no page, or in a wrong way.
    """
    pages = error.data.get("elicitations") if isinstance(error.data, dict) else None
    if not isinstance(pages, list) or not 0 < len(pages) <= _MOST or not all(isinstance(page, dict) for page in pages):
        raise RemoteProtocolError(f"{server}: {what}: the server wants a visit and does not say where", server=server)
    for page in pages:
        # "mode" is url here, whatever else the server says: a form cannot stand in an error.
        answer = result_for("elicitation/create", {**page, "mode": "url"}, callbacks, server=server)
        if isinstance(answer, Refusal):
            raise RemoteProtocolError(f"{server}: {what}: the server wants a visit: {answer.message}", server=server)
        if answer.get("action") != "accept":
            raise InputDeclinedError(f"{server}: {what}: a page must be visited first, and was not", server=server)
