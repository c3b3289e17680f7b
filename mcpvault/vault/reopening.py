"""
An open vault opened once more: another process has written since, and may have given it a new key.

Spec: SPEC §9.6.
"""

from __future__ import annotations

from mcpvault.errors import RollbackError
from mcpvault.vault import unlock
from mcpvault.vault.documents import read_document
from mcpvault.vault.vaultfile import VaultFile


def reopened(vault: VaultFile) -> VaultFile:
    """
    Return *vault* as its file is now, opened with the same slot: another process has written since.

    Raises:
        VaultError: As ``VaultFile.open``; the slot may have been removed.
    """
    document = read_document(vault.path)
    keys = unlock.unlock_again(document.header, vault.keys, trusted_roots=vault.trusted_roots)
    unlock.verify(document, keys)
    try:
        unlock.check_anchor(document, keys, vault.anchor, trusted_roots=vault.trusted_roots)
    except RollbackError:
        # A third process may have written file and anchor between our reading of the two.
        if read_document(vault.path).text == document.text:
            raise
        return reopened(vault)
    return VaultFile(vault.path, document, keys, vault.anchor, vault.now, vault.trusted_roots)
