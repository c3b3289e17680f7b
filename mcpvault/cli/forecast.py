"""``mcpvault forecast``: the logins and rotations that people owe in the next weeks; from files alone."""

from __future__ import annotations

import os
import time

import click

from mcpvault.cli import app, output

EXAMPLE = """
Example:

\b
  mcpvault forecast
  mcpvault forecast --days 30 --json
"""


@click.command(epilog=EXAMPLE)
@click.option("--days", type=click.IntRange(min=0, max=36_500), default=90, show_default=True, help="How far to look.")
@app.json_option
def command(days: int, as_json: bool) -> None:
    """
    Say which logins a human owes and which secrets will be due, and when.

    Needs no key and sends nothing. A grant that refreshes itself is listed only when it has ended: nobody tells how
    long a refresh token lives.
    """
    from mcpvault.durations import stamp
    from mcpvault.host_state import state_of
    from mcpvault.places import locate
    from mcpvault.upkeep.due import due
    from mcpvault.upkeep.forecast import forecast
    from mcpvault.upkeep.standing import standing

    document, now = app.peek(), time.time()
    state = state_of(locate(os.environ, app.vault_path()), document)
    standings = [standing(document, name, state, now) for name in document.server_names]
    duties = forecast(standings, due(document, now, state), now=now, days=days)
    if as_json:
        output.json({"schema": 1, "now": int(now), "days": days, "duties": [each.fields() for each in duties]})
        return
    rows = [
        (stamp(each.at)[:10], each.server, each.what, each.reason, each.command, each.owner or "") for each in duties
    ]
    output.table(rows, headings=("when", "server", "what", "why", "command", "owner"))
    logins = sum(each.what == "login" for each in duties)
    output.note(f"in {days} days: {logins} logins, {len(duties) - logins} rotations")
