"""What verbs that print a secret by design share: never by accident on a terminal, never for another origin."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mcpvault.errors import ConfigurationError, OriginMismatchError, UsageError

if TYPE_CHECKING:
    from mcpvault.connect import Vault

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def reveal_option(function: Decorated) -> Decorated:
    """Add ``--reveal``."""
    return click.option("--reveal", is_flag=True, help="Print it although stdout is a terminal.")(function)


def check_stdout(*, reveal: bool) -> None:
    """
    Refuse to show a secret to whoever looks at the screen.

    Raises:
        UsageError: Stdout is a terminal, and nobody said that this is meant.
    """
    if sys.stdout.isatty() and not reveal:
        raise UsageError("this prints a secret, and stdout is a terminal", hint="pipe it, or give --reveal")


def check_origin(vault: Vault, server: str, url: str | None) -> None:
    """
    Refuse a credential for another origin than the entry's.

    Raises:
        OriginMismatchError: *url* is elsewhere.
        ConfigurationError: *url* is no http or https URL, or the entry is a stdio server.
    """
    if url is None:
        return
    from vault_schema import SchemaError, origin_of

    entry = vault.entry(server)
    if entry.url is None:
        raise ConfigurationError(f"servers.{server}: is a stdio server and has no origin", server=server)
    theirs = None
    try:
        theirs = origin_of(url)
    except SchemaError:
        pass
    if theirs is None:
        raise UsageError(f"{url[:200]!r} is no http or https URL")
    ours = origin_of(entry.url)
    if ours != theirs:
        raise OriginMismatchError(
            f"{server}: its credential is for {ours}, not for {theirs}",
            hint="add an entry for that origin; a credential goes nowhere else",
            server=server,
        )
