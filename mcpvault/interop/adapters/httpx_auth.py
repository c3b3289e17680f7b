"""``httpx.Auth`` for an entry of the vault: ``httpx.AsyncClient(auth=VaultAuth(vault, "linear"))``."""

from __future__ import annotations

import httpx

from mcpvault.interop.adapters.carried import Carried


class VaultAuth(Carried, httpx.Auth):  # type: ignore[misc]  # the library may not be installed
    """Sign what a client of ``httpx`` sends to the server of the entry; see ``Carried``."""
