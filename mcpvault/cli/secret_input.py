"""How a secret comes in: prompt, stdin, file, descriptor or the name of a variable. Never a word of the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mcpvault.cli import app, output
from mcpvault.errors import UsageError
from mcpvault.secret import Secret

LARGEST = 64 * 1024  # bytes
_SHORTEST, _FEWEST = 12, 5  # characters of a new passphrase, and different ones among them


def from_stdin(what: str) -> Secret:
    """
    Read a secret from stdin, without one trailing newline; on a terminal it is prompted for.

    Raises:
        UsageError: There is nothing there, or no text.
    """
    if app.on_terminal():
        return from_prompt(what)
    return _judged(lambda: sys.stdin.buffer.read(LARGEST + 1), "stdin")


def from_prompt(what: str, *, otherwise: str = "give it on stdin, or name a variable") -> Secret:
    """
    Ask for a secret on the terminal.

    Args:
        what: What is asked for.
        otherwise: What to do where there is no terminal.

    Raises:
        UsageError: There is no terminal, or nothing was typed.
    """
    if not app.on_terminal():
        raise UsageError(f"{what}: there is no terminal to ask on", hint=otherwise)
    secret = app.ask_secret(f"{what}: ")
    if not secret:
        raise UsageError(f"{what}: nothing was typed")
    return secret


def new_passphrase() -> Secret:
    """
    Ask for a new passphrase, twice.

    Raises:
        UsageError: There is no terminal, it is so short or so uniform that it can be guessed, or the two differ.
    """
    otherwise = "run it on a terminal, or use --new-key-file"
    first = from_prompt("New passphrase", otherwise=otherwise)
    if len(first.reveal()) < _SHORTEST or len({*first.reveal()}) < _FEWEST:
        raise UsageError(
            f"a passphrase has at least {_SHORTEST} characters, {_FEWEST} of them different",
            hint="whoever has the file can try them all: take five words by dice, or a key file",
        )
    if first != from_prompt("The same again", otherwise=otherwise):
        raise UsageError("the two passphrases differ")
    return first


def for_field(field: str, secret: Secret) -> Secret:
    """
    Return *secret* if *field* can carry it: what becomes a header is judged now as it is when it is sent.

    Raises:
        HeaderRefusedError: It cannot.
    """
    from mcpvault.credentials import check_header

    table, _, name = field.partition(".")
    if table == "headers" or field in ("auth.token", "auth.value"):
        check_header(name if table == "headers" else "Authorization", secret)
    return secret


def from_file(path: str) -> Secret:
    """
    Read a secret from a file that is private.

    Raises:
        PermissionsError: It is not.
        UsageError: It is empty.
    """
    from mcpvault.vault.permissions import read_secret_file

    secret = read_secret_file(Path(path))
    if not secret:
        raise UsageError(f"{path}: is empty")
    return secret


def from_descriptor(number: int) -> Secret:
    """
    Read a secret from an inherited descriptor.

    Raises:
        UsageError: It cannot be read, or is empty.
    """

    def read() -> bytes:
        with os.fdopen(number, "rb") as file:
            return file.read(LARGEST + 1)

    return _judged(read, f"descriptor {number}")


def warn_of_arguments(server: str, arguments: Sequence[str]) -> None:
    """Warn of each argument of a command that holds a secret in clear, with what keeps it out of there."""
    from mcpvault.interop.dialects import variable
    from mcpvault.interop.literals import in_arguments

    for index, called in in_arguments(arguments):
        sealed = f"mcpvault set {server} env.{variable(called, 'SECRET')} --stdin"
        output.warn(
            f"servers.{server}.args[{index}]: looks like a secret; it stands in the file in clear, and every user of "
            f"the host can read a program's arguments. If the program reads a variable, take it out "
            f"(mcpvault set {server} args '[…]'), then run: {sealed}"
        )


def check_name(variable: str) -> None:
    """
    Refuse what is no name of a variable; it is not quoted, for it may be the value.

    Raises:
        UsageError: It is none, or looks like a secret.
    """
    from vault_schema import is_token_for_name

    if is_token_for_name(variable):
        raise UsageError(
            "the name of a variable was expected, and this looks like the secret itself",
            hint="name the variable that holds it, or give the secret on stdin (--bearer-stdin, --stdin, …); "
            "words of a command are seen by others",
        )
    if not (variable.isidentifier() and variable.isascii()):
        raise UsageError("no name of a variable: expected letters, digits and _", hint="without $, and not its value")


def from_variable(name: str) -> Secret:
    """
    Take a secret out of the environment, to seal it.

    Raises:
        UsageError: The variable is unset or empty, or this is no name of one.
    """
    check_name(name)
    if not os.environ.get(name):
        raise UsageError(f"variable {name!r} is not set")
    return Secret(os.environ[name])


def _judged(read: Callable[[], bytes], where: str) -> Secret:
    problem = "cannot be read"
    try:
        secret = Secret(read().decode("utf-8").removesuffix("\n").removesuffix("\r"))
        problem = "is empty" if not secret else "is too long" if len(secret.reveal()) > LARGEST else ""
    except UnicodeDecodeError:
        problem = "is not UTF-8 text"
    except OSError:
        problem = "cannot be read"
    if problem:
        raise UsageError(f"{where}: {problem}")
    return secret
