"""``mcpvault run``: another program, with secrets in its environment and nowhere else."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from mcpvault.cli import app, output
from mcpvault.errors import UsageError

EXAMPLE = """
Example:

\b
  mcpvault run --set GITHUB_TOKEN=github -- gh issue list
  mcpvault run --set DB_PASSWORD=db.env.DB_PASSWORD -- ./migrate
  mcpvault run --file KEY_FILE=billing.auth.private_key -- ./sign
  mcpvault set github run_env.GITHUB_TOKEN auth.token
  mcpvault run github -- gh issue list
"""
_WORDS = "mcpvault.words"
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class TakesProgram(click.Command):
    """A verb whose words after ``--`` are another program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the program's words away before click reads them."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_WORDS] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


def _way(option: str, way: str, help_: str) -> Callable[[Decorated], Decorated]:
    return click.option(option, way, multiple=True, metavar="VAR=NAME[.FIELD]", help=help_)


@click.command(cls=TakesProgram, epilog=EXAMPLE, options_metavar="[OPTIONS]")
@click.argument("names", nargs=-1, metavar="[NAME]... -- COMMAND [ARG]...", shell_complete=app.complete_server)
@_way("--set", "variable", "VAR holds the value.")
@_way("--file", "file", "VAR holds the path of a file in memory with the value.")
@_way("--fd", "fd", "VAR holds the number of a descriptor with the value.")
@click.option("--mask", is_flag=True, help="Pass the program's output through, its secrets masked.")
@app.dry_run_option
@app.json_option
def command(
    names: tuple[str, ...],
    variable: tuple[str, ...],
    file: tuple[str, ...],
    fd: tuple[str, ...],
    mask: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """
    Run COMMAND with secrets of the vault; its exit code is ours, its terminal and signals are its own.

    For each NAME the variables of its run_env are set. Without a FIELD, --set gives the entry's credential, of an
    OAuth entry an access token that is good now. Variables that steer loaders and interpreters are refused, and the
    vault's own key is never passed on.
    """
    from mcpvault.upkeep import handing

    words = click.get_current_context().meta[_WORDS]
    asked = [
        *(handing.parsed("variable", each) for each in variable),
        *(handing.parsed("file", each) for each in file),
        *(handing.parsed("fd", each) for each in fd),
    ]
    if not words:
        raise UsageError("there is no COMMAND", hint="mcpvault run NAME -- COMMAND ARG…")
    if not names and not asked:
        raise UsageError("nothing is to be handed over", hint="name an entry, or give --set VAR=NAME")
    vault = app.open_vault()
    wanted = handing.of_entries(vault, names, asked)
    if dry_run:
        _tell(wanted, words, as_json=as_json)
        return
    values = handing.handed(vault, wanted)
    env = handing.environment(os.environ, values)
    sys.stdout.flush()
    if mask:
        from mcpvault.upkeep.masking import run_masked

        descriptors = [int(env[each.variable].rpartition("/")[2]) for each in values if each.way != "variable"]
        code = run_masked(
            words,
            env,
            handing.hidden(vault, wanted, values),
            pass_fds=descriptors,
            show=lambda number, data: _show(number, data),
        )
        raise click.exceptions.Exit(code)
    _become(words, env)


def _tell(wanted: Sequence[Any], words: Sequence[str], *, as_json: bool) -> None:
    facts = [
        {"way": each.way, "variable": each.variable, "server": each.server, "field": each.field} for each in wanted
    ]
    rows = [(each.variable, each.way, each.server, each.field or "") for each in wanted]
    output.table(rows, as_json=as_json, json={"command": [*words], "set": facts, "dry_run": True})


def _show(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]


def _become(words: Sequence[str], env: dict[str, str]) -> None:
    """Become the program. Python ignores two signals, which the program would inherit."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    problem = ""
    try:
        os.execvpe(words[0], [*words], env)  # noqa: S606  no shell
    except (OSError, ValueError) as error:
        problem = (getattr(error, "strerror", None) or "cannot be run").lower()
    raise UsageError(f"{words[0]}: {problem}", hint="what follows -- is a program and its arguments")
