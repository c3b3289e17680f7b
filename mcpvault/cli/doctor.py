"""``mcpvault doctor``: what is wrong with vault, host and servers, and what to do about each."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from mcpvault.cli import app, output, render
from mcpvault.errors import McpVaultError, UsageError

if TYPE_CHECKING:
    from mcpvault.upkeep.findings import Finding
    from mcpvault.vault.differences import Difference

EXAMPLE = """
Example:

\b
  mcpvault doctor
  mcpvault doctor github --json
  mcpvault doctor --offline
  mcpvault doctor --headless
  mcpvault doctor --restore
"""


@click.command(epilog=EXAMPLE)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=app.complete_server)
@click.option("--offline", is_flag=True, help="Send no request.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True, metavar="SECONDS",
    help="For each server.",
)  # fmt: skip
@click.option("--headless", is_flag=True, help="Look as a cron job would: no terminal, cron's four variables.")
@click.option("--restore", is_flag=True, help="Make the file, or the generation kept before it, the newest again.")
@app.yes_option
@app.dry_run_option
@app.json_option
def command(
    names: tuple[str, ...],
    offline: bool,
    timeout: float,
    headless: bool,
    restore: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """
    Look at versions, environment, memory, vault file, key, slots, state, log, references, servers and clock.

    With NAMEs: of the servers only these. The exit code is the worst finding's; warnings are exit 0.

    With --headless it is done in a process like a cron job's, and what would differ from this shell is told.

    With --restore, for an admin: a file that was rolled back, or the kept previous generation if the file
    is damaged, is signed again with a serial above all that this host has seen. An unfinished merge is not
    given up without --yes.
    """
    if restore:
        if names or offline or headless:
            raise UsageError("--restore stands alone")
        return _restore(yes=yes, dry_run=dry_run, as_json=as_json)
    if yes or dry_run:
        raise UsageError("--yes and --dry-run belong to --restore")
    look = _in_a_job if headless else _here
    return _told(look(names, offline=offline, timeout=timeout), as_json=as_json)


def _here(names: Sequence[str], *, offline: bool, timeout: float, ask: bool = True) -> list[Finding]:
    from mcpvault.interop.literals import in_arguments, shows_secret
    from mcpvault.upkeep.doctor import examine

    prompt = app.ask_secret if ask and app.on_terminal() else None
    around: Any = {"names": names, "offline": offline, "timeout": timeout, "in_arguments": in_arguments}
    return list(examine(app.vault_path(), env=os.environ, prompt=prompt, shows_secret=shows_secret, **around))


def _in_a_job(names: Sequence[str], *, offline: bool, timeout: float) -> list[Finding]:
    from mcpvault.upkeep import headless

    words = [*names, "--timeout", str(timeout), *(["--offline"] if offline else [])]
    if path := app.vault_path():
        words += ["--vault", os.path.abspath(path)]  # noqa: PTH100  links stay
    there = headless.job(words, os.environ)
    document = None
    with suppress(McpVaultError):
        document = app.peek()
    here = _here(names, offline=offline, timeout=timeout, ask=False)
    return [*there, *headless.differences(os.environ, document, here, there)]


def _told(found: Sequence[Finding], *, as_json: bool) -> int:
    from mcpvault.upkeep.findings import worst

    code = worst(found)
    if as_json:
        output.json({"code": code, "findings": [finding.as_json() for finding in found]})
        return code
    rows = [tuple(map(render.one_line, (each.level, each.id, each.message, each.hint))) for each in found]
    if sys.stdout.isatty():
        output.table([row[:3] for row in rows], headings=("", "check", "finding"))
        for _, check, _, hint in rows:
            if hint:
                print(f"{check}: {hint}")  # not in the table, which would break commands into pieces
    else:
        output.table(rows)
    failed, warned = (sum(each.level == level for each in found) for level in ("fail", "warn"))
    output.note(f"failed: {failed}, warnings: {warned}, fine: {len(found) - failed - warned}; exit code {code}")
    return code


def _restore(*, yes: bool, dry_run: bool, as_json: bool) -> int:
    from mcpvault.places import locate
    from mcpvault.upkeep.restore import restore

    def accept(source: str, serial: int, changes: Sequence[Difference]) -> bool:
        output.note(f"{source} becomes serial {serial}")
        for change in changes:
            output.note(str(change))
        if not dry_run:
            app.confirm("restore it", yes=yes)
        return not dry_run

    prompt = app.ask_secret if app.on_terminal() else None
    places = locate(os.environ, app.vault_path())
    source, serial, aside = restore(places, env=os.environ, prompt=prompt, accept=accept, give_up_merge=yes)
    done = "would restore" if dry_run else "restored"
    if aside is not None:
        output.note(f"both sides of the unfinished merge {'would be' if dry_run else 'are'} kept in {aside}")
    facts = {"restored": source, "serial": serial, "dry_run": dry_run}
    output.say(f"{done} {source} as serial {serial}", as_json=as_json, json=facts)
    return 0
