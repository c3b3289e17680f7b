"""``mcpvault tools``: what a server's tools are called, do and take."""

from __future__ import annotations

import click

from mcpvault.cli import app, offers

EXAMPLE = """
Example:

\b
  mcpvault tools linear
  mcpvault tools linear create_issue
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("tool", required=False)
@app.timeout_option
@app.json_option
def command(server: str, tool: str | None, timeout: float | None, as_json: bool) -> None:
    """List the tools of SERVER, or describe one TOOL with its arguments; --json prints the whole schema."""
    with app.session(server, timeout) as session:
        offers.show_tools(session, tool, as_json=as_json)
