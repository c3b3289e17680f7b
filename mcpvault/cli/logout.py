"""``mcpvault logout``: give a grant back and forget its tokens."""

from __future__ import annotations

import click

from mcpvault.cli import app, output

EXAMPLE = """
Example:

\b
  mcpvault logout linear
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@app.timeout_option
@app.dry_run_option
@app.json_option
def command(server: str, timeout: float | None, dry_run: bool, as_json: bool) -> None:
    """
    Revoke the tokens of SERVER at its authorization server (RFC 7009), then forget them here.

    A grant from before the entry was changed is given back too. The entry and its registration stay. What could not be
    revoked is reported, and forgotten all the same; only what can be mended here first, such as a client without its
    secret, keeps the tokens (exit 8).
    """
    from mcpvault.entries import PRESENTED

    authorization = app.open_vault().authorization(server, without=PRESENTED)
    outcomes = authorization.logout(timeout=timeout or 30.0, dry_run=dry_run)
    told = [f"{each.token}: {each.outcome}" for each in outcomes] or ["there was no grant"]
    output.say(
        "\n".join([f"{'would log' if dry_run else 'logged'} out of {server}", *(f"  {line}" for line in told)]),
        as_json=as_json,
        json={
            "server": server,
            "dry_run": dry_run,
            "tokens": [{"token": each.token, "outcome": each.outcome} for each in outcomes],
        },
    )
