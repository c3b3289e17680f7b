"""
The seam to whoever gets, keeps and replaces the token of a server.

``auth.TokenAuth`` asks it; what fulfils it is passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.secret import Secret


class TokenSource(Protocol):
    """
    Who knows the token of one server. All calls may come from several threads at once.

    What it raises is a ``McpVaultError`` and ends the request.
    """

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Return the whole headers of one request; a token that is about to expire is replaced before."""

    def rejected(self, sent: Mapping[str, Secret], status: int, headers: Mapping[str, str], deadline: Deadline) -> bool:
        """
        Judge an answer 401 or 403; True: sign the request anew and send it again.

        Args:
            sent: What ``headers`` had returned for this request, the very object: another thread may have
                replaced the token since.
            status: 401 or 403.
            headers: The answer's, names without regard to case; ``WWW-Authenticate`` says why.
            deadline: For replacing the token.
        """

    def answered(self, headers: Mapping[str, str]) -> None:
        """Look at the head of every answer that carries a ``DPoP-Nonce`` (RFC 9449 §8.2)."""
