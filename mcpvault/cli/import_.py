"""``mcpvault import``: servers out of another client's file, with a report of what became of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, output
from mcpvault.errors import ConfigurationError

if TYPE_CHECKING:
    from mcpvault.interop.importing import Row

EXAMPLE = """
Example:

\b
  mcpvault import ~/.cursor/mcp.json
  mcpvault import .vscode/mcp.json --dry-run
  mcpvault import mcp-config.json --move
"""


@click.command(epilog=EXAMPLE)
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "client", metavar="KIND", help="Whose file it is, where its name and shape do not tell.")
@click.option("--move", is_flag=True, help="Then rewrite FILE so that it asks the vault.")
@app.dry_run_option
@app.json_option
def command(path: Path, client: str | None, move: bool, dry_run: bool, as_json: bool) -> None:
    """
    Take the servers of FILE over: mcp-use, Claude Desktop, Claude Code, Cursor, VS Code, Windsurf, Zed, Codex, Gemini
    CLI, fastmcp.

    Literal secrets are sealed, references stay references, commands wait for approval. What is in the
    vault already is never overwritten; FILE is not touched without --move.
    """
    from mcpvault.interop.importing import import_file

    report = import_file(app.open_vault(), path, kind=client, move=move, dry_run=dry_run)
    if as_json:
        output.json(report.as_json())
    else:
        for row in report.rows:
            print(f"{row.name}\t{_became(row, dry_run=dry_run)}")
            for step in row.steps:
                output.note(f"{row.name}: to do: {step}")
            for loss in row.losses:
                output.warn(f"{row.name}: {loss}")
        for loss in report.losses:
            output.warn(loss)
    left = [row.source_name for row in report.rows if not (row.added or row.needless)]
    stayed = [row.source_name for row in report.rows if row.added and move and not row.moved]
    if left or stayed:
        told = [f"not everything came in: {', '.join(left)}"] if left else []
        told += [f"not everything was moved: {', '.join(stayed)}"] if stayed else []
        raise ConfigurationError(f"{path}: {'; '.join(told)}", hint="the reasons are above")


def _became(row: Row, *, dry_run: bool) -> str:
    if not row.added:
        return f"left out: {row.why}"
    became = "there already, and the same" if row.there else "would be added" if dry_run else "added"
    words = [f"{became}: {row.kind}, {row.leads_to}"]
    if row.sealed:
        words.append(f"sealed {', '.join(row.sealed)}")
    if row.references:
        words.append(f"refers to {', '.join(row.references)}")
    return "; ".join(words)
