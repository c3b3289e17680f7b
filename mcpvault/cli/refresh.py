"""``mcpvault refresh``: replace access tokens before they expire, from a timer."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import click

from mcpvault.cli import app, durations, output, standing
from mcpvault.errors import McpVaultError, UsageError
from vault_schema.fields import OAUTH_KINDS

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.connect import Vault

EXAMPLE = """
Example:

\b
  mcpvault refresh linear
  mcpvault refresh --all --expiring 2h --jitter 15m
"""


@click.command(epilog=EXAMPLE)
@click.argument("servers", nargs=-1, metavar="[NAME]...", shell_complete=app.complete_server)
@click.option("--all", "everything", is_flag=True, help="Every OAuth entry that has a grant.")
@click.option("--expiring", type=durations.DURATION, metavar="2h", help="Only what expires within this time.")
@click.option("--jitter", type=durations.DURATION, metavar="15m", help="Wait a random part of this time first.")
@click.option("--adopt", is_flag=True, help="This host takes over state that was copied from another.")
@app.timeout_option
@app.dry_run_option
@app.json_option
def command(
    servers: tuple[str, ...],
    everything: bool,
    expiring: float | None,
    jitter: float | None,
    adopt: bool,
    timeout: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Refresh the tokens of NAME, whether or not they are due.

    Scripts refresh by themselves; this is for timers that keep a grant alive, and after a host was moved. The exit
    code is the worst of all entries': what is due and cannot be refreshed is an error, also while the old token works.
    """
    if everything == bool(servers):
        raise UsageError("name servers, or give --all", hint="mcpvault refresh --all")
    vault = app.open_vault()
    of_oauth = (name for name in vault.names() if vault.entry(name).auth.kind in OAUTH_KINDS)
    names = [*of_oauth] if everything else [*servers]
    if jitter and not dry_run:
        time.sleep(random.uniform(0, jitter))  # noqa: S311  to spread load, not to hide anything
    facts: list[dict[str, Any]] = []
    failures: dict[str, McpVaultError] = {}
    seen: set[str] = set()
    for name in names:
        credential = vault.entry(name).credential or name
        if everything and credential in seen:
            continue
        seen.add(credential)
        authorization: EntryAuthorization | None = None
        try:
            if everything and not has_grant(vault, name):
                continue
            authorization = vault.authorization(name)
            if dry_run:
                done, tokens = authorization.due(expiring=expiring, adopt=adopt)
            else:
                done, tokens = authorization.renew(expiring=expiring, adopt=adopt, timeout=timeout or 60.0)
        except McpVaultError as error:
            failures[name] = error
            due = authorization is not None or None
            said = {"due": due, "dry_run": dry_run, "error": error.kind, "message": error.message}
            facts.append({"server": name, "refreshed": False, **said})
            continue
        told = standing.granted(tokens, time.time()) if tokens is not None else {}
        facts.append({"server": name, "refreshed": done and not dry_run, "due": done, "dry_run": dry_run, **told})
        if not as_json:
            left = told.get("expires_in")
            until = "" if left is None else f", good for {standing.span(left)}"
            did = "would be refreshed" if dry_run else "refreshed"
            output.raw(f"{name}: {did if done else 'not due'}{until}")
    if as_json:
        output.json(facts)
    if failures:
        worst = standing.worst([*failures.values()])
        for name, failure in failures.items() if not as_json else ():
            line = f"{name}: {failure.message.removeprefix(f'{name}: ')}"
            if (failure, line) != (worst, worst.message):  # that is told as the error
                output.note(line)
        raise worst


def has_grant(vault: Vault, name: str) -> bool:
    """Tell whether there are tokens of the entry; without them nothing that it refers to is looked up."""
    from mcpvault.state.tokens import peek

    held = peek(vault.state, vault.entry(name).credential or name)
    return held is not None and held.issued_at is not None and vault.authorization(name).has_grant()
