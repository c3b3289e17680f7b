"""
Documents before any key: read without a lock and judged, and an entry found in one.

The one place where a ``SchemaError`` becomes an error of ours.

Spec: SPEC §14.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcpvault.errors import (
    ConfigurationError,
    LiteralSecretError,
    PermissionsError,
    UnknownServerError,
    VaultFormatError,
    VaultNotFoundError,
)
from mcpvault.open_files import AS_IS, NO_WAIT
from vault_schema import Document, SchemaError, ServerEntry, judge, parse
from vault_schema.parse import conflict_line

LARGEST = 16 * 1024 * 1024  # bytes


def read(path: Path) -> bytes:
    """
    Return the bytes of the vault file.

    Raises:
        VaultNotFoundError: There is none.
        PermissionsError: It cannot be read, or is no regular file.
        VaultFormatError: It is larger than a vault can be.
    """
    problem: OSError | None = None
    try:
        descriptor = os.open(path, os.O_RDONLY | AS_IS | NO_WAIT)
    except OSError as error:
        problem = error
    if isinstance(problem, FileNotFoundError | NotADirectoryError):
        raise VaultNotFoundError(f"{path}: there is no vault", hint="run: mcpvault init, or name one with --vault")
    if problem is not None:
        raise PermissionsError(f"{path}: cannot be read: {problem.strerror}", hint=f"run: ls -l {path}")
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise PermissionsError(f"{path}: expected a regular file", hint="name a file with --vault")
    with os.fdopen(descriptor, "rb") as file:
        if facts.st_size > LARGEST:
            raise VaultFormatError(f"{path}: larger than {LARGEST // 1024**2} MiB, which no vault is")
        return file.read()


def writable_by_others(path: Path) -> bool:
    """Tell whether somebody else may write the file; a warning and a finding of ``doctor``."""
    return os.name != "nt" and bool(path.stat().st_mode & 0o022)


def read_document(path: Path) -> Document:
    """
    Read and judge the file without any key.

    Raises:
        VaultNotFoundError: There is no file.
        VaultFormatError: It is no vault of this format; ``path`` and ``line`` say where.
        LiteralSecretError: A secret stands in clear in it.
    """
    return parsed(read(path), path)


def parsed(data: bytes, path: Path) -> Document:
    """Return the document in *data*; the one place where a ``SchemaError`` becomes ours."""
    try:
        return parse(data)
    except SchemaError as error:
        fault = error
    if fault.literal_secret:
        raise LiteralSecretError(
            f"{path}: {fault}",
            hint=f"take it out of the file, then run: mcpvault sign; {fault.hint}",
        )
    hint = fault.hint
    if hint is not None and " FILE" in hint:
        from shlex import quote

        hint = hint.replace(" FILE", f" {quote(str(path))}")
    raise VaultFormatError(f"{path}: {fault}", path=fault.path, line=fault.line, hint=hint)


def conflicted(data: bytes) -> bool:
    """Tell whether git has left its conflict markers in the text of a vault that does not parse."""
    return conflict_line(data.decode("utf-8", "replace")) is not None


def timestamp(now: Callable[[], float]) -> str:
    """
    Return the time as the format writes it: UTC, whole seconds.

    Raises:
        ConfigurationError: The clock is beyond the years that can be written.
    """
    try:
        moment = time.gmtime(now())
        if 1000 <= moment.tm_year <= 9999:
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
    except (OverflowError, OSError, ValueError):
        pass
    raise ConfigurationError("this machine's clock is in a year that no vault can hold", hint="set it right: run date")


def judged(text: str, tree: dict[str, Any] | None = None, before: Document | None = None) -> Document:
    """
    Return the document that a change has made.

    Args:
        text: What would be written.
        tree: What it is known to say, where ``rewrite`` made it.
        before: The document that *tree* was made from.

    Raises:
        ConfigurationError: What was asked for would make no valid vault; the message names the field.
        LiteralSecretError: A secret would stand in clear.
    """
    try:
        return parse(text) if tree is None else judge(tree, text, before)
    except SchemaError as error:
        fault = error
    # A line number would mean the text that was never written.
    message = re.sub(r" \(line \d+\)$", "", str(fault))
    if fault.literal_secret:
        raise LiteralSecretError(message, hint=fault.hint)
    raise ConfigurationError(message, hint=fault.hint)


def entry_of(document: Document, name: str) -> ServerEntry:
    """
    Return the typed entry *name* of a document.

    Raises:
        UnknownServerError: There is none; the hint offers the nearest name.
    """
    names = document.tree.get("servers", {})
    if name in names:
        return document.server(name)
    from mcpvault.suggestion import did_you_mean

    raise UnknownServerError(
        f"there is no server {name!r} in the vault",
        hint=did_you_mean(name, names) or "run: mcpvault list",
        server=name,
    )
