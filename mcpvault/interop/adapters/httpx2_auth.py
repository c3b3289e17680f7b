"""``httpx2.Auth`` for an entry of the vault: ``httpx2.AsyncClient(auth=VaultAuth(vault, "linear"))``."""

from __future__ import annotations

import httpx2

from mcpvault.interop.adapters.carried import Carried


class VaultAuth(Carried, httpx2.Auth):  # type: ignore[misc]  # the library may not be installed
    """Sign what a client of ``httpx2`` sends to the server of the entry; see ``Carried``."""
