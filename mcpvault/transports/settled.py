"""
What a conversation over HTTP has settled, and what is left of a request that was refused.

A request keeps to what was settled when it was asked, whatever other threads settle meanwhile; who
finds that it failed can tell by ``is`` whether that still stands.
"""

from __future__ import annotations

from vault_schema.record import Record


class Settled(Record):
    """
    Era, revision and session.

    ``era`` is ``modern``, ``legacy``, or None before that is known; ``session_id``, of a legacy
    session, is as good as a credential.
    """

    era: str | None = None
    version: str | None = None
    session_id: str | None = None

    _unprinted = frozenset({"session_id"})

    def headers(self) -> dict[str, str]:
        """Return the headers that say so in a legacy request."""
        headers = {}
        if self.version is not None:
            headers["MCP-Protocol-Version"] = self.version
        if self.session_id is not None:
            headers["Mcp-Session-Id"] = self.session_id
        return headers


NOTHING = Settled()


class Rejected(Record):
    """A request that was not carried out, and no JSON-RPC error says why."""

    status: int
    session_gone: bool = False
