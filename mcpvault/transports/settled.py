"""
What a conversation over HTTP has settled, and what is left of a request that was refused.

A request keeps to what was settled when it was asked, whatever other threads settle meanwhile; who
finds that it failed can tell by ``is`` whether that still stands.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcpvault.secret import Secret
from vault_schema.record import Record


class Settled(Record):
    """
    Era, revision and session.

    ``era`` is ``modern``, ``legacy``, or None before that is known; ``session_id``, of a legacy
    session, is as good as a credential (T41).
    """

    era: str | None = None
    version: str | None = None
    session_id: Secret | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that say so in a legacy request."""
        headers = {}
        if self.version is not None:
            headers["MCP-Protocol-Version"] = self.version
        if self.session_id is not None:
            headers["Mcp-Session-Id"] = self.session_id.reveal()
        return headers


NOTHING = Settled()


def session_of(headers: Mapping[str, str]) -> Secret | None:
    """Return the session that an answer to ``initialize`` has begun."""
    return Secret(headers["Mcp-Session-Id"]) if "Mcp-Session-Id" in headers else None


class Rejected(Record):
    """A request that was not carried out, and no JSON-RPC error says why."""

    status: int
    session_gone: bool = False
