"""
The vault as a file, its slots and its key; whether it opens, and what this host remembers of it.

Leaves the judgement to ``mcpvault.vault``, which raises; here it becomes findings.
"""

from __future__ import annotations

import os
import shlex
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from mcpvault.connect import Vault
from mcpvault.errors import ConfigurationError, RollbackError, VaultError, VaultFormatError, VaultNotFoundError
from mcpvault.places import Places
from mcpvault.secret import Secret
from mcpvault.state.anchor import UNNOTICED
from mcpvault.upkeep import git
from mcpvault.upkeep.findings import Check, Finding, fail, of_error, ok, warn
from mcpvault.upkeep.host_checks import leftovers
from mcpvault.vault import file, keyfiles, signing, slot_keys
from mcpvault.vault.documents import conflicted, read_document
from mcpvault.vault.keysources import Key, find_key, passed_over
from mcpvault.vault.permissions import folder_problem
from vault_schema import Document

RESTORE = "put a good generation back with: mcpvault doctor --restore"


def readable(path: Path) -> Check[Document | None]:
    """Read and parse the file, without any key."""
    try:
        document = read_document(path)
    except VaultError as error:
        broken = error
    else:
        head, count = document.header, len(document.server_names)
        yield ok("vault.file", f"{path}: serial {head.serial}, epoch {head.epoch}, {_counted(count, 'server')}")
        return document
    yield _restorable("vault.file", broken, path)
    return None


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _restorable(check: str, error: VaultError, path: Path) -> Finding:
    """Return the failure, with the way back where there is one that loses no side of a merge."""
    if isinstance(error, VaultFormatError) and error.line is not None and conflicted(file.read(path)):
        return of_error(check, error, place=str(path), hint="take one side of the merge")
    if file.previous_generation(path) is not None or isinstance(error, RollbackError):
        usual = "" if isinstance(error, VaultNotFoundError) else error.hint
        error.hint = f"{usual}; or as an admin, {RESTORE}" if usual else f"as an admin, {RESTORE}"
    return of_error(check, error, place=str(path), hint="restore the file from its history")


def privacy(path: Path) -> Check[None]:
    """Ask whether somebody else could write the file or swap it for another."""
    if not hasattr(os, "geteuid") or not path.exists():  # Windows
        return
    real = Path(os.path.realpath(path))
    facts = real.stat()
    sound = True
    if file.writable_by_others(real):
        sound = False
        what = f"{path}: mode {facts.st_mode & 0o7777:04o} lets others write it"
        yield fail("vault.permissions", what, f"run: chmod go-w {shlex.quote(str(real))}")
    if facts.st_uid not in (0, os.geteuid()):
        sound = False
        what = f"{path}: belongs to user {facts.st_uid}, who can write it"
        yield warn("vault.permissions", what, f"run: chown {os.geteuid()} {shlex.quote(str(real))}")
    for folder in real.parents:
        if (problem := folder_problem(folder)) is not None:
            sound = False
            yield fail("vault.folder", f"{path}: {problem[0]}", problem[1])
    if sound:
        yield ok("vault.permissions", f"{path}: mode {facts.st_mode & 0o7777:04o}, and nobody else can replace it")


def traces(path: Path) -> Check[None]:
    """Name what writers left behind."""
    yield from leftovers("vault.leftovers", file.leftovers(path))


def in_git(path: Path, env: Mapping[str, str]) -> Check[None]:
    """Ask whether git knows how to show and to merge a vault that it keeps."""
    real = Path(os.path.realpath(path))
    if not real.exists() or not any((folder / ".git").exists() for folder in real.parents):
        return
    if git.install(path, (), env, dry_run=True, any_program=True):
        what = f"{path}: git would show sealed lines in a diff and could not merge two branches of it"
        yield warn("vault.git", what, "run: mcpvault git install")
    else:
        yield ok("vault.git", f"{path}: git shows fingerprints, and merges it")
    names, remedy = git.tracked(path, env)
    if names:
        what = f"{path}: git keeps {', '.join(names)}, which is this host's alone: a merge after a rekey would fail"
        yield warn("vault.git", what, f"run: {remedy}; then commit that")


def key(
    document: Document, places: Places, env: Mapping[str, str], prompt: Callable[[str], Secret] | None
) -> Check[Key]:
    """Find the key and say where it came from."""
    vault_path = places.vault_path
    found = find_key(document.header, env=env, data_home=places.data_home, vault_path=vault_path, prompt=prompt)
    yield ok("key.source", f"{vault_path}: the key comes from {found.source}")
    others = passed_over(document.header, env=env, data_home=places.data_home, used=found)
    yield ok("key.others", f"{vault_path}: other sources of a key: {'; '.join(others)}")
    named = env.get("MCPVAULT_KEY_FILE", "") if found.source == "MCPVAULT_KEY_FILE" else found.source
    if found.kind == "text" and Path(named).is_absolute():
        try:
            keyfiles.check_apart(Path(named), vault_path)
        except ConfigurationError as error:
            better = places.data_home / f"{document.header.id}.key"
            hint = f"run: mv {shlex.quote(named)} {shlex.quote(str(better))}, where it is found by itself"
            yield warn("key.place", error.message, hint)
    return found


def opens(path: Path, env: Mapping[str, str], key: Key) -> Check[Vault | None]:
    """Open the vault: slot, pin, MAC, signature, anchor. Say whether a rollback would be noticed."""
    broken: VaultError | None = None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            vault = Vault.open(path, env=env, key=key)
        except VaultError as error:
            broken = error
    if broken is not None:
        yield _restorable("vault.open", broken, path)
        return None
    slot, root = vault.file.slot, vault.file.root_fingerprint
    yield ok("vault.open", f"{path}: opens with slot {slot.id} ({slot.role}), root {root}")
    seen = vault.file.anchor.seen(slot.id) if vault.file.anchor is not None else None
    unnoticed = [text for each in said if (text := str(each.message)).startswith(UNNOTICED)]
    if unnoticed or seen is None:
        what = unnoticed[0] if unnoticed else UNNOTICED
        yield fail("state.anchor", f"{vault.state.path}: {what}", "set MCPVAULT_STATE_DIR to a folder of yours")
    else:
        yield ok("state.anchor", f"{vault.state.path}: this host remembers serial {seen['serial']}")
    return vault


def ways_in(document: Document, own: str | None) -> Check[None]:
    """
    Look at the slots: one that opens nothing yet, and no second admin to come back with.

    Args:
        document: The vault.
        own: The slot that this run opened, whose root is vouched for by that.
    """
    head = document.header
    root = slot_keys.root_fingerprint(slot_keys.id_bytes(head.root))
    for slot in head.slots:
        if slot.pin is None and slot.id != own:
            what = f"vault.slots: {slot.id!r} has no pin; its host opens nothing before the root is confirmed there"
            yield warn("slots.pin", what, f"once, on that host: mcpvault trust {root}")
    admins = [slot.id for slot in head.slots if slot.role == "admin"]
    if len(admins) == 1:
        what = f"vault.slots: {admins[0]!r} is the only admin; if its key is lost, the vault can never be changed again"
        hint = "on a terminal, run: mcpvault slots add recovery --recovery, and keep the phrase on paper"
        yield warn("slots.recovery", what, hint)
    else:
        yield ok("slots.recovery", f"vault.slots: {_counted(len(head.slots), 'slot')}, {len(admins)} of them admins")


def generation(vault: Vault) -> Check[None]:
    """Ask whether the generation that is kept beside the vault is one that could be put back."""
    path = vault.file.path
    if file.previous_generation(path) is None:
        yield ok("vault.previous", f"{path}: no previous generation is kept")
        return
    kept = f"{os.path.realpath(path)}.prev"
    if (before := signing.believed_previous(vault.file)) is None:
        hint = f"the next change replaces it, or run: rm {shlex.quote(kept)}"
        yield warn("vault.previous", f"{kept}: is no good generation of this vault", hint)
    else:
        yield ok("vault.previous", f"{kept}: serial {before.document.header.serial} is kept")
