"""
Put a good generation back: the file if its signature holds, else the one kept before it.

Decides which one is good. It is signed again with a serial above all that this host has seen,
so that it opens here and everywhere. Leaves asking to the caller.

Spec: house rule 4.5; SPEC §8.4.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mcpvault.errors import (
    ConfigurationError,
    LiteralSecretError,
    McpVaultError,
    RoleError,
    VaultChangedError,
    VaultError,
    VaultNotFoundError,
)
from mcpvault.host_state import roots_trusted, state_of
from mcpvault.places import Places
from mcpvault.secret import Secret
from mcpvault.state.anchor import FileAnchor
from mcpvault.vault import file, unlock
from mcpvault.vault.change import signed_tree
from mcpvault.vault.differences import Difference, differences
from mcpvault.vault.documents import conflicted, parsed
from mcpvault.vault.keysources import Key, find_key
from mcpvault.vault.vaultfile import VaultFile
from vault_schema import Header, rewrite

Accept = Callable[[str, int, Sequence[Difference]], bool]


def restore(
    places: Places,
    *,
    env: Mapping[str, str],
    accept: Accept,
    prompt: Callable[[str], Secret] | None = None,
    now: Callable[[], float] = time.time,
    give_up_merge: bool = False,
) -> tuple[str, int, Path | None]:
    """
    Sign the newest good generation again, if *accept* agrees.

    Returns:
        Which it was, its serial, and where the text is kept that an unfinished merge had left.

    Args:
        places: Where the vault is.
        env: The environment, for the key.
        accept: Shown which generation, its new serial, and how it differs from the other one.
        prompt: Asks a person for a passphrase; None asks nobody.
        now: The clock.
        give_up_merge: Go back behind a merge that git has left unfinished in the file.

    Raises:
        VaultError: Neither the file nor a previous generation can be believed, or the file holds both sides of a
            merge, which are newer than that.
        RoleError: The key is a reader's.
        ConfigurationError: The file is good and the newest: there is nothing to restore.
        VaultChangedError: The file changed while it was looked at.
    """
    path = places.vault_path

    def find(header: Header) -> Key:
        return find_key(header, env=env, data_home=places.data_home, vault_path=path, prompt=prompt)

    standing = _bytes(path)
    good: dict[str, VaultFile] = {}
    reasons: list[McpVaultError] = []
    for source, data in ((str(path), standing), (f"{path}.prev", file.previous_generation(path))):
        if data is not None:
            opened = _believed(data, places, find, now)
            if isinstance(opened, VaultFile):
                good[source] = opened
            else:
                reasons.append(opened)
    merging = standing is not None and str(path) not in good and conflicted(standing)
    if merging and not give_up_merge:
        [reason, *_] = reasons
        reason.hint = f"{reason.hint}; to give both sides up for an older generation: mcpvault doctor --restore --yes"
        raise reason
    if not good:
        nothing = VaultNotFoundError(f"{path}: there is no vault, and no previous generation of one")
        reason = reasons[0] if reasons else nothing
        reason.hint = reason.hint or "restore the file from its history"
        raise reason
    [source, vault], *others = good.items()
    seen = vault.anchor.seen(vault.slot.id) if vault.anchor is not None else None
    if source == str(path) and _is_newest(vault, seen):
        raise ConfigurationError(
            f"{path}: nothing to restore: it opens, and nothing newer was seen on this host",
            hint="to go back on purpose, put the older file in its place, then run this again",
        )
    if vault.role != "admin":
        raise RoleError(f"slot {vault.slot.id!r} is a reader's and cannot sign", hint="use an admin's key")
    serials = [
        unlock.anchored_serial(vault.keys, vault.anchor),
        *(each.document.header.serial for each in good.values()),
    ]
    serial = max(serials) + 1
    changes = differences(others[0][1].document.tree, vault.document.tree) if others else []
    real = Path(os.path.realpath(path))
    aside = real.with_name(f"{real.name}.conflicted-{serial}") if merging else None
    if accept(source, serial, changes):
        if aside is not None and standing is not None:
            file.replace(aside, standing, keep_previous=False)
        _write(vault, standing, serial, keep_previous=source != str(path))
    return source, serial, aside


def _bytes(path: Path) -> bytes | None:
    try:
        return file.read(path)
    except VaultNotFoundError:
        return None


def _believed(
    data: bytes, places: Places, find: Callable[[Header], Key], now: Callable[[], float]
) -> VaultFile | McpVaultError:
    """Return the vault in *data* if everything but its age can be believed, else why not."""
    try:
        document = parsed(data, places.vault_path)
        state = state_of(places, document)
        keys = unlock.unlock(document.header, find, trusted_roots=roots_trusted(places, state))
        unlock.verify(document, keys)
    except (VaultError, LiteralSecretError) as error:
        return error
    return VaultFile(places.vault_path, document, keys, FileAnchor(state), now)


def _is_newest(vault: VaultFile, seen: Mapping[str, str | int] | None) -> bool:
    head = vault.document.header
    if seen is None or head.serial > int(seen["serial"]):
        return True
    return head.serial == int(seen["serial"]) and head.mac == seen["mac"]


def _write(vault: VaultFile, standing: bytes | None, serial: int, *, keep_previous: bool) -> None:
    document = vault.document
    text = rewrite(document.text, document.tree, signed_tree(vault.keys, document.tree, serial=serial))
    signed = parsed(text.encode(), vault.path)
    with file.write_lock(vault.path):
        if _bytes(vault.path) != standing:
            raise VaultChangedError(f"{vault.path}: changed while it was looked at", hint="run it again")
        # A damaged file is kept for a look at it; a good newer generation is not overwritten by an older file.
        file.replace(vault.path, text.encode(), keep_previous=keep_previous)
    vault.adopt(signed)
