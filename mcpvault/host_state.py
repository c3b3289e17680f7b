"""What this host holds beside a vault: the folder of its state, the roots that it was told to trust, its tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mcpvault.state.anchor import trusted_roots
from mcpvault.state.files import StateDirectory
from mcpvault.vault.permissions import read_secret_file

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.places import Places
    from mcpvault.state.tasks import TaskStore
    from vault_schema import Document

TRUSTED_ROOT = "trusted-root"  # a systemd credential with root fingerprints


def state_of(places: Places, document: Document) -> StateDirectory:
    """Return the state folder of the vault that *document* is."""
    return StateDirectory(places.state_home / document.header.id)


def roots_trusted(places: Places, state: StateDirectory) -> frozenset[str]:
    """Return the root fingerprints that this host vouches for: its own record, and a systemd credential."""
    roots = trusted_roots(state)
    if places.credentials_dir is not None and (file := Path(places.credentials_dir) / TRUSTED_ROOT).exists():
        roots |= frozenset(read_secret_file(file, credentials_dir=places.credentials_dir).reveal().split())
    return roots


def kept_tasks(vault: Vault, name: str) -> TaskStore:
    """Return the tasks of the entry *name* of an open vault."""
    from mcpvault.oauth_entry import sealing_of
    from mcpvault.state.tasks import TaskStore

    sealing = sealing_of(vault.file)
    return TaskStore(vault.state, name, vault_id=sealing.vault_id, seal=sealing.seal, unseal=sealing.unseal)
