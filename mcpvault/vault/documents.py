"""
Documents before any key: read and judged, and an entry found in one.

The one place where a ``SchemaError`` becomes an error of ours.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcpvault.errors import ConfigurationError, LiteralSecretError, UnknownServerError, VaultFormatError
from mcpvault.vault import reading
from vault_schema import Document, SchemaError, ServerEntry, judge, parse
from vault_schema.parse import conflict_line


def read_document(path: Path) -> Document:
    """
    Read and judge the file without any key.

    Raises:
        VaultNotFoundError: There is no file.
        VaultFormatError: It is no vault of this format; ``path`` and ``line`` say where.
        LiteralSecretError: A secret stands in clear in it.
    """
    return parsed(reading.read(path), path)


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
    hint = fault.hint and fault.hint.replace(" FILE", f" {shlex.quote(str(path))}")
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
