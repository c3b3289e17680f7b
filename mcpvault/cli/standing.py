"""How a grant is told to people: scopes, lifetimes, and when a human is needed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcpvault.errors import McpVaultError
    from mcpvault.state.record import TokenRecord
    from mcpvault.tokens import TokenSet


def granted(tokens: TokenSet, now: float) -> dict[str, Any]:
    """Return what may be said of a grant: no token."""
    return {
        "token_type": tokens.token_type,
        "requested_scope": tokens.requested_scope,
        "scope": tokens.scope,
        "expires_at": tokens.expires_at,
        "expires_in": None if tokens.expires_at is None else round(tokens.expires_at - now),
        "refreshable": tokens.refresh_token is not None,
    }


def registered(record: TokenRecord | None) -> str | None:
    """Return the scope that the client of *record* registered itself for, as its server had it; None: not known."""
    return record.registration.granted_scope if record is not None and record.registration is not None else None


def lines(server: str, facts: Mapping[str, Any], *, person: bool) -> list[str]:
    """Return the same for people, a line each; *person*: only somebody's login makes another grant."""
    asked, got, most = facts["requested_scope"], facts["scope"], facts["registered_scope"]
    told = [f"  scopes: {got or 'none named'}"]
    if asked and got and {*asked.split()} != {*got.split()}:
        told.append(f"  asked for: {asked}")
    if asked and most and not {*asked.split()} <= {*most.split()}:
        told.append(f"  the client is registered for: {most}")
    left = facts["expires_in"]
    told.append("  access token: good " + ("until the server says otherwise" if left is None else f"for {span(left)}"))
    if not person:
        told.append("  needs nobody: the next one is obtained when it is due")
    elif facts["refreshable"]:
        told.append("  refreshes itself: yes")
    elif left is None:
        told.append("  refreshes itself: no; a human is needed when the server refuses it")
    else:
        told.append(f"  refreshes itself: no; {server} will need a human every {span(left)}")
    return told


def span(seconds: float) -> str:
    """Return a length of time as people say it."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, round(seconds))} seconds"


def worst(failures: Sequence[McpVaultError]) -> McpVaultError:
    """Return the failure that names the exit code: what needs a person comes before what may pass by itself."""
    from mcpvault.upkeep.findings import SEVERITY

    return min(failures, key=lambda error: (*SEVERITY, error.exit_code).index(error.exit_code))
