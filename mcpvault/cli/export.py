"""``mcpvault export``: entries as another client's file, with references and never a secret."""

from __future__ import annotations

from pathlib import Path

import click

from mcpvault.cli import app, output
from mcpvault.errors import ConfigurationError

EXAMPLE = """
Example:

\b
  mcpvault export --to cursor > ~/.cursor/mcp.json
  mcpvault export --to claude-code linear github --out .mcp.json
  mcpvault export --to codex --stdio >> ~/.codex/config.toml
"""


@click.command(epilog=EXAMPLE)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=app.complete_server)
@click.option(
    "--to", "client", required=True, metavar="CLIENT",
    help="claude-desktop, claude-code, cursor, vscode, windsurf, zed, codex, gemini, fastmcp or mcp-use.",
)  # fmt: skip
@click.option("--stdio", "ask_vault", is_flag=True, help="Let every entry ask the vault: mcpvault stdio NAME.")
@click.option("--out", metavar="PATH", help="Write there, where nothing is yet, instead of to stdout.")
@app.dry_run_option
@app.json_option
def command(
    names: tuple[str, ...], client: str, ask_vault: bool, out: str | None, dry_run: bool, as_json: bool
) -> None:
    """
    Write NAMEs, or all entries, in the form of CLIENT. Needs no key.

    A reference to a variable is written as CLIENT writes it; an entry that holds a secret, or says what CLIENT
    cannot, asks the vault when it is used (mcpvault stdio NAME, or headersHelper in Claude Code). What CLIENT is not
    told is reported on stderr.
    """
    from mcpvault.interop.exporting import export
    from mcpvault.vault.documents import entry_of

    document = app.peek()
    for name in names:
        entry_of(document, name)
    made = export(document, names or document.server_names, client, ask_vault=ask_vault)
    facts = {"to": client, "out": out, "dry_run": dry_run, "servers": [each.fields() for each in made.entries]}
    if out is not None and not dry_run:
        _write(Path(out), made.text)
    if as_json:
        output.json(facts if out is not None else {**facts, "text": made.text})
        return
    for each in made.entries:
        if each.why is not None:
            output.note(f"{each.name}: asks the vault: {each.why}")
        for loss in each.losses:
            output.warn(f"{each.name}: {loss}")
    if out is None or dry_run:
        output.raw(made.text.rstrip("\n"))
    else:
        output.raw(f"wrote {out}: {len(made.entries)} servers")


def _write(path: Path, text: str) -> None:
    problem = None
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        problem = "is there already"
    except OSError as error:
        problem = (error.strerror or "cannot be written").lower()
    if problem is not None:
        raise ConfigurationError(f"{path}: {problem}", hint="write to stdout, and put it where it belongs by hand")
