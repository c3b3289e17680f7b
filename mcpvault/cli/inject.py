"""``mcpvault inject``: a text with the vault's references filled in."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mcpvault.cli import app, giving, output
from mcpvault.errors import ConfigurationError, UsageError

EXAMPLE = """
Example:

\b
  mcpvault inject app.conf.in --out /run/app/app.conf
  echo 'token=${vault:github.auth.token}' | mcpvault inject - | ./consume
"""
LARGEST = 16 * 1024 * 1024  # bytes


@click.command(epilog=EXAMPLE)
@click.argument("source", metavar="FILE|-")
@click.option("--out", metavar="PATH", help="Write there, mode 0600, whole or not at all; not to stdout.")
@click.option("--force", is_flag=True, help="Let --out be inside a git work tree.")
@giving.reveal_option
@app.dry_run_option
@app.json_option
def command(source: str, out: str | None, force: bool, reveal: bool, dry_run: bool, as_json: bool) -> None:
    """
    Replace every ${vault:NAME} and ${vault:NAME.FIELD} in FILE, or in stdin, and nothing else.

    Without a FIELD it is the entry's credential. $${vault: stays as ${vault:. With --dry-run, or on an error, nothing
    is written; all that cannot be filled in, or only begins like a reference, is named at once.
    """
    from mcpvault.upkeep import injection

    text = _read(source)
    target = Path(out).absolute() if out is not None else None
    if target is None and not dry_run:
        giving.check_stdout(reveal=reveal)
    if target is not None and not force and (tree := injection.work_tree(target)) is not None:
        raise ConfigurationError(
            f"{target}: is inside the git work tree {tree}", hint="write it elsewhere, or give --force"
        )
    vault = app.open_vault()
    names = sorted({each.text for each in injection.references(text)})
    if dry_run:
        output.table([(name,) for name in names], as_json=as_json, json={"references": names, "dry_run": True})
        return
    filled = injection.filled(text, vault)
    if target is None:
        if as_json:
            output.json({"text": filled.reveal(), "references": names})
        else:
            sys.stdout.write(filled.reveal())
        return
    injection.write_private(target, filled)
    told = f"wrote {target}, {len(names)} reference{'s' * (len(names) != 1)} filled in"
    output.say(told, as_json=as_json, json={"out": str(target), "references": names})


def _read(source: str) -> str:
    problem = None
    try:
        data = sys.stdin.buffer.read(LARGEST + 1) if source == "-" else Path(source).read_bytes()
        if len(data) <= LARGEST:
            return data.decode()
        problem = f"is larger than {LARGEST} bytes"
    except UnicodeDecodeError:
        problem = "is not UTF-8"
    except OSError as error:
        problem = (error.strerror or "cannot be read").lower()
    raise UsageError(f"{'stdin' if source == '-' else source}: {problem}")
