"""
An edit that took its time: carried over to what others have made of the vault meanwhile.

Decides nothing of its own: the edit is judged where it began, then merged as git's branches are.
"""

from __future__ import annotations

from typing import Any

from mcpvault.errors import VaultChangedError
from mcpvault.vault.documents import judged
from mcpvault.vault.editing import from_editor
from mcpvault.vault.merging import merge
from mcpvault.vault.vaultfile import VaultFile


def reapplied(
    begun: VaultFile, fresh: VaultFile, text: str, name: str | None = None, *, settled: bool = False
) -> dict[str, Any]:
    """
    Return the tree that *fresh* becomes by what an editor made of the text of *begun*.

    Args:
        begun: The vault as ``to_editor`` showed it.
        fresh: The same vault as it is now.
        text: What the editor made of it.
        name: The entry that was shown, None for all.
        settled: Whoever typed it has seen *fresh*: where both changed the same, the text stands.

    Raises:
        VaultChangedError: Both changed the same; the message names the places.
        ConfigurationError, VaultFormatError: As ``from_editor``.
    """
    with begun.change(dry_run=True) as edit:
        from_editor(edit, text, name)
    if fresh.document is begun.document:
        return edit.tree
    mine = VaultFile(begun.path, judged(edit.text), begun.keys, None, begun.now)
    outcome = merge(begun, fresh, mine, prefer="theirs" if settled else None)
    if outcome.text is None:
        raise VaultChangedError(
            f"{', '.join(outcome.conflicts)}: changed by somebody else as well",
            hint="compare with: mcpvault show, and edit again",
        )
    tree = judged(outcome.text).tree
    before = fresh.document.tree["vault"]
    # Signed by whoever writes it; until then it differs from *fresh* in nothing but the edit.
    return {**tree, "vault": {**tree["vault"], **{key: before[key] for key in ("serial", "mac", "sig")}}}
