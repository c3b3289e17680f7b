"""``mcpvault sign``: look at a hand edit or a merge, and vouch for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, output

if TYPE_CHECKING:
    from mcpvault.vault.differences import Difference

EXAMPLE = """
Example:

\b
  git pull && mcpvault sign
"""


@click.command(epilog=EXAMPLE)
@app.yes_option
@app.dry_run_option
@app.json_option
def command(yes: bool, dry_run: bool, as_json: bool) -> None:
    """
    Show what changed in the file since its last signed generation, and sign it.

    Until then nobody opens it (exit 6). Lines with ! can send a secret elsewhere or run a program.
    Values that are sealed for another origin or command than their entry names are refused.
    """
    from mcpvault.auditing import Auditor
    from mcpvault.host_state import roots_trusted, state_of
    from mcpvault.places import locate
    from mcpvault.state.anchor import FileAnchor
    from mcpvault.vault.documents import read_document
    from mcpvault.vault.keysources import Key, find_key
    from mcpvault.vault.signing import believed_previous, sign
    from vault_schema import Header

    places = locate(os.environ, app.vault_path())
    state = state_of(places, read_document(places.vault_path))
    seen: list[Difference] = []

    def find(header: Header) -> Key:
        prompt = app.ask_secret if app.on_terminal() else None
        return find_key(header, env=os.environ, data_home=places.data_home, vault_path=places.vault_path, prompt=prompt)

    def accept(changes: Sequence[Difference]) -> bool:
        seen.extend(changes)
        for change in changes:
            output.note(str(change))
        if not dry_run:
            app.confirm("sign 1 change" if len(changes) == 1 else f"sign {len(changes)} changes", yes=yes)
        return not dry_run

    anchor = FileAnchor(state)
    vault = sign(places.vault_path, key=find, accept=accept, anchor=anchor, trusted_roots=roots_trusted(places, state))
    if vault is not None:
        before = believed_previous(vault)
        Auditor(state, vault).changed(before.document if before is not None else None, vault.document)
    serial = vault.document.header.serial if vault is not None else None
    facts = {
        "serial": serial,
        "dry_run": dry_run,
        "changes": [
            {"path": each.path, "before": each.before, "after": each.after, "alarming": each.alarming} for each in seen
        ],
    }
    output.say("would be signed" if dry_run else f"signed, serial {serial}", as_json=as_json, json=facts)
