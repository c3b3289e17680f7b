"""``mcpvault forecast``: the logins and rotations that people owe in the next weeks; from files alone."""

from __future__ import annotations

import os
import time

import click

from mcpvault.cli import app, output
from mcpvault.errors import UsageError

WORDS = {"login": ("login", "logins"), "refresh": ("refresh", "refreshes"), "rotate": ("rotation", "rotations")}
EXAMPLE = """
Example:

\b
  mcpvault forecast
  mcpvault forecast --days 30 --json
  mcpvault forecast --days 365 --ics duties.ics
"""


@click.command(epilog=EXAMPLE)
@click.option("--days", type=click.IntRange(min=0, max=36_500), default=90, show_default=True, help="How far to look.")
@click.option("--ics", "calendar", metavar="PATH", help="Write a calendar file (RFC 5545); - is stdout.")
@app.json_option
def command(days: int, calendar: str | None, as_json: bool) -> None:
    """
    Say which logins a human owes and which secrets will be due, and when.

    Needs no key and sends nothing. A grant that refreshes itself is listed when its refresh token ends, where its
    server says so, or when an earlier grant has ended: to be refreshed before, where that helps, else to log in.
    """
    if calendar is not None and as_json:
        raise UsageError("--ics stands without --json")
    from mcpvault.durations import stamp
    from mcpvault.host_state import state_of
    from mcpvault.places import locate
    from mcpvault.upkeep.due import due
    from mcpvault.upkeep.forecast import forecast, owners_in
    from mcpvault.upkeep.standing import standing

    document, now = app.peek(), time.time()
    state = state_of(locate(os.environ, app.vault_path()), document)
    standings = [standing(document, name, state, now) for name in document.server_names]
    duties = forecast(standings, due(document, now, state), owners_in(document), now=now, days=days)
    if calendar is not None:
        from mcpvault.upkeep.ics import calendar_of

        output.textfile(calendar, calendar_of(duties, vault_id=document.header.id, now=now))
        return
    if as_json:
        output.json({"schema": 1, "now": int(now), "days": days, "duties": [each.fields() for each in duties]})
        return
    rows = [
        (stamp(each.at)[:10], each.server, each.what, each.reason, each.command, each.owner or "") for each in duties
    ]
    output.table(rows, headings=("when", "server", "what", "why", "command", "owner"))
    counted = {what: sum(each.what == what for each in duties) for what in WORDS}
    told = (f"{count} {WORDS[what][count != 1]}" for what, count in counted.items())
    output.note(f"in {days} days: {', '.join(told)}")
