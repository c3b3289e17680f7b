"""``mcpvault call``: one call of one tool, the line of a cron job."""

from __future__ import annotations

import click

from mcpvault.cli import app, offers
from mcpvault.cli.meanwhile import Meanwhile, quiet_options
from mcpvault.cli.saving import save_option

EXAMPLE = """
Example:

\b
  mcpvault call linear create_issue '{"title": "Rotate the keys"}'
  mcpvault call linear create_issue -a title="Rotate the keys" -a priority=2
  mcpvault call linear create_issue @issue.json -a 'labels:=["ops"]'
  mcpvault call browser screenshot -a url=https://example.com --save shots
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("tool")
@click.argument("arguments", required=False)
@offers.pairs_option
@save_option
@click.option("--detach", is_flag=True, help="Let the server make a task of it, and do not wait; see: mcpvault tasks.")
@quiet_options
@app.timeout_option
@app.json_option
def command(
    server: str,
    tool: str,
    arguments: str | None,
    pairs: tuple[str, ...],
    folder: str | None,
    detach: bool,
    quiet: bool,
    log_level: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """
    Call TOOL of SERVER with ARGUMENTS: a JSON object, @FILE, or - for stdin.

    Text goes to stdout, structured content as JSON where there is no text; --json prints structured content, or the
    whole result if there is none or with --save. A tool that reports a failure is exit 5, and its text is on stderr.

    Progress and log messages go to stderr; --quiet keeps a cron job's mail empty. On a terminal Markdown is laid out,
    and a server that asks for something asks you; without one it is declined. Ctrl-C cancels the call (exit 130).
    """
    with Meanwhile(quiet=quiet, as_json=as_json, log_level=log_level) as meanwhile:
        opening = app.session(server, timeout, meanwhile.callbacks())
        offers.call_tool(opening, meanwhile, tool, arguments, pairs, folder=folder, detach=detach, as_json=as_json)
