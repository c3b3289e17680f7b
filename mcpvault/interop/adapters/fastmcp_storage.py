"""The key-value store that fastmcp's ``OAuth`` takes as ``token_storage``, backed by the vault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcpvault.errors import OriginMismatchError
from mcpvault.interop.adapters.current import refusal, token_response

if TYPE_CHECKING:
    from mcpvault.connect import Vault

_TOKENS = "mcp-oauth-token"


class VaultStore:
    """
    Give fastmcp the token of one entry, for its URL and for no other.

    Args:
        vault: Open.
        name: An entry with a bearer token or OAuth.
    """

    def __init__(self, vault: Vault, name: str) -> None:
        self._vault, self._name = vault, name
        self._key = f"{(vault.entry(name).url or '').rstrip('/')}/tokens"

    async def get(self, key: str, *, collection: str | None = None) -> dict[str, Any] | None:
        """Return the token that is good now; nothing else is kept here."""
        if collection != _TOKENS:
            return None
        if key != self._key:
            raise OriginMismatchError(
                f"{self._name}: its token is for another URL than the one that was asked for", server=self._name
            )
        from anyio import to_thread

        found: dict[str, Any] = await to_thread.run_sync(token_response, self._vault, self._name)
        return found

    async def ttl(self, key: str, *, collection: str | None = None) -> tuple[dict[str, Any] | None, float | None]:
        """Return what ``get`` does, and how long it is good."""
        found = await self.get(key, collection=collection)
        return found, (found or {}).get("expires_in")

    async def get_many(self, keys: Sequence[str], *, collection: str | None = None) -> list[dict[str, Any] | None]:
        """Return each."""
        return [await self.get(key, collection=collection) for key in keys]

    async def ttl_many(
        self, keys: Sequence[str], *, collection: str | None = None
    ) -> list[tuple[dict[str, Any] | None, float | None]]:
        """Return each."""
        return [await self.ttl(key, collection=collection) for key in keys]

    async def put(
        self, key: str, value: Mapping[str, Any], *, collection: str | None = None, ttl: object = None
    ) -> None:
        """Raise ``AuthorizationRequiredError``: a registration comes first, before any person is asked."""
        raise refusal(self._name)

    async def put_many(
        self, keys: Sequence[str], values: Sequence[Mapping[str, Any]], *, collection: str | None = None,
        ttl: object = None,
    ) -> None:  # fmt: skip
        """Raise ``AuthorizationRequiredError``."""
        raise refusal(self._name)

    async def delete(self, key: str, *, collection: str | None = None) -> bool:
        """Delete nothing: ``mcpvault logout`` does."""
        return False

    async def delete_many(self, keys: Sequence[str], *, collection: str | None = None) -> int:
        """Delete nothing."""
        return 0
