"""``mcpvault slots``: the keys that open the vault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, output
from mcpvault.cli.slots_change import made_slot, remove, reseal, show_phrase
from mcpvault.cli.slots_change import role as change_role
from mcpvault.errors import UsageError

if TYPE_CHECKING:
    from mcpvault.vault.slots import Role

EXAMPLE = """
Example:

\b
  mcpvault slots list
  mcpvault slots keygen /etc/mcpvault/host.key      on the host; prints its public key
  mcpvault slots add web01 --recipient mvp1-…       by an admin, anywhere
  mcpvault slots add alice --passphrase --role admin
  mcpvault slots add recovery --recovery            an admin's key as words, for paper
  mcpvault slots remove web01                       a new key for the vault, and every secret is due
"""


@click.group(epilog=EXAMPLE)
def command() -> None:
    """Show, add, change and remove the keys that open the vault."""


@command.command("list", epilog=EXAMPLE)
@app.json_option
def list_slots(as_json: bool) -> None:
    """List the slots. Needs no key, so nothing here is verified."""
    slots = app.peek().header.slots
    facts = [
        {"id": slot.id, "kind": slot.kind, "role": slot.role, "pinned": slot.pin is not None, "created": slot.created}
        for slot in slots
    ]
    rows = [
        (slot.id, slot.kind, slot.role, "pinned" if slot.pin else "needs trust", slot.created or "") for slot in slots
    ]
    output.table(rows, headings=("slot", "kind", "role", "root", "created"), as_json=as_json, json=facts)


@command.command("add", epilog=EXAMPLE)
@click.argument("slot", metavar="ID")
@click.option("--recipient", metavar="mvp1-…", help="A host's public key, from: mcpvault slots keygen.")
@click.option("--new-key-file", metavar="PATH", help="Write a new raw key to this file.")
@click.option("--passphrase", is_flag=True, help="Ask for a new passphrase.")
@click.option("--keyring", is_flag=True, help="Keep a new key in this user's OS keyring.")
@click.option("--recovery", is_flag=True, help="Print a new key as words, for paper.")
@click.option("--role", type=click.Choice(["reader", "admin"]), help="By default reader; of a recovery slot admin.")
@app.dry_run_option
@app.json_option
def add_slot(
    slot: str,
    recipient: str | None,
    new_key_file: str | None,
    passphrase: bool,
    keyring: bool,
    recovery: bool,
    role: Role | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add a way into the vault. A reader opens it; an admin also changes it."""
    from mcpvault.vault.slots import NewSlot, RawKey

    if sum((recipient is not None, new_key_file is not None, passphrase, keyring, recovery)) != 1:
        raise UsageError("expected one of --recipient, --new-key-file, --passphrase, --keyring, --recovery")
    if recovery and as_json:
        raise UsageError("--recovery prints words for paper; it is not given with --json")
    vault = app.open_for_change()
    role = role or ("admin" if recovery else "reader")
    raw = RawKey.generate()
    keep: Callable[[], None]
    if recovery:
        new, keep = NewSlot.recovery(slot, raw, role=role), lambda: None
    else:
        new, keep = made_slot(vault, slot, recipient, new_key_file, passphrase=passphrase, keyring=keyring, role=role)
    with vault.change(dry_run=True) as trial:  # what cannot be is refused before a key is kept anywhere
        trial.add_slot(new)
    if not dry_run:
        with vault.change() as change:
            change.add_slot(new)
            keep()  # before the slot exists: a slot without its key would be a lie
    facts = {"slot": slot, "kind": new.kind, "role": role, "root": vault.file.root_fingerprint, "dry_run": dry_run}
    output.say(f"{'would add' if dry_run else 'added'} slot {slot} ({role})", as_json=as_json, json=facts)
    if recovery and not dry_run:
        show_phrase(raw)
    if recipient is not None and not as_json:
        output.note(f"on that host, once: mcpvault trust {vault.file.root_fingerprint}")


@command.command("keygen", epilog=EXAMPLE)
@click.argument("path", metavar="PATH")
@app.dry_run_option
@app.json_option
def keygen(path: str, dry_run: bool, as_json: bool) -> None:
    """Make a host's key in the file PATH (mode 0600) and print its public half for an admin."""
    from mcpvault.vault import keyfiles
    from mcpvault.vault.slots import HostIdentity

    if dry_run:
        output.say(f"would write {path}", as_json=as_json, json={"path": path, "public": None, "dry_run": True})
        return
    identity = HostIdentity.generate()
    keyfiles.write(Path(path).absolute(), identity.text)
    output.say(identity.public, as_json=as_json, json={"path": path, "public": identity.public, "dry_run": False})


command.add_command(remove, "remove")
command.add_command(change_role, "role")
command.add_command(reseal, "reseal")
