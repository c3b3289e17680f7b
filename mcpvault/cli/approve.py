"""``mcpvault approve``: look at an imported command, whole, and allow it to run."""

from __future__ import annotations

import shlex

import click

from mcpvault.cli import app, output, report
from mcpvault.errors import UsageError

EXAMPLE = """
Example:

\b
  mcpvault approve files
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@app.yes_option
@app.dry_run_option
@app.json_option
def command(server: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Show the command of NAME, untruncated, with its variables and folder, and let it run from now on."""
    from mcpvault.vault.run_variables import steers

    vault = app.open_for_change()
    entry = vault.entry(server)
    if entry.command is None:
        raise UsageError(f"{server}: runs no command")
    words = [entry.command, *entry.args]
    output.note(f"{server} runs, as you and on this machine:")
    output.note("  " + report.one_line(shlex.join(words)))
    variables = {name: held if isinstance(held, str) else "<sealed>" for name, held in entry.env.items()}
    steering = [name for name in variables if steers(name)]
    for name, shown in variables.items():
        mark = "  <- steers what is loaded or run, or where traffic goes" if name in steering else ""
        output.note(f"  with {name}={report.one_line(shown)}{mark}")
    if entry.cwd:
        output.note(f"  in {report.one_line(entry.cwd)}")
    if steering:
        output.warn(f"{', '.join(steering)}: can make an honest program run another one's code")
    if not dry_run:
        app.confirm("allow it", yes=yes)
    with vault.change(dry_run=dry_run) as change:
        change.set_plain(server, "approved", True)
    done = "would be approved" if dry_run else "approved"
    facts = {"server": server, "command": words, "env": variables, "steering": steering, "cwd": entry.cwd}
    output.say(f"{done}: {server}", as_json=as_json, json=facts | {"dry_run": dry_run})
