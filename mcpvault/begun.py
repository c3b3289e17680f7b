"""
A login that was begun and waits for its end, perhaps in another process: what that needs to know, as one secret.

Decides how it is written down. Leaves sealing and keeping it to ``mcpvault.state``, and judging it to ``remembered``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration, as_json, authorization_server, registration

if TYPE_CHECKING:
    from mcpvault.oauth.authorization import Pending
    from mcpvault.oauth.flows import Client


def as_begun(origin: str, pending: Pending, client: Client, held: Registration, key: Secret | None) -> Secret:
    """Return all that another process needs to end a login, to be sealed."""
    from mcpvault.oauth.authorization import pending_json

    told = {
        "origin": origin,
        "pending": pending_json(pending),
        "server": as_json(client.server),
        "registration": as_json(held),
    }
    return Secret(json.dumps(told if key is None else {**told, "dpop_key": key.reveal()}))


def read_begun(told: Secret) -> tuple[str, Pending, AuthorizationServer, Registration, Secret | None]:
    """Return what ``as_begun`` was given; what is in clear stays in this frame."""
    from mcpvault.oauth.authorization import pending

    held = json.loads(told.reveal())
    key = Secret(held["dpop_key"]) if "dpop_key" in held else None
    server, client = authorization_server(held["server"]), registration(held["registration"])
    return held["origin"], pending(held["pending"]), server, client, key
