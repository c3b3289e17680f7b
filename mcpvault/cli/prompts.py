"""``mcpvault prompts``: what a server suggests to say."""

from __future__ import annotations

import click

from mcpvault.cli import app, offers
from mcpvault.cli.meanwhile import Meanwhile, quiet_options

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
@quiet_options
@app.timeout_option
@app.json_option
def command(
    server: str,
    prompt: str | None,
    pairs: tuple[str, ...],
    quiet: bool,
    log_level: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """List the prompts of SERVER, or print one PROMPT filled with its arguments."""
    with Meanwhile(quiet=quiet, as_json=as_json, log_level=log_level) as meanwhile:
        callbacks = meanwhile.callbacks() if prompt is not None or log_level is not None else None
        with app.session(server, timeout, callbacks) as session:
            offers.show_prompts(session, prompt, None, pairs, as_json=as_json)
