"""``mcpvault git``: the vault in a git repository."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from mcpvault.cli import app, output

EXAMPLE = """
Example:

\b
  mcpvault git install
  git diff                     fingerprints for what is sealed, never a plaintext
  git merge main               entry by entry, signed again; what conflicts waits for: mcpvault sign
"""


@click.group(epilog=EXAMPLE)
def command() -> None:
    """Let git show and merge the vault."""


@command.command("install", epilog=EXAMPLE)
@app.dry_run_option
@app.json_option
def install(dry_run: bool, as_json: bool) -> None:
    """
    Set up the git repository that the vault is in; once in every clone.

    Adds the vault to .gitattributes, and what only this host needs beside it to .gitignore, and the two drivers to
    the configuration of this clone. What git keeps already though it is ignored is named, with the command.
    """
    from mcpvault.places import locate
    from mcpvault.upkeep import git

    path = locate(os.environ, app.vault_path()).vault_path
    app.peek()
    program = ["mcpvault"] if shutil.which("mcpvault") else [sys.executable, "-m", "mcpvault"]
    done = git.install(path, program, os.environ, dry_run=dry_run)
    lines = [f"{'would change' if dry_run else 'changed'} {what}" for what in done] or ["nothing to do"]
    names, remedy = git.tracked(path, os.environ)
    output.say("\n".join(lines), as_json=as_json, json={"changed": done, "tracked": names, "dry_run": dry_run})
    if names:
        output.warn(f"git keeps {', '.join(names)}, which is this host's alone; run: {remedy}; then commit that")


@command.command("textconv", epilog=EXAMPLE)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@app.json_option
def textconv(file: Path, as_json: bool) -> None:
    """
    Print a vault as git diff shows it; git runs this.

    A sealed value shows as its keyed fingerprint, without a key as a mark of its line. Fingerprints of different
    epochs differ: after a rekey every line has changed.
    """
    from mcpvault.places import locate
    from mcpvault.upkeep import git
    from mcpvault.vault.file import read

    shown = git.textconv(read(file.absolute()), locate(os.environ, app.vault_path()), os.environ)
    if as_json:
        output.json({"text": shown})
    else:
        print(shown, end="")


@command.command("merge-driver", epilog=EXAMPLE)
@click.argument("files", nargs=3, metavar="BASE OURS THEIRS", type=click.Path(path_type=Path, exists=True))
@click.argument("marker", type=click.IntRange(1, 1000), default=7, metavar="[MARKER-SIZE]")
@app.dry_run_option
@app.json_option
def merge_driver(files: tuple[Path, Path, Path], marker: int, dry_run: bool, as_json: bool) -> None:
    """
    Merge the vault THEIRS into the file OURS; git runs this.

    Both sides are verified, merged entry by entry and field by field, and signed: that needs an admin's key. What
    both sides changed differently stays between markers, unsigned.
    """
    from mcpvault.places import locate
    from mcpvault.upkeep import git

    base, ours, theirs = (file.absolute() for file in files)
    prompt = app.ask_secret if app.on_terminal() else None
    places = locate(os.environ, app.vault_path())
    told = (base, ours, theirs)
    serial = git.merge_driver(told, marker, places, os.environ, prompt=prompt, dry_run=dry_run)
    done = f"{'would merge' if dry_run else 'merged'} the vault, serial {serial}"
    output.say(done, as_json=as_json, json={"serial": serial, "dry_run": dry_run})
