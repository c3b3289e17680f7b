"""``mcpvault resources``: what a server lets one read."""

from __future__ import annotations

import click

from mcpvault.cli import app, offers

EXAMPLE = """
Example:

\b
  mcpvault resources docs
  mcpvault resources docs file:///handbook.md > handbook.md
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("uri", required=False)
@app.timeout_option
@app.json_option
def command(server: str, uri: str | None, timeout: float | None, as_json: bool) -> None:
    """List the resources and templates of SERVER, or write the contents of one URI to stdout."""
    with app.session(server, timeout) as session:
        offers.show_resources(session, uri, as_json=as_json)
