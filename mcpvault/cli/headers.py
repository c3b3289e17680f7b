"""``mcpvault headers``: the headers that prove who we are, as JSON, for a client that asks for them."""

from __future__ import annotations

import os

import click

from mcpvault.cli import app, giving, output
from mcpvault.cli.durations import DURATION

EXAMPLE = """
Example:

\b
  mcpvault headers linear | jq -r .Authorization
  "headersHelper": "mcpvault headers linear --for https://mcp.linear.app"      in Claude Code's .mcp.json
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.option("--for", "url", metavar="URL", help="Refuse, unless URL is at the entry's origin.")
@click.option("--min-ttl", type=DURATION, metavar="TIME", help="Replace an access token that ends sooner, such as 5m.")
@giving.reveal_option
@app.json_option
def command(server: str, url: str | None, min_ttl: float | None, reveal: bool, as_json: bool) -> None:
    """
    Print the headers of NAME as one JSON object: what Claude Code and VS Code call a headersHelper.

    Claude Code says in CLAUDE_CODE_MCP_SERVER_URL where it will send them: another origin's are refused, as with --for.
    It never opens a browser: without a grant it ends with 3 and the command to run.
    """
    from mcpvault.opened import headers_of

    giving.check_stdout(reveal=reveal)
    vault = app.open_vault()
    for each in (url, os.environ.get("CLAUDE_CODE_MCP_SERVER_URL") or None):
        giving.check_origin(vault, server, each)
    with vault.audit.watching("give", server=server, field="headers", purpose="headers", durable=True) as told:
        headers = told["secrets"] = headers_of(vault, server, min_ttl=min_ttl)
    output.json({name: value.reveal() for name, value in headers.items()})
