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
    vault = app.open_vault()
    versions, rotation = vault.file.history(server), vault.entry(server).rotation
    problem = rotation.problem if rotation is not None and rotation.step != "aborted" else None
    facts = [
        {
            "field": each.field,
            "version": each.version,
            "stage": each.stage,
            "created": each.created,
            "not_after": each.not_after,
            "fingerprint": each.fingerprint,
            "problem": problem if rotation and (each.field, each.stage) == (rotation.field, "previous") else None,
        }
        for each in versions
    ]
    rows = [
        (each.field, f"v{each.version}", each.stage, each.created, each.fingerprint or "does not open")
        for each in versions
    ]
    output.table(rows, headings=("field", "version", "stage", "created", "fingerprint"), as_json=as_json, json=facts)
    if rotation is not None and problem is not None and not as_json:
        output.note(f"{server}: its rotation, at {rotation.step!r}: {problem}")
