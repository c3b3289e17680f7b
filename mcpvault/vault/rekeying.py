"""
A new epoch of a vault: a new vault key, every value sealed again, a box for everybody who stays.

Decides what of the old epoch goes on, and who can still open what. Leaves the writing to ``change``, which puts the
new epoch in place in one step.

Spec: SPEC §5.1, §6.1, §14.2; house rule 4.6.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from mcpvault.secret import Secret
from mcpvault.vault import primitives, retired, sealing, slots
from mcpvault.vault.documents import timestamp
from mcpvault.vault.sealing import SealContext
from mcpvault.vault.unlock import Unlocked
from vault_schema import Slot, spec_for

Tree = dict[str, Any]
_LINE = r"""(?m)^([ \t]*sealed[ \t]*=[ \t]*["'])(mv1\.[\w.-]+)(["'][ \t]*)(\r?\n)"""


def sealed_fields(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return table and name of every field of *entry* that holds sealed versions."""
    found = []
    for table, held in entry.items():
        for leaf, value in held.items() if isinstance(held, dict) else ():
            versions = isinstance(value, list) and value and isinstance(value[0], dict) and "sealed" in value[0]
            if versions and spec_for(f"{table}.{leaf}"):
                found.append((table, leaf))
    return found


def begin_epoch(
    tree: Tree,
    keys: Unlocked,
    *,
    now: Callable[[], float],
    removed: Collection[str] = (),
    new_root: bool = False,
    due: str | None = None,
    compromised: bool = False,
    epoch: int | None = None,
) -> Unlocked:
    """
    Change *tree* into the same vault one epoch later, unsigned, and return the keys of that epoch.

    Args:
        tree: A vault's, whose ``vault`` table and ``servers`` table may be changed; what is below them is replaced.
        keys: An admin's, of the epoch until now.
        now: The clock.
        removed: The ids of slots that get no box.
        new_root: Make another root, because an admin goes who knows the old one.
        due: Mark every sealed value with this reason.
        compromised: Keep no vault key of an earlier epoch: others may know them.
        epoch: The new one, by default the next.

    Raises:
        TamperedError: A sealed value does not open in its place.
    """
    head: Tree = tree["vault"]
    vault_key, seed = os.urandom(32), os.urandom(32) if new_root else keys.root_seed
    if seed is None:
        raise TypeError("an epoch is begun by an admin")
    before, epoch = head["epoch"], head["epoch"] + 1 if epoch is None else epoch
    rows = [] if compromised else _retired(head, keys, vault_key, epoch, now)
    head.pop("retired", None)
    if rows:
        head["retired"] = rows
    for name, entry in tree.get("servers", {}).items():
        if fields := sealed_fields(entry):
            tree["servers"][name] = _resealed(name, entry, fields, keys, vault_key, (before, epoch), due)
    head["epoch"] = epoch
    public = primitives.encode(primitives.x25519_public(keys.private))
    head["slots"] = [
        slots.reboxed(slot, head, vault_key, seed, private=keys.private if slot["pub"] == public else None)
        for slot in head["slots"]
        if slot["id"] not in removed
    ]
    head["root"] = primitives.encode(primitives.ed25519_public(seed))
    own = next(slot for slot in head["slots"] if slot["pub"] == public)
    return keys.replaced(slot=Slot(**own), vault_key=vault_key, root_seed=seed)


def relined(text: str, before: Tree, after: Mapping[str, Any]) -> tuple[str, Tree]:
    """
    Return *text* with the sealed lines and marks of *after*, and what it now says, for ``vault_schema.rewrite``.

    It saves the edit of every single entry where most of a vault is sealed lines; what this does not reach, or does
    not get right, is edited after it.
    """
    fresh: dict[str, Mapping[str, Any]] = {}
    for name, entry in after.get("servers", {}).items():
        for table, leaf in sealed_fields(entry):
            old = before["servers"].get(name, {}).get(table, {}).get(leaf, ())
            known = {version["v"]: version for version in old if isinstance(version, dict)}
            fresh |= {known[each["v"]]["sealed"]: each for each in entry[table][leaf] if each["v"] in known}

    def line(found: re.Match[str]) -> str:
        version = fresh.get(found[2])
        if version is None:
            return found[0]
        mark = f"due = {json.dumps(version['due'])}{found[4]}" if "due" in version else ""
        return f"{found[1]}{version['sealed']}{found[3]}{found[4]}{mark}"

    made = re.sub(_LINE, line, text)
    try:
        return made, tomllib.loads(made)
    except tomllib.TOMLDecodeError:  # a mark was there already
        return text, before


def _retired(head: Tree, keys: Unlocked, vault_key: bytes, epoch: int, now: Callable[[], float]) -> list[Tree]:
    """Return the keys of earlier epochs that hosts may still need, sealed under the new one."""
    today = timestamp(now)
    until = timestamp(lambda: now() + retired.LIFETIME)
    kept = [(head["epoch"], keys.vault_key, until)]
    for row in head.get("retired", ()):
        if row["until"] > today:
            key = retired.open_key(row["key"], keys.vault_key, keys.vault_id, head["epoch"], row["epoch"])
            kept += [(row["epoch"], key, row["until"])] if key is not None else []
    return [
        {"epoch": old, "key": retired.seal_key(vault_key, keys.vault_id, epoch, old, key, salt=None), "until": end}
        for old, key, end in kept
    ]


def _resealed(
    name: str,
    entry: Tree,
    fields: list[tuple[str, str]],
    keys: Unlocked,
    vault_key: bytes,
    epochs: tuple[int, int],
    due: str | None,
) -> Tree:
    out, (before, epoch) = dict(entry), epochs
    for table, leaf in fields:
        versions = []
        for version in entry[table][leaf]:
            context = SealContext(keys.vault_id, before, name, f"{table}.{leaf}", version["v"], tuple(version["bound"]))
            secret: Secret = sealing.unseal(keys.vault_key, version["sealed"], context)
            line = sealing.seal(vault_key, secret, context.replaced(epoch=epoch))
            versions.append({**version, "sealed": line, **({"due": due} if due is not None else {})})
        out[table] = {**out[table], leaf: versions}
    return out
