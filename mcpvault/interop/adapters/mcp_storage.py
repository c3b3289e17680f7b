"""``TokenStorage`` of the MCP SDK (1.x and 2.x), backed by the vault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpvault.interop.adapters.current import refusal, token_response

if TYPE_CHECKING:
    from mcpvault.connect import Vault


class VaultTokenStorage:
    """
    Give the SDK's ``OAuthClientProvider`` the token that is good now.

    The SDK asks once: a program that outlives the token takes what ``client_auth`` has in the provider's place.

    Args:
        vault: Open.
        name: An entry with a bearer token or OAuth.
    """

    def __init__(self, vault: Vault, name: str) -> None:
        self._vault, self._name = vault, name

    async def get_tokens(self) -> Any:
        """Return an ``OAuthToken``, refreshed if need be; raises ``McpVaultError`` where there is none."""
        from anyio import to_thread
        from mcp.shared.auth import OAuthToken

        return OAuthToken(**await to_thread.run_sync(token_response, self._vault, self._name))

    async def set_tokens(self, tokens: Any) -> None:
        """Raise ``AuthorizationRequiredError``."""
        raise refusal(self._name)

    async def get_client_info(self) -> None:
        """Return None: the registration stays with the refresh token."""

    async def set_client_info(self, client_info: Any) -> None:
        """Raise ``AuthorizationRequiredError``, before any person is asked."""
        raise refusal(self._name)
