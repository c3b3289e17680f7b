"""What flows ask for."""

from __future__ import annotations

from typing import Any

from mcpvault.oauth.wire import Ask


def get(url: str, **fields: Any) -> Ask:
    """Ask for metadata."""
    return Ask(method="GET", url=url, purpose="authorization server metadata", **fields)


def post(url: str, body: bytes = b"grant_type=x", **fields: Any) -> Ask:
    """Ask for a token."""
    return Ask(method="POST", url=url, purpose="token request", body=body, **fields)
