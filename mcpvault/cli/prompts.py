"""``mcpvault prompts``: what a server suggests to say."""

from __future__ import annotations

import click

from mcpvault.cli import app, offers

EXAMPLE = """
Example:

\b
  mcpvault prompts docs
  mcpvault prompts docs summarise -a topic=keys
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("prompt", required=False)
@offers.pairs_option
@app.timeout_option
@app.json_option
def command(server: str, prompt: str | None, pairs: tuple[str, ...], timeout: float | None, as_json: bool) -> None:
    """List the prompts of SERVER, or print one PROMPT filled with its arguments."""
    with app.session(server, timeout) as session:
        offers.show_prompts(session, prompt, None, pairs, as_json=as_json)
