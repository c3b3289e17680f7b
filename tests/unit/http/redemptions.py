"""Refresh tokens redeemed at servers of a few lines."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import parse_qsl

from http_servers import CANARY, Seen, answer

from mcpvault.deadline import Deadline
from mcpvault.http import GuardedSession, redeem
from mcpvault.oauth.wire import Answer
from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration

RESOURCE = "https://mcp.example.com/mcp"
GRANTED = json.dumps(
    {"access_token": "at-new-5f0c", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt-new-81d2"}
).encode()


def redeemed(session: GuardedSession, endpoint: str, **changes: Any) -> Answer:
    """Redeem the canary as a public client, or as *changes* say."""
    registered = {"issuer": "https://as.example.com", "client_id": "client-1", "source": "dynamic"}
    facts: dict[str, Any] = {
        "server": AuthorizationServer(issuer="https://as.example.com", token_endpoint=endpoint),
        "registration": Registration(**{**registered, **changes.pop("registered", {})}),
        "refresh_token": Secret(CANARY),
        "resource": RESOURCE,
        "form": {},
        "headers": {},
        "session": session,
        "deadline": Deadline(20),
    }
    return redeem(**{**facts, **changes})


def form(seen: Seen) -> list[tuple[str, str]]:
    """Return the members of a body, in the order of their names."""
    return sorted(parse_qsl(seen.body.decode(), keep_blank_values=True, strict_parsing=True))


def granting(connection: socket.socket, seen: Seen) -> None:
    """Answer with new tokens."""
    answer(connection, GRANTED)
