"""
New keys for a vault that is in use: the file in one step, then what this host keeps beside it.

Decides the order, so that whatever is cut short leaves a vault that opens and grants that live. Leaves asking to
the caller, and the arithmetic to ``mcpvault.vault``.

Spec: house rule 4.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mcpvault.connect import Vault
from mcpvault.errors import McpVaultError
from mcpvault.oauth_entry import sealing_of
from mcpvault.state.anchor import FileAnchor, trust_root
from mcpvault.state.carrying import carry
from mcpvault.state.host import host_id, host_name
from mcpvault.state.tokens import TokenStore
from mcpvault.vault.slot_keys import id_bytes, root_fingerprint
from mcpvault.vault.unlock import anchor_record
from mcpvault.vault.vaultfile import VaultFile
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.vault.change import Change
    from mcpvault.vault.slots import NewSlot


class Rekeyed(Record):
    """
    What became of a vault.

    ``new_root``: everybody has to confirm ``root`` once. ``due`` counts the sealed values that are to be replaced,
    ``tokens`` names the credentials whose state was taken over, or with a compromised key ended; ``left`` says what
    was not, and why.
    """

    epoch: int
    root: str
    new_root: bool
    due: int
    tokens: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def change_keys(
    vault: Vault, act: Callable[[Change], None], *, compromised: bool = False, dry_run: bool = False
) -> Rekeyed:
    """
    Let *act* change the keys of *vault*, then take over the token state of this host.

    Args:
        vault: Open, with an admin's key.
        act: Edits the change.
        compromised: Others may know the old key: token state ends instead.
        dry_run: Try it, and write nothing.

    Raises:
        ConfigurationError: What *act* wants cannot be.
        TamperedError: A sealed value does not open.
        PermissionsError: The vault cannot be written, or this host cannot remember the new root.
        VaultBusyError, VaultChangedError: Somebody else is writing, or has written.
    """
    before, epoch = vault.file.root_fingerprint, vault.document.header.epoch
    old = VaultFile(vault.file.path, vault.document, vault.file.keys, None, vault.file.now)
    with vault.change(dry_run=dry_run) as change:
        act(change)
        head = change.tree["vault"]
        root = root_fingerprint(id_bytes(head["root"]))
        if root != before and not dry_run:
            trust_root(vault.state, before, root)  # whichever of the two a crash leaves in place opens here
    if root != before and not dry_run:
        trust_root(vault.state, root)
    made = Rekeyed(epoch=head["epoch"], root=root, new_root=root != before, due=_due(change))
    if dry_run or head["epoch"] == epoch:
        return made
    done, left = [], []
    try:
        for credential, problem in _carried(vault, old, compromised=compromised):
            if problem is None:
                done.append(credential)
            else:
                left.append(f"{credential}: {problem.message}")
    except McpVaultError as error:
        left.append(error.message)
    return made.replaced(tokens=tuple(done), left=tuple(left))


def remember_slot(vault: Vault, new: NewSlot) -> None:
    """
    Let this host remember the vault through a slot that was given another key: its record was made with the old one.

    Raises:
        PermissionsError: It cannot be written.
    """
    header = vault.document.header
    slot = next((slot for slot in header.slots if slot.id.lower() == new.id.lower()), None)
    if new.private is not None and slot is not None:
        keys = vault.file.keys.replaced(slot=slot, private=new.private)
        FileAnchor(vault.state).accept(slot.id, anchor_record(header, keys))


def _carried(vault: Vault, old: VaultFile, *, compromised: bool) -> list[tuple[str, McpVaultError | None]]:
    sealing, was = sealing_of(vault.file), sealing_of(old)
    here = host_id(vault.state, sealing.vault_id)

    def of(credential: str) -> TokenStore:
        return TokenStore(
            vault.state,
            credential,
            vault_id=sealing.vault_id,
            seal=sealing.seal,
            unseal=was.unseal if compromised else sealing.unseal,  # the vault itself keeps no key to these
            host=here,
            host_name=host_name(),
        )

    return list(carry(vault.state, of, compromised=compromised))


def _due(change: Change) -> int:
    entries = change.tree.get("servers", {})
    return sum("due" in version for name in entries for _, versions in change.sealed(name) for version in versions)
