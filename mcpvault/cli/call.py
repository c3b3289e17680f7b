"""``mcpvault call``: one call of one tool, the line of a cron job."""

from __future__ import annotations

import click

from mcpvault.cli import app, offers

EXAMPLE = """
Example:

\b
  mcpvault call linear create_issue '{"title": "Rotate the keys"}'
  mcpvault call linear create_issue -a title="Rotate the keys" -a priority=2
  mcpvault call linear create_issue @issue.json -a 'labels:=["ops"]'
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("tool")
@click.argument("arguments", required=False)
@offers.pairs_option
@app.timeout_option
@app.json_option
def command(
    server: str, tool: str, arguments: str | None, pairs: tuple[str, ...], timeout: float | None, as_json: bool
) -> None:
    """
    Call TOOL of SERVER with ARGUMENTS: a JSON object, @FILE, or - for stdin.

    Text goes to stdout; --json prints structured content, or the whole result if there is none.
    A tool that reports a failure is exit 5, and its text is on stderr.
    """
    offers.call_tool(app.session(server, timeout), tool, arguments, pairs, as_json=as_json)
