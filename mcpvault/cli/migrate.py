"""``mcpvault migrate``: from an older format of the file to the newest."""

from __future__ import annotations

import click

from mcpvault.cli import app, output

EXAMPLE = """
Example:

\b
  mcpvault migrate --dry-run
"""


@click.command(epilog=EXAMPLE)
@app.dry_run_option
@app.json_option
def command(dry_run: bool, as_json: bool) -> None:
    """
    Bring the vault to the newest format that this version of mcpvault writes.

    There is one format so far, so there is nothing to migrate. A file of a newer format is refused by every
    verb: update mcpvault there.
    """
    from vault_schema.parse import CURRENT

    document = app.peek()
    facts = {"format": document.header.format, "current": CURRENT, "migrated": False, "dry_run": dry_run}
    output.say(f"nothing to migrate: the vault has format {CURRENT}, the newest", as_json=as_json, json=facts)
