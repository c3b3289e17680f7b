"""
What verbs share: their common options, the vault they open, and who can be asked.

Nobody is asked unless stdin is a terminal: a cron job never waits for an answer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcpvault.errors import UsageError

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.mcp.callbacks import Callbacks
    from mcpvault.mcp.session import Session
    from mcpvault.secret import Secret
    from mcpvault.state.files import StateDirectory
    from vault_schema import Document

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_VAULT = "mcpvault.vault"


def _remember_vault(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value == "":
        raise UsageError("--vault: is empty", hint="name a file, or leave the option out")
    ctx.find_root().meta[_VAULT] = value


def _debug(_: click.Context, __: click.Parameter, value: bool) -> None:
    if value:
        import logging

        from mcpvault.secret import RedactingFilter

        channel = logging.StreamHandler()
        channel.addFilter(RedactingFilter())
        logging.basicConfig(level=logging.DEBUG, handlers=[channel], format="%(name)s: %(message)s")


def json_option(function: Decorated) -> Decorated:
    """Add the options that every verb has: ``--json``, ``--vault``, ``--debug``."""
    for option in (
        click.option("--debug", is_flag=True, expose_value=False, callback=_debug, help="Log to stderr, redacted."),
        click.option(
            "--vault",
            metavar="PATH",
            expose_value=False,
            is_eager=True,
            callback=_remember_vault,
            help="The vault file, instead of MCPVAULT_FILE or yours.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON; an error becomes one line of it on stderr."),
    ):
        function = option(function)
    return function


def server_argument(function: Decorated) -> Decorated:
    """Add the argument SERVER, the name of an entry."""
    return click.argument("server", metavar="NAME", shell_complete=complete_server)(function)


def complete_server(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the entries whose names begin with *incomplete*; a shell that completes is told of no error."""
    from mcpvault.errors import McpVaultError

    try:
        return [name for name in peek().server_names if name.startswith(incomplete)]
    except McpVaultError:
        return []


def timeout_option(function: Decorated) -> Decorated:
    """Add ``--timeout``."""
    option = click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="For the whole call; a refresh that has been sent is awaited all the same, for 20 s at most.",
    )
    return option(function)


def dry_run_option(function: Decorated) -> Decorated:
    """Add ``--dry-run``."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(function)


def yes_option(function: Decorated) -> Decorated:
    """Add ``--yes``."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(function)


def vault_path() -> str | None:
    """Return what ``--vault`` said."""
    context = click.get_current_context(silent=True)
    return context.find_root().meta.get(_VAULT) if context is not None else None


def on_terminal() -> bool:
    """Tell whether there is a person to ask."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask_secret(prompt: str) -> Secret:
    """Ask for a secret on the terminal, without echo."""
    from getpass import getpass

    from mcpvault.secret import Secret

    return Secret(getpass(prompt, stream=sys.stderr))


def open_vault() -> Vault:
    """Unlock the vault; a passphrase is asked for on a terminal only."""
    import warnings

    from mcpvault.cli.report import warn
    from mcpvault.connect import Vault

    warnings.showwarning = lambda message, *_, **__: warn(str(message))
    _collect_remarks()
    return Vault.open(vault_path(), env=os.environ, prompt=ask_secret if on_terminal() else None)


def _collect_remarks() -> None:
    """Keep what mcpvault logs as a warning for the end of the run; without a handler logging would print it raw."""
    import logging

    from mcpvault.cli.report import remarks
    from mcpvault.secret import redact

    class Remarks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name.partition(".")[0] == "mcpvault":
                remarks.append(redact(record.getMessage()))

    if not logging.root.handlers:  # --debug has one
        logging.root.addHandler(Remarks(logging.WARNING))


def open_for_change() -> Vault:
    """
    Unlock the vault to change it.

    Raises:
        RoleError: The key is a reader's; told before anybody is asked or reads anything.
    """
    vault = open_vault()
    with vault.change(dry_run=True):
        pass
    return vault


def peek() -> Document:
    """Read the vault without a key."""
    from mcpvault.places import locate
    from mcpvault.vault.documents import read_document

    return read_document(locate(os.environ, vault_path()).vault_path)


def state_at_hand() -> StateDirectory:
    """Return the state folder of the vault, for what needs no key."""
    from mcpvault.host_state import state_of
    from mcpvault.places import locate

    return state_of(locate(os.environ, vault_path()), peek())


@contextmanager
def session(server: str, timeout: float | None, callbacks: Callbacks | None = None) -> Iterator[Session]:
    """Open a session with *server*."""
    with open_vault().session(server, timeout=timeout, callbacks=callbacks) as opened:
        yield opened


def confirm(question: str, *, yes: bool) -> None:
    """
    Ask *question*, unless ``--yes`` was given.

    Raises:
        UsageError: There is no terminal to ask on, or the answer is no.
    """
    if yes:
        return
    if not on_terminal():
        raise UsageError(f"{question}: there is no terminal to ask on", hint="give --yes if that is right")
    if not click.confirm(question, err=True):
        raise UsageError("not done", hint="nothing was changed")
