"""``mcpvault slots``: the keys that open the vault."""

from __future__ import annotations

from pathlib import Path

import click

from mcpvault.cli import app, output, secret_input
from mcpvault.errors import UsageError

EXAMPLE = """
Example:

\b
  mcpvault slots list
  mcpvault slots keygen /etc/mcpvault/host.key      on the host; prints its public key
  mcpvault slots add web01 --recipient mvp1-…       by an admin, anywhere
  mcpvault slots add alice --passphrase --role admin
"""


@click.group(epilog=EXAMPLE)
def command() -> None:
    """Show and add the keys that open the vault."""


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
@click.option("--role", type=click.Choice(["reader", "admin"]), default="reader", show_default=True)
@app.dry_run_option
@app.json_option
def add_slot(
    slot: str,
    recipient: str | None,
    new_key_file: str | None,
    passphrase: bool,
    keyring: bool,
    role: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add a way into the vault. A reader opens it; an admin also changes it."""
    from mcpvault.vault import keyfiles
    from mcpvault.vault.keysources import store_in_keyring
    from mcpvault.vault.slots import NewSlot, RawKey, Role

    if sum((recipient is not None, new_key_file is not None, passphrase, keyring)) != 1:
        raise UsageError("expected one of --recipient, --new-key-file, --passphrase, --keyring")
    vault = app.open_for_change()
    as_role: Role = "admin" if role == "admin" else "reader"
    raw = RawKey.generate()
    if recipient is not None:
        new = NewSlot.recipient(slot, recipient, role=as_role)
    elif passphrase:
        new = NewSlot.passphrase(slot, secret_input.new_passphrase(), role=as_role)
    elif keyring:
        user = f"{vault.document.header.id}/{slot}"
        new = NewSlot.keyring(slot, raw, service="mcpvault", user=user, role=as_role)
    else:
        keyfiles.check_apart(Path(new_key_file or "").absolute(), vault.places.vault_path)
        new = NewSlot.raw(slot, raw, role=as_role)
    with vault.change(dry_run=True) as trial:  # what cannot be is refused before a key is kept anywhere
        trial.add_slot(new)
    if not dry_run:
        with vault.change() as change:
            change.add_slot(new)
            # The key is kept before the slot exists: a slot without its key would be a lie.
            if new_key_file is not None:
                keyfiles.write(Path(new_key_file).absolute(), raw.text)
            if keyring:
                store_in_keyring("mcpvault", f"{vault.document.header.id}/{slot}", raw.text)
    facts = {"slot": slot, "kind": new.kind, "role": role, "root": vault.file.root_fingerprint, "dry_run": dry_run}
    output.say(f"{'would add' if dry_run else 'added'} slot {slot} ({role})", as_json=as_json, json=facts)
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
