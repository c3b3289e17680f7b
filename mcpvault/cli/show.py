"""``mcpvault show``: one server, from the file alone."""

from __future__ import annotations

from typing import Any

import click

from mcpvault.cli import app, output
from mcpvault.cli.get import flat, written

EXAMPLE = """
Example:

\b
  mcpvault show github
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@app.json_option
def command(server: str, as_json: bool) -> None:
    """Show NAME as the file says it, with the dates of its secrets. Needs no key, so nothing here is verified."""
    from mcpvault.vault.documents import entry_of

    document = app.peek()
    entry_of(document, server)
    entry: dict[str, Any] = document.tree["servers"][server]
    fields = flat({key: _without_seals(held) for key, held in entry.items()})
    output.table([(key, written(value)) for key, value in fields.items()], as_json=as_json, json=fields)


def _without_seals(held: Any) -> Any:
    if isinstance(held, dict):
        return {key: _without_seals(value) for key, value in held.items()}
    if isinstance(held, list) and held and isinstance(held[0], dict) and "sealed" in held[0]:
        return ", ".join(f"<sealed v{version['v']} {version['stage']} {version['created']}>" for version in held)
    return held
