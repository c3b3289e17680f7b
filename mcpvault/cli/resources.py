"""``mcpvault resources``: what a server lets one read."""

from __future__ import annotations

import click

from mcpvault.cli import app, offers
from mcpvault.cli.meanwhile import Meanwhile, quiet_options
from mcpvault.cli.saving import save_option

EXAMPLE = """
Example:

\b
  mcpvault resources docs
  mcpvault resources docs file:///handbook.md > handbook.md
  mcpvault resources docs file:///plan.png --save pictures
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("uri", required=False)
@save_option
@quiet_options
@app.timeout_option
@app.json_option
def command(
    server: str,
    uri: str | None,
    folder: str | None,
    quiet: bool,
    log_level: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """List the resources and templates of SERVER, or write the contents of one URI to stdout, or to files."""
    with Meanwhile(quiet=quiet, as_json=as_json, log_level=log_level) as meanwhile:
        callbacks = meanwhile.callbacks() if uri is not None or log_level is not None else None
        with app.session(server, timeout, callbacks) as session:
            offers.show_resources(session, uri, folder=folder, as_json=as_json)
