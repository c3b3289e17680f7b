"""
An open vault and the epochs before and behind it: its earlier keys, and the same vault after a new key.

Spec: SPEC §5.1, §9.6.
"""

from __future__ import annotations

from mcpvault.errors import RollbackError
from mcpvault.vault import unlock
from mcpvault.vault.documents import read_document
from mcpvault.vault.vaultfile import VaultFile


def keys_of(vault: VaultFile, epoch: int) -> list[bytes]:
    """Return the vault keys of *epoch*: the one of the vault's own, those that it keeps of an earlier one."""
    header, keys = vault.document.header, vault.keys
    if epoch == header.epoch:
        return [keys.vault_key]
    from mcpvault.vault import retired

    return retired.keys_of(header, keys.vault_key, keys.vault_id, epoch)


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
