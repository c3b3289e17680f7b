"""``mcpvault list``: the servers of the vault, from the file alone."""

from __future__ import annotations

import click

from mcpvault.cli import app, output

EXAMPLE = """
Example:

\b
  mcpvault list
  mcpvault list --json
"""


@click.command(epilog=EXAMPLE)
@app.json_option
def command(as_json: bool) -> None:
    """List the servers: name, kind of credential, where it goes. Needs no key, so nothing here is verified."""
    document = app.peek()
    rows, facts = [], []
    for name in document.server_names:
        entry = document.server(name)
        auth = entry.auth.kind if entry.kind == "http" else "stdio"
        where = entry.url if entry.kind == "http" else " ".join([entry.command or "", *entry.args])
        rows.append((name, auth, where or "", entry.owner or ""))
        facts.append({"name": name, "kind": entry.kind, "auth": auth, "where": where, "owner": entry.owner})
    output.table(rows, headings=("name", "auth", "where", "owner"), as_json=as_json, json=facts)
