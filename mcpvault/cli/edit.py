"""``mcpvault edit``: the vault in an editor, with placeholders for secrets."""

from __future__ import annotations

import copy
import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, editor, output, report
from mcpvault.errors import BusyError, McpVaultError, VaultChangedError, VaultError

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.vault.vaultfile import VaultFile
    from vault_schema import Document

EXAMPLE = """
Example:

\b
  mcpvault edit
  EDITOR="code --wait" mcpvault edit github
"""
_TRIES = 10  # others may write while an edit is carried over to what they wrote before


@click.command(epilog=EXAMPLE)
@click.argument("name", required=False, metavar="[NAME]")
@app.dry_run_option
@app.json_option
def command(name: str | None, dry_run: bool, as_json: bool) -> None:
    """
    Open the vault, or only the server NAME, in $VISUAL or $EDITOR.

    Sealed values show as "<sealed FINGERPRINT>": left alone they keep their ciphertext; new text in a
    secret field is sealed; a placeholder cannot be moved. What does not pass is shown to you again.
    What others change meanwhile stays; where it is the same field, you are asked, or it is exit 7.
    Comments stay as they are in the file; those that you write here are not taken over.
    """
    from mcpvault.vault.editing import to_editor

    vault = app.open_for_change()
    begun = copy.copy(vault.file)
    text = shown = to_editor(begun, name)
    beside: str | None = None
    seen: Document | None = None
    while True:
        text = editor.edited(text, beside=beside)
        if text == shown:
            output.say("nothing changed", as_json=as_json, json={"changed": False, "dry_run": dry_run})
            return
        problem: McpVaultError
        try:
            changed, written = _taken(vault, begun, text, name, seen=seen, dry_run=dry_run)
            break
        except McpVaultError as error:
            problem = error
        if not app.on_terminal():
            if isinstance(problem, BusyError | VaultError) or vault.file.document is not begun.document:
                _keep(vault, text, problem)
            raise problem
        report.warn(f"{problem.message} ({problem.hint})" if problem.hint else problem.message)
        if isinstance(problem, VaultChangedError):
            seen = vault.file.document
            beside = to_editor(vault.file, name if name in vault.names() else None)
            report.warn("the editor shows the vault as it is now in a second file; what you save in the first stands")
        if not click.confirm("Edit it again?", default=True, err=True):
            raise problem
    if not changed or _remarks(text) - _remarks(shown) - _remarks(written):
        output.warn("comments and order are not taken over from here; change them in the file itself")
    done = f"{'would be ' if dry_run else ''}changed" if changed else "nothing changed"
    output.say(done, as_json=as_json, json={"changed": changed, "dry_run": dry_run})


def _taken(
    vault: Vault, begun: VaultFile, text: str, name: str | None, *, seen: Document | None, dry_run: bool
) -> tuple[bool, str]:
    """
    Write the edit into the vault as it is now; return whether that changed anything, and the text of the file.

    Where others changed the same, the text stands only if they were *seen*.
    """
    from mcpvault.vault.reapplying import reapplied

    tries = _TRIES
    while True:
        tries -= 1
        vault.file.reread()
        tree = reapplied(begun, vault.file, text, name, settled=vault.file.document is seen)
        before = vault.file.document.text
        try:
            with vault.change(dry_run=dry_run) as change:
                change.tree = tree
            return change.text != before, change.text
        except VaultChangedError:
            if not tries:
                raise


def _keep(vault: Vault, text: str, problem: McpVaultError) -> None:
    """Keep what was typed, and say in the hint of *problem* where."""
    name = f"edited-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(2).hex()}.toml"
    path: Path = vault.state.path / name
    try:
        vault.state.replace(name, text.encode("utf-8"))
    except McpVaultError as error:
        what = f"what was typed could not be kept: {error.message}"
    else:
        remedy = f"rm {shlex.quote(str(path))}"
        what = f"what was typed is kept, secrets typed in clear with it: take it over, then run: {remedy}"
    problem.hint = f"{problem.hint}; {what}" if problem.hint else what


def _remarks(text: str) -> set[str]:
    """Return the lines that may hold a comment."""
    return {line.strip() for line in text.splitlines() if "#" in line}
