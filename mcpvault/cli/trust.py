"""``mcpvault trust``: tell this host which root, or which older file, to believe."""

from __future__ import annotations

import os
import re

import click

from mcpvault.cli import app, output
from mcpvault.errors import RollbackError, UntrustedRootError, UsageError

EXAMPLE = """
Example:

\b
  mcpvault trust mvr1-mzuhvlpymk6xo3epygfy5h4oeaejofef
  mcpvault trust --accept
"""


@click.command(epilog=EXAMPLE)
@click.argument("fingerprint", required=False, metavar="[ROOT-FINGERPRINT]")
@click.option("--accept", is_flag=True, help="Believe the file although this host has seen a newer one.")
@app.yes_option
@app.dry_run_option
@app.json_option
def command(fingerprint: str | None, accept: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """
    Vouch for the vault's root on this host, with the fingerprint that an admin read out to you.

    With --accept: the file is older than, or differs from, what this host has seen (exit 6); look at the
    difference and go on from it. This host also forgets that it had an audit log, whose files you have moved away.
    """
    if accept == (fingerprint is not None):
        raise UsageError("expected either ROOT-FINGERPRINT or --accept")
    if fingerprint is not None:
        _trust(fingerprint, dry_run=dry_run, as_json=as_json)
    else:
        _accept(yes=yes, dry_run=dry_run, as_json=as_json)


def _trust(fingerprint: str, *, dry_run: bool, as_json: bool) -> None:
    from mcpvault.host_state import state_of
    from mcpvault.places import locate
    from mcpvault.state.anchor import trust_root
    from mcpvault.vault.documents import read_document
    from mcpvault.vault.slot_keys import id_bytes, root_fingerprint

    if not re.fullmatch(r"mvr1-[a-z2-7]{32}", fingerprint):
        raise UsageError(f"expected a root fingerprint mvr1-…, got {fingerprint[:40]!r}")
    places = locate(os.environ, app.vault_path())
    document = read_document(places.vault_path)
    actual = root_fingerprint(id_bytes(document.header.root))
    if actual != fingerprint:
        raise UntrustedRootError(
            f"the vault's root is {actual}, not the one you were told",
            hint="do not use this file; ask the admin where it comes from",
        )
    if not dry_run:
        trust_root(state_of(places, document), fingerprint)
    done = f"{'would trust' if dry_run else 'trusted'} {fingerprint}"
    output.say(done, as_json=as_json, json={"root": fingerprint, "dry_run": dry_run})


def _accept(*, yes: bool, dry_run: bool, as_json: bool) -> None:
    from mcpvault.auditing import Auditor
    from mcpvault.host_state import roots_trusted, state_of
    from mcpvault.places import locate
    from mcpvault.state.anchor import FileAnchor
    from mcpvault.vault import unlock
    from mcpvault.vault.differences import differences
    from mcpvault.vault.documents import read_document
    from mcpvault.vault.keysources import find_key
    from mcpvault.vault.signing import believed_previous
    from mcpvault.vault.vaultfile import VaultFile

    places = locate(os.environ, app.vault_path())
    document = read_document(places.vault_path)
    state = state_of(places, document)
    prompt = app.ask_secret if app.on_terminal() else None
    key = find_key(
        document.header, env=os.environ, data_home=places.data_home, vault_path=places.vault_path, prompt=prompt
    )
    vault = VaultFile.open(places.vault_path, key=key, trusted_roots=roots_trusted(places, state), document=document)
    anchor = FileAnchor(state)
    try:
        record = anchor.seen(vault.slot.id)
        seen = f"serial {record['serial']}" if record else "none"
    except RollbackError:  # a damaged record is what --accept is for
        seen = "nobody can tell what"
    output.note(f"this host has seen {seen}; the file has serial {document.header.serial}")
    other = believed_previous(vault)
    for change in differences(other.document.tree, document.tree) if other else ():
        output.note(str(change))
    if not dry_run:
        app.confirm("go on from this file", yes=yes)
        anchor.forget()  # that there was a log: a new one begins with the next line, unless it is still there
        Auditor(state, vault)("trust", seen=seen, durable=True)  # before it is done: it may have to be written down
        anchor.accept(vault.slot.id, unlock.anchor_record(document.header, vault.keys))
    serial = document.header.serial
    done = f"{'would accept' if dry_run else 'accepted'} serial {serial}"
    output.say(done, as_json=as_json, json={"serial": serial, "dry_run": dry_run})
