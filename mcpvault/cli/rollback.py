"""``mcpvault rollback``: the previous secret, in use again at once."""

from __future__ import annotations

import click

from mcpvault.cli import app, output

EXAMPLE = """
Example:

\b
  mcpvault rollback github
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@app.dry_run_option
@app.json_option
def command(server: str, dry_run: bool, as_json: bool) -> None:
    """
    Bring the previous secret of NAME back into use.

    During a rotation that ends it, as 'rotate --abort' does. Otherwise current and previous change places, after a
    'set' that was wrong: run it again to undo it.
    """
    from mcpvault.rotation.machine import Machine

    vault = app.open_for_change()
    machine = Machine(vault, server)
    field = machine.previous_field() if dry_run else machine.roll_back()
    facts = {"server": server, "field": field, "dry_run": dry_run, "remarks": [*machine.remarks]}
    output.say(f"{'would roll' if dry_run else 'rolled'} {server}.{field} back", as_json=as_json, json=facts)
    for remark in machine.remarks:
        output.note(f"{server}: {remark}")
