"""``mcpvault init``: a new vault, its first key, and what to do with both."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mcpvault.cli import app, output, secret_input
from mcpvault.cli.slots_change import show_phrase
from mcpvault.errors import ConfigurationError, UsageError

EXAMPLE = """
Example:

\b
  mcpvault init                                    a key file of yours opens it
  mcpvault init --new-key-file /etc/mcpvault/key   a key file where you want it
  mcpvault init --passphrase                       a passphrase opens it, on a terminal
"""


@click.command(epilog=EXAMPLE)
@click.option("--new-key-file", metavar="PATH", help="Write the new key to this file.")
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase instead of making a key.")
@click.option("--keyring", is_flag=True, help="Keep the new key in the OS keyring.")
@click.option("--slot", default=None, metavar="ID", help="Name of the first slot; by default the user's.")
@click.option(
    "--recovery/--no-recovery", default=None, help="Print a second key as words, for paper; the default on a terminal."
)
@app.dry_run_option
@app.json_option
def command(
    new_key_file: str | None,
    passphrase: bool,
    keyring: bool,
    slot: str | None,
    recovery: bool | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Make a new, empty vault.

    Without options its key is made too: a file below your data folder, mode 0600, found by every
    later run. Back it up: without a key nobody opens the vault, us included.
    """
    from mcpvault.connect import Vault
    from mcpvault.places import locate
    from mcpvault.vault import keyfiles, primitives
    from mcpvault.vault.documents import judged
    from mcpvault.vault.keysources import Key, store_in_keyring
    from mcpvault.vault.slots import NewSlot, RawKey
    from mcpvault.vault.vaultfile import VaultFile

    if sum((bool(new_key_file), passphrase, keyring)) > 1:
        raise UsageError("--new-key-file, --passphrase and --keyring exclude each other")
    if recovery and as_json:
        raise UsageError("--recovery prints words for paper; it is not given with --json")
    places = locate(os.environ, app.vault_path())
    if os.path.lexists(places.vault_path):
        raise ConfigurationError(f"{places.vault_path}: there is a vault already", hint="name another with --vault")
    vault_id = os.urandom(16)
    encoded = primitives.encode(vault_id)
    name = slot or keyfiles.default_slot_name(os.environ)
    key_path = Path(new_key_file).absolute() if new_key_file else places.data_home / f"{encoded}.key"
    raw = RawKey.generate()
    if passphrase:
        secret = secret_input.new_passphrase()
        new, key, kept = NewSlot.passphrase(name, secret), Key("passphrase", secret, "the prompt"), "your passphrase"
    elif keyring:
        new = NewSlot.keyring(name, raw, service="mcpvault", user=encoded)
        key, kept = Key("keyring", raw.text, "the OS keyring"), f"the OS keyring (mcpvault/{encoded})"
    else:
        keyfiles.check_apart(key_path, places.vault_path)
        new, key, kept = NewSlot.raw(name, raw), Key("text", raw.text, str(key_path)), str(key_path)
    new_slots, spare = [new], RawKey.generate()
    recovery = app.on_terminal() and not as_json if recovery is None else recovery
    if recovery:
        if name.lower() == "recovery":
            raise UsageError("'recovery' is the name of the slot on paper", hint="name the first with --slot")
        new_slots.append(NewSlot.recovery("recovery", spare))
    judged(VaultFile.create(places.vault_path, new_slots=new_slots, vault_id=vault_id, dry_run=True))
    if not dry_run:
        # The key is kept before the vault exists: a vault without its key would be lost at once.
        if keyring:
            store_in_keyring("mcpvault", encoded, raw.text)
        elif not passphrase:
            keyfiles.write(key_path, raw.text)
        vault = Vault.create(app.vault_path(), slots=new_slots, env=os.environ, vault_id=vault_id, key=key)
        root = vault.file.root_fingerprint
    else:
        root = ""
    facts = {
        "vault": str(places.vault_path),
        "id": encoded,
        "key": kept,
        "slot": name,
        "root": root,
        "recovery": recovery,
    }
    if as_json:
        output.json(facts)
        return
    print(f"{'would make' if dry_run else 'made'} {places.vault_path}")
    print(f"key: {kept}")
    if not dry_run:
        print(f"root: {root}")
        if recovery:
            show_phrase(spare)
        output.note("back up the key: without it nobody opens this vault")
