"""What a token storage of another library is told: the access token that is good now, and never a refresh token."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mcpvault.errors import AuthorizationRequiredError
from mcpvault.opened import TOKEN, opened

if TYPE_CHECKING:
    from mcpvault.connect import Vault

PURPOSE = "storage"


def token_response(vault: Vault, name: str) -> dict[str, Any]:
    """
    Return the token of the entry *name* as the members of a token response (RFC 6749 §5.1).

    Raises:
        McpVaultError: As ``Vault.token``.
    """
    live = opened(vault, name, TOKEN, purpose=PURPOSE)
    found: dict[str, Any] = {"access_token": live.value.reveal(), "token_type": "Bearer"}
    if live.expires_at is not None:
        found["expires_in"] = max(1, int(live.expires_at - time.time()))
    return found


def refusal(name: str) -> AuthorizationRequiredError:
    """Return the error for a library that wants to log in by itself: nobody would know whose grant it is."""
    command = f"mcpvault login {name}"
    return AuthorizationRequiredError(
        f"{name}: grants are made by mcpvault, and not by the library that uses them",
        hint=f"run: {command}",
        server=name,
        login_command=command,
    )
