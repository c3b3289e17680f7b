"""``mcpvault remove``: servers, with their secrets."""

from __future__ import annotations

import click

from mcpvault.cli import app, output

EXAMPLE = """
Example:

\b
  mcpvault remove github --yes
"""


@click.command(epilog=EXAMPLE)
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@app.yes_option
@app.dry_run_option
@app.json_option
def command(names: tuple[str, ...], yes: bool, dry_run: bool, as_json: bool) -> None:
    """
    Remove the servers NAME and their sealed secrets.

    The credentials themselves stay valid at their issuers, and older copies of the file, git history
    among them, still hold them sealed: revoke what must die.
    """
    from mcpvault.vault.file import forget_previous

    names = tuple(dict.fromkeys(names))
    vault = app.open_for_change()
    for name in names:
        vault.entry(name)
    if not dry_run:
        app.confirm(f"remove {', '.join(names)}", yes=yes)
    with vault.change(dry_run=dry_run) as change:
        for name in names:
            change.remove_server(name)
    if not dry_run:
        forget_previous(vault.file.path)
    done = "would remove" if dry_run else "removed"
    output.say(f"{done} {', '.join(names)}", as_json=as_json, json={"removed": list(names), "dry_run": dry_run})
    if not as_json and not dry_run:
        output.note("older copies of the file still hold the sealed values; revoke the credentials at their issuers")
