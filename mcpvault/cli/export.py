"""``mcpvault export``: entries as another client's file, with references and never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcpvault.cli import app, output
from mcpvault.errors import UsageError

if TYPE_CHECKING:
    from mcpvault.interop.exporting import Export

EXAMPLE = """
Example:

\b
  mcpvault export --to cursor
  mcpvault export --to claude-code linear github --out .mcp.json
  mcpvault export --to codex --stdio --into ~/.codex/config.toml --dry-run
"""


@click.command(epilog=EXAMPLE)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=app.complete_server)
@click.option(
    "--to", "client", required=True, metavar="CLIENT",
    help="claude-desktop, claude-code, cursor, vscode, windsurf, zed, codex, gemini, fastmcp or mcp-use.",
)  # fmt: skip
@click.option("--stdio", "ask_vault", is_flag=True, help="Let every entry ask the vault: mcpvault stdio NAME.")
@click.option("--out", metavar="PATH", help="Write there, where nothing is yet, instead of to stdout.")
@click.option("--into", metavar="PATH", help="Put them into CLIENT's own file; all else in it stays as it is.")
@click.option("--force", is_flag=True, help="With --into: take the place of other servers of the same names.")
@app.dry_run_option
@app.json_option
def command(
    names: tuple[str, ...],
    client: str,
    ask_vault: bool,
    out: str | None,
    into: str | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Write NAMEs, or all entries, in the form of CLIENT. Needs no key.

    A reference to a variable is written as CLIENT writes it; an entry that holds a secret, or says what CLIENT
    cannot, asks the vault when it is used (mcpvault stdio NAME, or headersHelper in Claude Code). What CLIENT is not
    told is reported on stderr.

    With --into what is there and asks this vault already is brought up to date; another server of the same name is
    exit 8, and nothing is written.
    """
    if into is not None and out is not None:
        raise UsageError("--into and --out do not go together")
    if force and into is None:
        raise UsageError("--force belongs to --into")
    from mcpvault.interop.exporting import export
    from mcpvault.interop.into import put_into, write_new
    from mcpvault.vault.documents import entry_of

    document = app.peek()
    for name in names:
        entry_of(document, name)
    made = export(document, names or document.server_names, client, ask_vault=ask_vault)
    facts: dict[str, Any] = {
        "to": client,
        "out": out,
        "dry_run": dry_run,
        "servers": [each.fields() for each in made.entries],
    }
    became: dict[str, str] = {}
    if into is not None:
        became = put_into(Path(into), made, client, force=force, dry_run=dry_run)
        facts |= {"into": into, "became": became}
    elif out is not None and not dry_run:
        write_new(Path(out), made.text)
    if as_json:
        output.json(facts if out is not None or into is not None else {**facts, "text": made.text})
        return
    for each in made.entries:
        if each.why is not None:
            output.note(f"{each.name}: asks the vault: {each.why}")
        for loss in each.losses:
            output.warn(f"{each.name}: {loss}")
    if into is not None:
        _told(into, made, became, dry_run=dry_run)
    elif out is None or dry_run:
        output.raw(made.text.rstrip("\n"))
    else:
        output.raw(f"wrote {out}: {len(made.entries)} servers")


def _told(path: str, made: Export, became: Mapping[str, str], *, dry_run: bool) -> None:
    """Say what became of each server; before anything is written, with what would be written."""
    from mcpvault.interop.exporting import shown

    for name, change in became.items():
        output.raw(f"{name}\t{'would be ' if dry_run and change != 'unchanged' else ''}{change}")
        if dry_run and change != "unchanged":
            output.raw("\n".join(f"+ {line}" for line in shown(made, name).splitlines()))
    if not dry_run:
        output.note(f"{path}: {sum(change != 'unchanged' for change in became.values())} servers written")
