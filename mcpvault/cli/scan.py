"""``mcpvault scan``: where the vault's own secrets stand in clear."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcpvault.cli import app, output
from mcpvault.errors import ConfigurationError, McpVaultError, PolicyError, UsageError

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.upkeep.scan import Leak, Scan

EXAMPLE = """
Example:

\b
  mcpvault scan
  mcpvault scan ~/src/deploy /var/log/jobs
  mcpvault scan --clients --fix
  mcpvault scan --processes --json
"""


@click.command(epilog=EXAMPLE)
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True, path_type=Path))
@click.option("--clients", is_flag=True, help="The configurations of MCP clients: yours, and this folder's.")
@click.option("--histories", is_flag=True, help="What was typed into shells and interpreters.")
@click.option("--processes", is_flag=True, help="The environment and the words of your processes.")
@click.option("--no-history", "work_tree", is_flag=True, help="Of git repositories the files only.")
@click.option("--fix", is_flag=True, help="Move the literals of clients' files into the vault; needs an admin.")
@app.dry_run_option
@app.json_option
def command(
    paths: tuple[Path, ...],
    clients: bool,
    histories: bool,
    processes: bool,
    work_tree: bool,
    fix: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Look for every secret that the vault and this host's state hold or refer to, by its exact value.

    In PATHs with all that git keeps of them, in what is compressed and in zip archives, or, where nothing is named, in
    clients' configurations, histories and processes. Also tells literals in clients' files that the vault does not hold
    yet. Nothing secret is printed: places, fields and fingerprints. Exit 9 if anything is found.
    """
    from mcpvault.upkeep import known_files
    from mcpvault.upkeep.scan import Scan
    from mcpvault.upkeep.sought import Sought

    if dry_run and not fix:
        raise UsageError("--dry-run belongs to --fix")
    if not (paths or clients or histories or processes):
        clients = histories = processes = True
    vault = app.open_for_change() if fix else app.open_vault()
    sought = Sought(vault)
    scan = Scan(sought, os.environ, [*_own(vault), *sought.files])
    theirs = list(known_files.clients(os.environ, Path.cwd())) if clients else []
    with vault.audit.watching("scan") as told:
        leaks = [leak for path in paths for leak in scan.below(path.absolute(), history=not work_tree)]
        for file in (*theirs, *(known_files.histories(os.environ) if histories else ())):
            leaks += scan.below(file)
        leaks += scan.processes() if processes else ()
        leaks += _literals(vault, theirs, leaks)
        told |= {"places": len(leaks), "fp": {leak.field: leak.fingerprint for leak in leaks}}
    moved = _fix(vault, theirs, leaks, dry_run=dry_run) if fix else []
    still = [] if dry_run else _still(vault, moved)
    fixed = [path for path in moved if not any(leak.path == path for leak in still)]
    left = leaks if dry_run else [*(leak for leak in leaks if leak.path not in moved), *still]
    _report(scan, sought.short, leaks, fixed, dry_run=dry_run, as_json=as_json)
    if left:
        raise PolicyError(f"found in clear: {_counted(left)}", hint=_remedy(vault, left))


def _own(vault: Vault) -> Iterator[Path]:
    """Yield the files that the vault's key is kept in."""
    yield vault.places.data_home / f"{vault.document.header.id}.key"
    if named := os.environ.get("MCPVAULT_KEY_FILE"):
        yield Path(named)


def _literals(vault: Vault, files: Sequence[Path], known: Sequence[Leak]) -> Iterator[Leak]:
    """Yield what clients' files say in clear and the vault does not hold."""
    from mcpvault.interop.source import Source
    from mcpvault.interop.sources import read
    from mcpvault.upkeep.scan import Leak

    seen = {(leak.path, leak.fingerprint) for leak in known}
    for path in files:
        try:
            found = read(Source.load(path)).entries
        except ConfigurationError:  # no file of a shape that could be imported
            continue
        for entry in found:
            for field, secret in entry.secrets:
                mark = vault.file.fingerprint(secret)
                if (str(path), mark) not in seen:
                    told = f"{entry.name}.{field}"
                    yield Leak(kind="literal", path=str(path), line=None, field=told, stage="none", fingerprint=mark)


def _fix(vault: Vault, clients: Iterable[Path], leaks: Sequence[Leak], *, dry_run: bool) -> list[str]:
    """Move the literals of the files that are clients' into the vault; return the files whose servers ask it now."""
    from mcpvault.interop.importing import import_file
    from mcpvault.upkeep.known_files import by_hand

    named = {str(path) for path in clients}
    fixed = []
    for path in dict.fromkeys(leak.path for leak in leaks if leak.kind in ("file", "literal")):
        if not Path(path).is_file() or (path not in named and not path.endswith((".json", ".toml"))):
            continue
        if (step := by_hand(Path(path))) is not None:
            output.warn(f"{path}: is not rewritten; by hand: {step}")
            continue
        try:
            report = import_file(vault, path, move=True, dry_run=dry_run)
        except McpVaultError as error:
            output.warn(f"{error.message}{f'; {error.hint}' if error.hint else ''}")
            continue
        for row in report.rows:
            if not row.moved and not row.needless:
                output.warn(f"{path}: {row.source_name}: not moved: {row.why or '; '.join(row.losses)}")
            if not row.moved:
                continue
            for step in row.steps:
                output.note(f"{row.name}: to do: {step}")
            for loss in row.losses:
                output.warn(f"{row.name}: {loss}")
        if all(row.moved or not row.sealed for row in report.rows) and report.complete:
            fixed.append(path)
    return fixed


def _still(vault: Vault, moved: Sequence[str]) -> list[Leak]:
    """Return what is left in clear in the files that were moved: elsewhere in them, or in a comment."""
    from mcpvault.upkeep.scan import Scan
    from mcpvault.upkeep.sought import Sought

    if not moved:
        return []
    paths, again = [Path(path) for path in moved], Scan(Sought(vault), os.environ)
    found = [leak for path in paths for leak in again.below(path)]
    found += _literals(vault, paths, found)
    for leak in found:
        output.warn(
            f"{leak.where}: its servers were moved; {leak.field} still stands there in clear: take it out by hand"
        )
    return found


def _report(
    scan: Scan, short: Sequence[str], leaks: Sequence[Leak], fixed: Sequence[str], *, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        found = [{**leak.fields(), "fixed": leak.path in fixed and not dry_run} for leak in leaks]
        output.json(
            {"found": found, "looked": scan.looked, "unread": scan.unread, "too_short": [*short], "dry_run": dry_run}
        )
        return
    rows = [(leak.where, leak.field, leak.stage, leak.fingerprint) for leak in leaks]
    output.table(rows, headings=("where", "secret", "stage", "fingerprint"))
    for path in fixed:
        output.note(f"{'would move' if dry_run else 'moved'} {path} into the vault")
    for problem in scan.unread:
        output.warn(f"not looked through: {problem}")
    if short:
        output.note(f"too short to look for: {', '.join(short)}")
    looked = ", ".join(f"{number} {what}" for what, number in scan.looked.items() if number)
    output.note(f"looked through {looked or 'nothing'}")


def _counted(leaks: Sequence[Leak]) -> str:
    fields = sorted({leak.field for leak in leaks})
    places = f"{len(leaks)} place{'' if len(leaks) == 1 else 's'}"
    return f"{', '.join(fields[:5])}{', …' if len(fields) > 5 else ''} in {places}"


def _remedy(vault: Vault, leaks: Sequence[Leak]) -> str:
    """Return what to do first: what others may have read is no secret any more."""
    for leak in leaks:
        name, _, field = leak.field.partition(".")
        if leak.stage in ("current", "pending") and name in vault.names():
            return f"whoever can read it has it: mcpvault rotate {name} {field}; then remove it there"
        if leak.stage == "reference":
            return f"whoever can read it has it: replace it where {name}.{field} refers to; then remove it there"
    if any(leak.kind == "literal" for leak in leaks):
        return "move them into the vault: mcpvault scan --clients --fix"
    if any(leak.field == "vault.key" for leak in leaks):
        return "give the vault a new key: mcpvault rekey; and remove the old one there"
    return "remove it there"
