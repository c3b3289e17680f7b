"""``mcpvault history``: the versions of a server's secrets, by fingerprint."""

from __future__ import annotations

import click

from mcpvault.cli import app, output

EXAMPLE = """
Example:

\b
  mcpvault history github
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@app.json_option
def command(server: str, as_json: bool) -> None:
    """Show every version of every secret of NAME: its stage, when it was sealed, its fingerprint."""
    versions = app.open_vault().file.history(server)
    facts = [
        {
            "field": each.field,
            "version": each.version,
            "stage": each.stage,
            "created": each.created,
            "not_after": each.not_after,
            "fingerprint": each.fingerprint,
        }
        for each in versions
    ]
    rows = [
        (each.field, f"v{each.version}", each.stage, each.created, each.fingerprint or "does not open")
        for each in versions
    ]
    output.table(rows, headings=("field", "version", "stage", "created", "fingerprint"), as_json=as_json, json=facts)
