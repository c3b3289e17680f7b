"""``mcpvault rekey``: a new key for the whole vault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, output

if TYPE_CHECKING:
    from mcpvault.upkeep.keys import Rekeyed

EXAMPLE = """
Example:

\b
  mcpvault rekey --dry-run
  mcpvault rekey --yes
  mcpvault rekey --compromised      somebody else has, or may have, a key to the vault
"""
HISTORY = (
    "git history, backups and other copies keep the old file: whoever had its key reads what it held until the "
    "secrets are replaced at their issuers"
)


@click.command(epilog=EXAMPLE)
@click.option("--compromised", is_flag=True, help="Others may know the old key: every secret is due, every grant ends.")
@app.yes_option
@app.dry_run_option
@app.json_option
def command(compromised: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """
    Give the vault a new key: seal every value again, make every slot's box anew, in one step.

    Every key that opens it now still does, and grants go on. Older generations beside the file are deleted; its git
    history stays. With --compromised nothing of the old key is kept: all secrets are marked due, and the
    tokens of OAuth entries end on every host.
    """
    from mcpvault.upkeep.keys import change_keys

    vault = app.open_for_change()
    what = "give the vault a new key and end all of its grants" if compromised else "give the vault a new key"
    if not dry_run:
        app.confirm(what, yes=yes)
    made = change_keys(vault, lambda change: change.rekey(compromised=compromised),
                       compromised=compromised, dry_run=dry_run)  # fmt: skip
    tell(made, f"{'would begin' if dry_run else 'began'} epoch {made.epoch}", as_json=as_json, dry_run=dry_run,
         compromised=compromised)  # fmt: skip


def tell(made: Rekeyed, done: str, *, as_json: bool, dry_run: bool, compromised: bool = False, **more: object) -> None:
    """Print what a change of keys has done, and what is left to people."""
    root = None if dry_run and made.new_root else made.root
    facts = {**more, **made.fields(), "root": root, "compromised": compromised, "dry_run": dry_run}
    output.say(done, as_json=as_json, json=facts)
    for line in made.left:
        output.warn(f"not taken over: {line}")
    if as_json:
        return
    if made.tokens and not dry_run:
        output.note(f"{'ended' if compromised else 'taken over'}: the tokens of {', '.join(made.tokens)}")
    if compromised and made.tokens and not dry_run:
        output.note("revoke them at their issuers: mcpvault logout NAME; then: mcpvault login NAME")
    if made.due:
        values = "value is" if made.due == 1 else "values are"
        output.note(f"{made.due} sealed {values} due now, see mcpvault due: replace them at their issuers")
    if made.new_root:
        output.note(f"the vault {'gets' if dry_run else 'has'} a new root; once on every other host and by every owner"
                    f"{'' if dry_run else f', after comparing: mcpvault trust {made.root}'}")  # fmt: skip
    output.note(HISTORY)
