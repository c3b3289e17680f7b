"""``httpx_auth`` and ``httpx2_auth``: ``httpx.AsyncClient(auth=httpx_auth(vault, "linear"))``, and blocking clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpvault.interop.adapters.carried import Carried

if TYPE_CHECKING:
    from mcpvault.connect import Vault


def httpx_auth(vault: Vault, name: str) -> Any:
    """Return the ``httpx.Auth`` of the entry *name*; raises as ``Carried``."""
    import httpx

    return type("VaultAuth", (Carried, httpx.Auth), {})(vault, name)


def httpx2_auth(vault: Vault, name: str) -> Any:
    """Return the ``httpx2.Auth`` of the entry *name*: the MCP SDK 2.x and fastmcp speak that; raises as ``Carried``."""
    import httpx2

    return type("VaultAuth", (Carried, httpx2.Auth), {})(vault, name)
