"""``mcpvault due``: which secrets are to be rotated, and which rotations are open; from the vault file alone."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, output
from mcpvault.errors import PolicyError

if TYPE_CHECKING:
    from mcpvault.upkeep.due import Item

EXAMPLE = """
Example:

\b
  mcpvault due
  mcpvault due --fail --json
  mcpvault due --prometheus /var/lib/node_exporter/mcpvault.prom
"""


@click.command(epilog=EXAMPLE)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=app.complete_server)
@click.option("--fail", is_flag=True, help="Exit with 9 if a secret is expired, overdue or due.")
@click.option("--prometheus", "path", metavar="PATH", help="Write a textfile for node_exporter; - is stdout.")
@app.json_option
def command(names: tuple[str, ...], fail: bool, path: str | None, as_json: bool) -> None:
    """
    List the secrets of NAMEs, or of all servers, the worst first: expired, overdue, due, near, unknown, ok.

    Needs no key, sends nothing and verifies nothing. The rule is policy.max_age of the entry or of the vault; a secret
    is near policy.warn before that (14d). Open rotations are listed with their step. So is the secret of a client that
    a login on this host has registered, where its server ends it: another login registers another.
    """
    from mcpvault.host_state import state_of
    from mcpvault.places import locate
    from mcpvault.upkeep.due import FAILING, due, metrics
    from mcpvault.vault.documents import entry_of

    document, now = app.peek(), time.time()
    for name in names:
        entry_of(document, name)
    state = state_of(locate(os.environ, app.vault_path()), document)
    items = [item for item in due(document, now, state) if not names or item.server in names]
    if path is not None:
        output.textfile(path, metrics(items, now))
    elif as_json:
        output.json({"schema": 1, "now": int(now), "items": [item.fields() for item in items]})
    else:
        output.table([_row(item) for item in items], headings=("server", "field", "state", "age", "rotation", "notes"))
    late = [item for item in items if item.state in FAILING]
    if fail and late:
        shown = ", ".join(f"{item.server}.{item.field}" for item in late[:5]) + (", …" if len(late) > 5 else "")
        raise PolicyError(f"to be rotated: {shown}", hint=f"run: {late[0].command}")


def _row(item: Item) -> tuple[str, ...]:
    age = "" if item.age_days is None else f"{item.age_days}d"
    rule = "" if item.max_age_days is None else f" of {item.max_age_days}d"
    until = f" until {item.journal_until}" if item.journal_until and item.journal == "grace" else ""
    needed = f"this host fell back {item.fallbacks} time{'s' * (item.fallbacks != 1)}" if item.fallbacks else None
    notes = (
        item.reason,
        needed,
        f"ends {item.not_after}" if item.not_after else None,
        item.owner,
        item.runbook,
        item.problem,
    )
    host = f" on {item.journal_host}" if item.journal_host else ""
    journal = f"{item.journal}{host}{until}" if item.journal else ""
    return item.server, item.field, item.state, age + rule, journal, "; ".join(filter(None, notes))
