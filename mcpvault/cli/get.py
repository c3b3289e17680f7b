"""``mcpvault get``: a server's fields as they are stored; one secret with ``--reveal``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mcpvault.cli import app, output
from mcpvault.errors import UnknownFieldError, UsageError
from mcpvault.suggestion import did_you_mean

if TYPE_CHECKING:
    from mcpvault.connect import Vault

EXAMPLE = """
Example:

\b
  mcpvault get github
  mcpvault get github auth.token --reveal
"""


@click.command(epilog=EXAMPLE)
@app.server_argument
@click.argument("field", required=False, metavar="[FIELD]")
@click.option("--reveal", is_flag=True, help="Print the one secret FIELD in clear.")
@click.option("--stage", type=click.Choice(["current", "pending", "previous"]), default="current", show_default=True)
@app.json_option
def command(server: str, field: str | None, reveal: bool, stage: str, as_json: bool) -> None:
    """Show NAME, or one FIELD of it. Sealed values show as <sealed FINGERPRINT>."""
    if reveal and field is None:
        raise UsageError("--reveal prints one secret: name the FIELD")
    vault = app.open_vault()
    fields = flat(shown(vault, server))
    if field is None:
        output.table([(key, written(value)) for key, value in fields.items()], as_json=as_json, json=fields)
    elif reveal:
        with vault.audit.watching("reveal", server=server, field=field, stage=stage, durable=True) as told:
            secret = vault.file.secret(server, field, stage=stage)
            told["secrets"] = {field: secret}
        output.say(secret.reveal(), as_json=as_json, json={"server": server, "field": field, "value": secret.reveal()})
    elif field in fields:
        output.say(written(fields[field]), as_json=as_json, json={field: fields[field]})
    else:
        raise UnknownFieldError(
            f"servers.{server}.{field}: is not set",
            hint=did_you_mean(field, fields) or f"run: mcpvault get {server}",
            server=server,
        )


def shown(vault: Vault, server: str) -> dict[str, Any]:
    """Return the entry's table with placeholders for sealed values."""
    from mcpvault.vault.editing import placeholder

    entry = dict(vault.file.table(server))
    for path in vault.file.sealed_fields(server):
        table, _, leaf = path.partition(".")
        current = next(version for version in entry[table][leaf] if version["stage"] == "current")
        entry[table] = {**entry[table], leaf: placeholder(vault.file, server, path, current)}
    return entry


def written(value: Any) -> str:
    """Return a field's value for people: text as it is, all else as the file writes it."""
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as dotted fields."""
    out: dict[str, Any] = {}
    for key, held in value.items():
        if isinstance(held, dict):
            out |= flat(held, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = held
    return out
