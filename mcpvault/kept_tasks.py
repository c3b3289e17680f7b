"""
The tasks of one entry that this host remembers.

Decides where their ids are kept and by what they are sealed; loaded by whoever has a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.state.tasks import TaskStore


def kept_tasks(vault: Vault, name: str) -> TaskStore:
    """Return the tasks of the entry *name* of an open vault."""
    from mcpvault.oauth_entry import sealing_of
    from mcpvault.state.tasks import TaskStore

    sealing = sealing_of(vault.file)
    return TaskStore(vault.state, name, vault_id=sealing.vault_id, seal=sealing.seal, unseal=sealing.unseal)
