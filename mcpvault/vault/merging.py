"""
Two generations of a vault and the one that both began from, merged into a third and signed.

Decides whose keys the result has and what counts as a conflict. What only one side changed is taken, entry by entry
and field by field; what was sealed under another epoch is sealed again. Leaves git, and the words for people, to the
caller.

Spec: SPEC §5, §6, §9, §14.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mcpvault.errors import ConfigurationError, LiteralSecretError
from mcpvault.vault import retired, sealing, slots
from mcpvault.vault.change import signed_tree
from mcpvault.vault.documents import judged, timestamp
from mcpvault.vault.rekeying import begin_epoch, sealed_fields
from mcpvault.vault.unlock import Unlocked
from mcpvault.vault.vaultfile import VaultFile
from vault_schema import rewrite
from vault_schema.merging import Prefer, fits, merged
from vault_schema.record import Record

Tree = dict[str, Any]
_MADE = frozenset({"serial", "epoch", "mac", "sig", "slots", "retired"})  # of [vault]: made anew, not merged
_BOXES = frozenset({"box", "sbox"})


class Merge(Record):
    """
    What came out: the text of the merged and signed vault, or where the sides conflict.

    Then ``text`` is None and ``sides`` holds three unsigned texts (ours, base, theirs) that differ in the conflicts
    alone.
    """

    text: str | None
    conflicts: tuple[str, ...] = ()
    sides: tuple[str, str, str] | None = None


def merge(
    base: VaultFile | None, ours: VaultFile, theirs: VaultFile, *, serial: int = 0, prefer: Prefer | None = None
) -> Merge:
    """
    Merge two sides that were opened and verified.

    Args:
        base: What both began from, or None where that cannot be opened: then whatever differs is a conflict.
        ours: Opened with an admin's key.
        theirs: Opened with the same.
        serial: The highest that this host has seen.
        prefer: Whose value stands where they conflict; None makes no vault of them then.

    Raises:
        ConfigurationError: They are not generations of one vault, or of different roots.
        TamperedError: A sealed value does not open in its place.
    """
    for what in ("id", "root"):
        if getattr(ours.document.header, what) != getattr(theirs.document.header, what):
            raise ConfigurationError(
                f"vault.{what}: differs between the two sides", hint="take one of them; then: mcpvault sign"
            )
    target = _target(base, ours, theirs)
    trees = _translated(target, *(side for side in (base, ours, theirs)))
    made, conflicts = _joined(target, trees, prefer or "ours")
    if conflicts and prefer is None:
        sides = tuple(_text(ours, _joined(target, trees, side)[0]) for side in ("ours", "base", "theirs"))
        return Merge(text=None, conflicts=tuple(conflicts), sides=(sides[0], sides[1], sides[2]))
    keys = target.keys
    _mark_due(base, target, trees, made)
    if _both_rekeyed(base, ours, theirs):
        keys = _fresh(base, ours, theirs, made)
    highest = max(serial, ours.document.header.serial, theirs.document.header.serial)
    signed = signed_tree(keys, made, serial=highest + 1)
    text = rewrite(ours.document.text, ours.document.tree, signed)
    try:
        return Merge(text=judged(text, signed).text)
    except (ConfigurationError, LiteralSecretError) as error:
        return Merge(text=None, conflicts=(error.message,))


def _both_rekeyed(base: VaultFile | None, ours: VaultFile, theirs: VaultFile) -> bool:
    known = base.keys.vault_key if base is not None else None
    return len({ours.keys.vault_key, theirs.keys.vault_key, known} - {None}) == 3 or (
        known is None and ours.keys.vault_key != theirs.keys.vault_key
    )


def _target(base: VaultFile | None, ours: VaultFile, theirs: VaultFile) -> VaultFile:
    """Return the side whose vault key the result has: the one that was given a new one."""
    moved = base is not None and ours.keys.vault_key == base.keys.vault_key
    return theirs if moved and theirs.keys.vault_key != ours.keys.vault_key else ours


def _translated(target: VaultFile, *sides: VaultFile | None) -> list[Tree]:
    """Return the trees of *sides* as if all of them had been sealed under the key of *target*, equal values alike."""
    if all(side is None or side.keys.vault_key == target.keys.vault_key for side in sides):
        return [dict(side.document.tree) if side is not None else {} for side in sides]
    lines: dict[tuple[Any, ...], str] = {}
    trees = [_entries(side, target, lines) if side is target else None for side in sides]
    return [_entries(side, target, lines) if tree is None else tree for side, tree in zip(sides, trees, strict=True)]


def _entries(side: VaultFile | None, target: VaultFile, lines: dict[tuple[Any, ...], str]) -> Tree:
    if side is None:
        return {}
    tree = dict(side.document.tree)
    if "servers" in tree:
        tree["servers"] = {name: _entry(name, entry, side, target, lines) for name, entry in tree["servers"].items()}
    return tree


def _entry(name: str, entry: Tree, side: VaultFile, target: VaultFile, lines: dict[tuple[Any, ...], str]) -> Tree:
    out, epoch = dict(entry), target.document.header.epoch
    for table, leaf in sealed_fields(entry):
        versions = []
        for version in entry[table][leaf]:
            context = side.seal_context(name, f"{table}.{leaf}", version)
            secret = sealing.unseal(side.keys.vault_key, version["sealed"], context)
            known = (name, table, leaf, version["v"], tuple(version["bound"]), secret.reveal())
            if side is target:
                lines[known] = version["sealed"]
            elif known not in lines:
                lines[known] = sealing.seal(target.keys.vault_key, secret, context.replaced(epoch=epoch))
            versions.append({**version, "sealed": lines[known]})
        out[table] = {**out[table], leaf: versions}
    return out


def _joined(target: VaultFile, trees: list[Tree], prefer: Prefer) -> tuple[Tree, list[str]]:
    """Return the merged tree under the keys of *target*, unsigned, and its conflicts."""
    _, ours, theirs = trees
    heads = [{k: v for k, v in tree.get("vault", {}).items() if k not in _MADE} for tree in trees]
    head, wrong = merged(*heads, prefer=prefer)
    marks = {line: why for side in (ours, theirs) for line, why in _marks(side).items()}
    known = [{slot["id"]: _facts(slot) for slot in tree.get("vault", {}).get("slots", ())} for tree in trees]
    ways, refused = merged(*known, prefer=prefer)
    conflicts = [f"vault.{path}" for path in wrong] + [f"vault.slots.{path}" for path in refused]
    entries = [{name: _marked(each, {}) for name, each in tree.get("servers", {}).items()} for tree in trees]
    servers, both = merged(*entries, prefer=prefer)
    conflicts += [f"servers.{path}" for path in both]
    epoch = target.document.header.epoch
    for name in [*servers]:
        sides = [side.get(name) for side in entries]
        mixed = all(sides[1:]) and servers[name] not in sides
        if mixed and not any(path.split(".")[0] == name for path in both) and not fits(name, servers[name], epoch):
            # Each side's entry is a good one; what they make together is not.
            conflicts.append(f"servers.{name}")
            chosen = sides[("base", "ours", "theirs").index(prefer)]
            servers = {key: chosen if key == name else value for key, value in servers.items()}
    tree: Tree = {"vault": _header(target, ours, head, ways)}
    servers = {name: _marked(entry, marks) for name, entry in servers.items() if entry is not None}
    if servers or any("servers" in side for side in (ours, theirs)):
        tree["servers"] = servers
    return tree, conflicts


def _marks(tree: Tree) -> dict[str, str]:
    """Return the sealed lines that are due, and why: one side's mark holds for both, so it is no conflict."""
    return {version["sealed"]: version["due"] for version in _versions(tree) if "due" in version}


def _marked(entry: Tree, marks: Mapping[str, str]) -> Tree:
    """Return *entry* with these marks and no others."""
    for table, leaf in sealed_fields(entry):
        versions = []
        for version in entry[table][leaf]:
            bare = {name: value for name, value in version.items() if name != "due"}
            versions.append({**bare, "due": marks[bare["sealed"]]} if bare["sealed"] in marks else bare)
        entry = {**entry, table: {**entry[table], leaf: versions}}
    return entry


def _facts(slot: Mapping[str, Any]) -> Tree:
    return {name: value for name, value in slot.items() if name not in _BOXES}


def _header(target: VaultFile, ours: Tree, head: Tree, ways: Mapping[str, Tree]) -> Tree:
    own = target.document.tree["vault"]
    seed = target.keys.root_seed
    assert seed is not None  # noqa: S101 -- the caller's key is an admin's
    boxed = {slot["id"]: slot for slot in own["slots"]}
    made = [
        boxed[name]
        if name in boxed and _facts(boxed[name]) == facts
        else slots.reboxed(facts, own, target.keys.vault_key, seed, private=None)
        for name, facts in ways.items()
    ]
    kept = {name: own[name] for name in ("epoch", "retired") if name in own}
    signed = {name: ours["vault"][name] for name in ("serial", "mac", "sig")}
    return {**{name: value for name, value in own.items() if name in head}, **head, **kept, **signed, "slots": made}


def _mark_due(base: VaultFile | None, target: VaultFile, trees: list[Tree], made: Tree) -> None:
    """Mark what was sealed for somebody whose slot the other side has removed meanwhile."""
    if base is None or target.keys.vault_key == base.keys.vault_key:
        return
    gone = {slot.id for slot in base.document.header.slots} - {slot.id for slot in target.document.header.slots}
    if not gone and not _marks(target.document.tree):
        return
    known = {version["sealed"] for tree in (trees[0], target.document.tree) for version in _versions(tree)}
    fresh = {version["sealed"] for version in _versions(made)} - known
    marks = _marks(made) | dict.fromkeys(fresh, "slot removed")
    for name, entry in made.get("servers", {}).items():
        made["servers"][name] = _marked(entry, marks)


def _versions(tree: Tree) -> Iterator[Tree]:
    for entry in tree.get("servers", {}).values():
        for table, leaf in sealed_fields(entry):
            yield from entry[table][leaf]


def _fresh(base: VaultFile | None, ours: VaultFile, theirs: VaultFile, made: Tree) -> Unlocked:
    """Begin an epoch that neither side knows: whoever one of them removed may know the other's key."""
    heads = [side.document.header for side in (ours, theirs)]
    gone = {slot.id for slot in base.document.header.slots} if base is not None else set()
    removed = any(gone - {slot.id for slot in head.slots} for head in heads)
    given_up = base is not None and not all(side.keys_of(base.document.header.epoch) for side in (ours, theirs))
    if not given_up:
        key, until = theirs.keys.vault_key, timestamp(lambda: ours.now() + retired.LIFETIME)
        line = retired.seal_key(ours.keys.vault_key, ours.keys.vault_id, heads[0].epoch, heads[1].epoch, key)
        row = {"epoch": heads[1].epoch, "key": line, "until": until}
        made["vault"]["retired"] = [row, *made["vault"].get("retired", ())]
    return begin_epoch(
        made,
        ours.keys,
        now=ours.now,
        due="key compromised" if given_up else "slot removed" if removed else None,
        compromised=given_up,
        epoch=max(head.epoch for head in heads) + 1,
    )


def _text(ours: VaultFile, tree: Tree) -> str:
    return rewrite(ours.document.text, ours.document.tree, tree)
