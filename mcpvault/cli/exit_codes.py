"""``mcpvault exit-codes``: what each exit status means, derived from the tree of errors."""

from __future__ import annotations

import click

from mcpvault import errors
from mcpvault.cli import app, output


def table() -> list[dict[str, object]]:
    """Return one row per exit code: code, meaning, and the kinds of error that end with it."""
    rows: list[dict[str, object]] = [{"code": errors.EXIT_DONE, "means": "done", "kinds": []}]
    base: type[errors.McpVaultError] = errors.McpVaultError
    rows.append(
        {"code": base.exit_code, "means": "unexpected: run it again with --debug and report it", "kinds": [base.kind]}
    )
    rows += [{"code": cls.exit_code, "means": _sentence(cls), "kinds": _kinds(cls)} for cls in base.__subclasses__()]
    return [*rows, {"code": errors.EXIT_INTERRUPTED, "means": "interrupted", "kinds": []}]


def _sentence(cls: type[errors.McpVaultError]) -> str:
    first = (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")
    return (first[:1].lower() + first[1:]).replace("``", "")


def _kinds(cls: type[errors.McpVaultError]) -> list[str]:
    below = [kind for sub in cls.__subclasses__() if sub.__module__ == errors.__name__ for kind in _kinds(sub)]
    return [cls.kind, *below]


EXAMPLE = """
Example:

\b
  mcpvault exit-codes
  mcpvault exit-codes --json
"""


@click.command(epilog=EXAMPLE)
@app.json_option
def command(as_json: bool) -> None:
    """Print what each exit status means; they are stable for ever."""
    rows = table()
    output.table(
        [(str(row["code"]), str(row["means"])) for row in rows], headings=("code", "means"), as_json=as_json, json=rows
    )
