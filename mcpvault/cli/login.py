"""``mcpvault login``: the one step of an OAuth entry that needs a human."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, output, standing
from mcpvault.errors import ConfigurationError

if TYPE_CHECKING:
    from mcpvault.login_plan import Plan

EXAMPLE = """
Example:

\b
  mcpvault login linear
  mcpvault login linear --method paste
  mcpvault login github --scope "repo read:org"
"""
PATIENCE = 600.0  # seconds


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.option(
    "--method",
    type=click.Choice(["loopback", "paste", "device"]),
    help="A browser here, a URL to paste, or a code for another device.",
)
@click.option("--scope", metavar="SCOPES", help="Ask for these, separated by spaces, instead of what the server names.")
@app.timeout_option
@app.dry_run_option
@app.json_option
def command(
    server: str, method: str | None, scope: str | None, timeout: float | None, dry_run: bool, as_json: bool
) -> None:
    """
    Log in to SERVER: a person consents in a browser, and scripts have tokens from then on.

    Without --method: the browser on a desktop, else a code for another device where the server offers that, else
    a URL to open anywhere and an address to paste back. Without a terminal and without --method nothing is
    waited for (exit 3). With --dry-run it is told what would be asked of whom; only metadata is read.
    """
    vault = app.open_vault()
    if dry_run:
        planned = vault.authorization(server).plan(scope=scope, timeout=timeout or 30.0)
        output.say(
            "\n".join([f"would log in to {server}", *_lines(planned)]),
            as_json=as_json,
            json={"server": server, "dry_run": True, **planned.fields()},
        )
        return
    auth = vault.entry(server).auth
    if auth.persist == "none" and auth.kind == "oauth":
        raise ConfigurationError(
            f"{server}: its tokens are kept by the process that gets them, and this one ends with the login",
            hint=f"call session.authenticate() in the program, or run: mcpvault set {server} auth.persist all",
            server=server,
        )
    session = vault.session(server)
    try:
        session.authenticate(method, scope=scope, timeout=timeout or PATIENCE)
    finally:
        session.close()
    authorization = vault.authorization(server)
    facts = {
        **standing.granted(authorization.tokens(), time.time()),
        "registered_scope": standing.registered(authorization.store.read()) if auth.kind == "oauth" else None,
    }
    output.say(
        "\n".join([f"logged in to {server}", *standing.lines(server, facts, person=auth.kind == "oauth")]),
        as_json=as_json,
        json={"server": server, **facts},
    )


def _lines(planned: Plan) -> Iterator[str]:
    yield f"  authorization server: {planned.issuer}"
    yield f"  resource: {planned.resource or 'none named'}"
    yield f"  scopes asked for: {planned.scope or 'none'}"
    yield f"  client: {planned.client}{f' ({planned.client_id})' if planned.client_id else ''}"
    if planned.ways:
        yield f"  ways: {', '.join(planned.ways)}"
        yield f"  redirect URI: {planned.redirect_uri}"
