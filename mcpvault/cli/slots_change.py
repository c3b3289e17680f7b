"""``mcpvault slots remove|role|reseal``: what becomes of the keys that open the vault already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, output, secret_input
from mcpvault.cli.rekey import tell
from mcpvault.errors import UsageError

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.vault.change import Change
    from mcpvault.vault.slots import NewSlot, RawKey, Role

EXAMPLE = """
Example:

\b
  mcpvault slots remove web01 --dry-run
  mcpvault slots role alice admin
  mcpvault slots reseal alice --passphrase      a new passphrase
  mcpvault slots reseal                         boxes anew, and the pin of your own slot
"""


@click.command(epilog=EXAMPLE)
@click.argument("slots", nargs=-1, required=True, metavar="ID…")
@click.option("--compromised", is_flag=True, help="As for rekey: nothing of the old key is kept, and grants end.")
@app.yes_option
@app.dry_run_option
@app.json_option
def remove(slots: tuple[str, ...], compromised: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """
    Take ways into the vault away.

    That is a new key for the vault, as with mcpvault rekey, and it marks every secret due: who could open the
    vault knows them all. Without an admin it is also a new root, which everybody else confirms once.
    """
    from mcpvault.upkeep.keys import change_keys

    ids = tuple(dict.fromkeys(slots))
    vault = app.open_for_change()
    with vault.change(dry_run=True) as trial:  # what cannot be is refused before anybody is asked
        trial.remove_slots(ids)
    if not dry_run:
        app.confirm(f"remove {', '.join(ids)} and give the vault a new key", yes=yes)
    made = change_keys(vault, lambda change: change.remove_slots(ids, compromised=compromised),
                       compromised=compromised, dry_run=dry_run)  # fmt: skip
    done = f"{'would remove' if dry_run else 'removed'} {', '.join(ids)}; the vault is at epoch {made.epoch}"
    tell(made, done, as_json=as_json, dry_run=dry_run, compromised=compromised, removed=list(ids))


@click.command(epilog=EXAMPLE)
@click.argument("slot", metavar="ID")
@click.argument("role", type=click.Choice(["reader", "admin"]))
@app.yes_option
@app.dry_run_option
@app.json_option
def role(slot: str, role: Role, yes: bool, dry_run: bool, as_json: bool) -> None:
    """
    Let a slot change the vault, or only open it.

    Whoever was an admin knows the vault's root, so making one a reader makes a new root and a new key.
    """
    from mcpvault.upkeep.keys import change_keys

    vault = app.open_for_change()
    with vault.change(dry_run=True) as trial:
        trial.set_role(slot, role)
    if not dry_run:
        app.confirm(f"make {slot} {'an admin' if role == 'admin' else 'a reader'}", yes=yes)
    made = change_keys(vault, lambda change: change.set_role(slot, role), dry_run=dry_run)
    done = f"{'would make' if dry_run else 'made'} {slot} {'an admin' if role == 'admin' else 'a reader'}"
    tell(made, done, as_json=as_json, dry_run=dry_run, slot=slot, role=role)


@click.command(epilog=EXAMPLE)
@click.argument("slot", required=False, metavar="[ID]")
@click.option("--recipient", metavar="mvp1-…", help="The new public key of the host.")
@click.option("--new-key-file", metavar="PATH", help="Write a new raw key to this file.")
@click.option("--passphrase", is_flag=True, help="Ask for a new passphrase.")
@click.option("--keyring", is_flag=True, help="Keep a new key in this user's OS keyring.")
@app.yes_option
@app.dry_run_option
@app.json_option
def reseal(
    slot: str | None,
    recipient: str | None,
    new_key_file: str | None,
    passphrase: bool,
    keyring: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Give a slot another key; without ID, make all boxes anew and vouch for the root in your own slot.

    The vault's key stays. Where the old key of the slot may be known to others: mcpvault rekey --compromised.
    """
    from mcpvault.upkeep.keys import change_keys, remember_slot

    chosen = sum((recipient is not None, new_key_file is not None, passphrase, keyring))
    if chosen != (slot is not None):
        raise UsageError("expected ID and one of --recipient, --new-key-file, --passphrase, --keyring, or none of them")
    vault = app.open_for_change()
    act: Callable[[Change], None] = _boxes
    keep: Callable[[], None] = _nothing
    new: NewSlot | None = None
    if slot is not None:
        made_new, keep = made_slot(vault, slot, recipient, new_key_file, passphrase=passphrase, keyring=keyring)
        new = made_new

        def act(change: Change) -> None:
            change.replace_slot(made_new)

    change_keys(vault, act, dry_run=True)
    if not dry_run:
        app.confirm(f"give slot {slot} another key" if slot else "make the boxes of all slots anew", yes=yes)
        keep()
    made = change_keys(vault, act, dry_run=dry_run)
    if new is not None and not dry_run:
        remember_slot(vault, new)
    what = f"slot {slot}: another key" if slot else "all slots: new boxes"
    facts = {"slot": slot, "root": made.root, "dry_run": dry_run}
    output.say(f"{'would be ' if dry_run else ''}{what}", as_json=as_json, json=facts)
    if recipient is not None and not as_json:
        output.note("on that host, once, with its new key: mcpvault trust --accept")
    if slot and not as_json:
        output.note("copies of the file from before still open with the old key; if that is known: mcpvault rekey")


def _boxes(change: Change) -> None:
    change.reseal_slots()


def _nothing() -> None:
    return None


def made_slot(
    vault: Vault,
    slot: str,
    recipient: str | None,
    new_key_file: str | None,
    *,
    passphrase: bool,
    keyring: bool,
    role: Role = "reader",
) -> tuple[NewSlot, Callable[[], None]]:
    """Return the slot that the options ask for, and what keeps its key where they say."""
    from mcpvault.vault import keyfiles
    from mcpvault.vault.keysources import store_in_keyring
    from mcpvault.vault.slots import NewSlot, RawKey

    raw = RawKey.generate()
    if recipient is not None:
        return NewSlot.recipient(slot, recipient, role=role), _nothing
    if passphrase:
        return NewSlot.passphrase(slot, secret_input.new_passphrase(), role=role), _nothing
    if keyring:
        user = f"{vault.document.header.id}/{slot}"
        new = NewSlot.keyring(slot, raw, service="mcpvault", user=user, role=role)
        return new, lambda: store_in_keyring("mcpvault", user, raw.text)
    path = Path(new_key_file or "").absolute()
    keyfiles.check_apart(path, vault.places.vault_path)
    return NewSlot.raw(slot, raw, role=role), lambda: keyfiles.write(path, raw.text)


def show_phrase(key: RawKey) -> None:
    """Print a recovery phrase, for paper and for nothing else."""
    words = key.phrase.reveal().split()
    print("recovery phrase, for paper; it opens the vault where no other key is at hand:")
    for at in range(0, len(words), 6):
        print(f"  {' '.join(words[at : at + 6])}")
    output.note("shown this once; keep it where no computer reads it")
