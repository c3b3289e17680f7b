"""
Which scopes are asked for, first and when more are needed, and when to stop asking.

Decides the ``scope`` parameter. Leaves asking to ``authorization`` and keeping what was asked and granted to
``mcpvault.state``; only a new authorization widens a grant, a refresh never does (A106).

Spec: RFC 6749 §3.3; RFC 7591 §3.2.1; MCP 2026-07-28, Scope Selection Strategy, Refresh Tokens, Step-Up
Authorization Flow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcpvault.tokens import AuthorizationServer, Registration

OFFLINE_ACCESS = "offline_access"
_SCOPE = r"[\x21\x23-\x5b\x5d-\x7e]+"  # RFC 6749 A.4
MOST_ATTEMPTS = 3  # "no more than a few times"


def initial(
    *,
    configured: str | None,
    challenge_scope: str | None,
    resource_scopes: Sequence[str] | None,
    server: AuthorizationServer,
    wants_refresh: bool,
) -> str | None:
    """
    Return the scopes to ask for first, separated by spaces; None: leave the parameter out (A100).

    What the authorization server supports is never asked for on that ground alone (A101).

    Args:
        configured: What the entry says. It is sent as it stands.
        challenge_scope: What the challenge named: "authoritative for the current operation" (A12).
        resource_scopes: ``scopes_supported`` of the protected resource.
        server: ``offline_access`` is added only where its ``scopes_supported`` lists it (A102), and only to other
            scopes: alone it would replace the server's default ones.
        wants_refresh: Whether a refresh token is of use.
    """
    if configured is not None:
        return configured or None
    chosen = _union(challenge_scope) or _union(*(resource_scopes or ()))
    if chosen and wants_refresh and OFFLINE_ACCESS in (server.scopes_supported or ()):
        chosen = _union(chosen, OFFLINE_ACCESS)
    return chosen or None


def step_up(requested: str | None, challenge_scope: str | None) -> str:
    """
    Return the scopes to ask for when the server wants more: what was asked before, then what is new (A104).

    "Determine required scopes by computing the union of the client's previously requested scope set and the
    scopes from the current challenge." -- MCP 2026-07-28
    """
    return _union(requested, challenge_scope)


def covers(registration: Registration, wanted: str | None) -> bool:
    """
    Tell whether the client was to be registered for all of *wanted*, whatever the server made of that.

    A server that never gives all of it would see a new client with every login otherwise.
    """
    return {*(wanted or "").split()} <= {*(registration.scope or "").split()}


def withheld(wanted: str | None, registration: Registration | None) -> str:
    """
    Return what of *wanted* the server took away from the client when it was registered; empty: nothing.

    "The authorization server MAY reject or replace any of the client's requested metadata values" -- RFC 7591 §3.2.1.
    ``scope`` are those "that the client can use when requesting access tokens" (§2).
    """
    if registration is None or registration.granted_scope is None:
        return ""
    taken = {*(registration.scope or "").split()} - {*registration.granted_scope.split()}
    return " ".join(name for name in (wanted or "").split() if name in taken)


def permitted(wanted: str | None, registration: Registration | None) -> str | None:
    """Return what of *wanted* the client may ask for; all of it where nothing would be left."""
    taken = withheld(wanted, registration).split()
    kept = [name for name in (wanted or "").split() if name not in taken]
    return " ".join(kept) if taken and kept else wanted


class Attempts:
    """
    What has been asked for already, by resource and operation, so that asking comes to an end (A105).

    An operation is whatever the caller calls one: ``tools/call delete_file``.
    """

    def __init__(self, most: int = MOST_ATTEMPTS) -> None:
        self._most = most
        self._asked: dict[tuple[str, str], list[frozenset[str]]] = {}

    def allow(self, resource: str, operation: str, scope: str | None) -> bool:
        """
        Tell whether asking for *scope* is worth it, and count it if so.

        It is not when the server still wants more after these very scopes, or after the last of the attempts.
        """
        asked = self._asked.setdefault((resource, operation), [])
        wanted = frozenset((scope or "").split())
        if wanted in asked or len(asked) >= self._most:
            return False
        asked.append(wanted)
        return True


def _union(*scopes: str | None) -> str:
    """Return all scopes once, each where it was first named; what is no scope is left out."""
    named = dict.fromkeys(name for scope in scopes if scope for name in scope.split())
    return " ".join(name for name in named if re.fullmatch(_SCOPE, name))
