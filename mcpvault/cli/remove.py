"""``mcpvault remove``: servers, with their secrets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, output
from mcpvault.errors import McpVaultError
from vault_schema.fields import OAUTH_KINDS

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.connect import Vault
    from mcpvault.giving_back import Revoked

EXAMPLE = """
Example:

\b
  mcpvault remove github --yes
"""
_PATIENCE = 15.0  # seconds


@click.command(epilog=EXAMPLE)
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@app.yes_option
@app.dry_run_option
@app.json_option
def command(names: tuple[str, ...], yes: bool, dry_run: bool, as_json: bool) -> None:
    """
    Remove the servers NAME and their sealed secrets, and log out of those that nobody else uses the grant of.

    Static credentials stay valid at their issuers, and older copies of the file, git history
    among them, still hold them sealed: revoke what must die.
    """
    names = tuple(dict.fromkeys(names))
    vault = app.open_for_change()
    for name in names:
        vault.entry(name)
    if not dry_run:
        app.confirm(f"remove {', '.join(names)}", yes=yes)
    tokens = take_out(vault, names, dry_run=dry_run)
    done = "would remove" if dry_run else "removed"
    output.say(
        "\n".join([f"{done} {', '.join(names)}", *told(tokens)]),
        as_json=as_json,
        json={"removed": list(names), "dry_run": dry_run, "tokens": tokens},
    )
    if not as_json and not dry_run:
        output.note("older copies of the file still hold the sealed values; revoke the credentials at their issuers")


def take_out(vault: Vault, names: Collection[str], *, dry_run: bool) -> list[dict[str, str]]:
    """
    Remove the entries *names* with their secrets, then give their grants back as well as it goes.

    Returns:
        What became of each token: ``server``, ``token``, ``outcome``.
    """
    grants = [*_grants(vault, names)]
    with vault.change(dry_run=dry_run) as change:
        for name in names:
            change.remove_server(name)
        change.forget = True
    tokens: list[dict[str, str]] = []
    for authorization in grants:
        server = authorization.settings.server
        try:
            outcomes = [
                *authorization.logout(timeout=_PATIENCE, dry_run=dry_run, regardless=True),
                *(() if dry_run else _set_aside(authorization)),
            ]
        except McpVaultError as error:
            output.note(f"{server}: its grant was not given back: {error.message}")
            continue
        tokens += [{"server": server, "token": each.token, "outcome": each.outcome} for each in outcomes]
    return tokens


def _set_aside(authorization: EntryAuthorization) -> Iterator[Revoked]:
    """Give back, and forget, what an open rotation has set aside of the grant: nobody will end it."""
    from mcpvault.state.grants import withdraw

    for part in ("before", "given-up"):
        record = withdraw(authorization.store.beside(part))
        if record is not None:
            yield from authorization.give_back(record, timeout=_PATIENCE)


def told(tokens: list[dict[str, str]]) -> list[str]:
    """Return what became of each token, a line each."""
    return [f"  {each['server']}: {each['token']}: {each['outcome']}" for each in tokens]


def _grants(vault: Vault, names: Collection[str]) -> Iterator[EntryAuthorization]:
    """Yield the authorization of each grant that no entry is left to use."""
    from mcpvault.entries import PRESENTED

    used = {vault.entry(name).credential or name for name in vault.names() if name not in names}
    for name in names:
        entry = vault.entry(name)
        credential = entry.credential or name
        if entry.auth.kind not in OAUTH_KINDS or credential in used:
            continue
        used.add(credential)
        try:
            authorization = vault.authorization(name, without=PRESENTED)
            if authorization.keeps_grant():
                yield authorization
        except McpVaultError as error:
            output.note(f"{name}: whether it has a grant cannot be told: {error.message}")
