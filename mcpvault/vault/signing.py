"""
``sign`` and ``trust --accept``: an admin looks at a file that nobody may open, and vouches for it.

Decides what may be signed. Leaves asking to the caller.

Spec: house rule 4.4; SPEC §8.4.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from mcpvault.errors import BindingMismatchError, RoleError, VaultChangedError
from mcpvault.vault import file, unlock
from mcpvault.vault.change import signed_tree
from mcpvault.vault.differences import Difference, differences
from mcpvault.vault.documents import parsed
from mcpvault.vault.keysources import Key
from mcpvault.vault.run_variables import check_run_env
from mcpvault.vault.unlock import AnchorStore
from mcpvault.vault.vaultfile import VaultFile
from vault_schema import Header, rewrite


def sign(
    path: Path,
    *,
    key: Key | Callable[[Header], Key],
    accept: Callable[[Sequence[Difference]], bool],
    anchor: AnchorStore | None = None,
    trusted_roots: Collection[str] = (),
    now: Callable[[], float] = time.time,
) -> VaultFile | None:
    """
    Re-MAC and re-sign the file as it stands, if *accept* agrees to what changed.

    Args:
        path: The vault file.
        key: An admin's key.
        accept: Shown the structural differences against the kept previous generation (everything,
            if that one cannot be believed); returns whether to sign.
        anchor: What this host has seen; the new serial is above it.
        trusted_roots: Root fingerprints that this host vouches for.
        now: The clock.

    Returns:
        The signed vault, or None if it was not accepted.

    Raises:
        RoleError: The key is a reader's.
        BindingMismatchError: A sealed value is not for where it stands now; set it again or undo the edit.
        TamperedError: A sealed value does not open in its place.
        ConfigurationError: A ``run_env`` names a variable that steers how programs run.
        VaultChangedError: The file changed while it was looked at.
    """
    data = file.read(path)
    document = parsed(data, path)
    keys = unlock.unlock(document.header, key, trusted_roots=trusted_roots)
    vault = VaultFile(path, document, keys, anchor, now)
    if vault.role != "admin":
        raise RoleError(
            f"slot {vault.slot.id!r} is a reader's and cannot sign", hint="ask an admin, or use an admin's key"
        )
    check_seals(vault)
    for name in document.server_names:
        check_run_env(name, document.tree["servers"][name].get("run_env"))
    before = believed_previous(vault)
    seen = unlock.anchored_serial(keys, anchor)
    changes = differences(before.document.tree if before else {}, document.tree)
    if not accept([*_going_back(document.header, before.document.header if before else None, seen), *changes]):
        return None
    with file.write_lock(path):
        if file.read(path) != data:
            raise VaultChangedError(f"{path}: changed while it was looked at", hint="run mcpvault sign again")
        seen = max(seen, document.header.serial, unlock.anchored_serial(keys, anchor))
        if before is not None:
            seen = max(seen, before.document.header.serial)
        text = rewrite(document.text, document.tree, signed_tree(vault.keys, document.tree, serial=seen + 1))
        signed = parsed(text.encode(), path)
        # The file on disk was never believed; the generation kept beside it was.
        file.replace(path, text.encode(), keep_previous=False)
    vault.adopt(signed)
    return vault


def _going_back(header: Header, before: Header | None, seen: int) -> list[Difference]:
    """Return what nobody may miss: the file, or what it is compared with, is older than what this host has seen."""
    after = ""
    if header.serial < seen:
        after = f"{header.serial}, so this file is an older one"
    elif before is not None and before.serial + 1 < seen:
        after = f"{before.serial}, the kept generation that the rest is compared with"
    return [Difference(path="vault.serial", before=f"{seen}, seen here", after=after, alarming=True)] if after else []


def check_seals(vault: VaultFile) -> None:
    """
    Open every sealed value in its place, and drop it.

    Raises:
        BindingMismatchError: One is bound to something else than its entry names now.
        TamperedError: One was altered or moved.
    """
    wrong = []
    for name in vault.document.server_names:
        for field in vault.sealed_fields(name):
            table, _, leaf = field.partition(".")
            for version in vault.document.tree["servers"][name][table][leaf]:
                try:
                    vault.check_binding(name, field, version)
                except BindingMismatchError as error:
                    wrong.append(error.message)
                    continue
                vault.secret(name, field, stage=version["stage"])
    if wrong:
        raise BindingMismatchError(
            "; ".join(wrong), hint="undo the edit, then let the values follow knowingly: mcpvault set NAME url URL"
        )


def believed_previous(vault: VaultFile) -> VaultFile | None:
    """Return the kept previous generation if it belongs to this vault and its signature holds."""
    data = file.previous_generation(vault.path)
    if data is None:
        return None
    try:
        document = parsed(data, vault.path)
        if document.header.id != vault.document.header.id or document.header.root != vault.document.header.root:
            return None
        unlock.verify(document, vault.keys)
    except Exception:  # whatever is wrong with it, it is no generation to compare with
        return None
    return VaultFile(vault.path, document, vault.keys, None, vault.now)
