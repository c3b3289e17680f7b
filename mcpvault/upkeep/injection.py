"""
A text with ``${vault:NAME.FIELD}`` in it, filled in.

Only these references are known here: everything else that begins with ``${`` belongs to the text.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from mcpvault.connect import Vault
from mcpvault.errors import ConfigurationError, McpVaultError
from mcpvault.open_files import AS_IS, NO_LINK
from mcpvault.opened import opened
from mcpvault.secret import Secret

# What begins like a reference is one, or was written wrongly: then its name is missing.
_REFERENCE = re.compile(r"(\$?)\$\{vault:(?:([A-Za-z0-9][A-Za-z0-9_-]{0,63})(?:\.([^\s{}]{1,300}))?\})?")
_REST = re.compile(r"(?:[^}\n]{0,100}\})?")


class Found(NamedTuple):
    """One reference: as it is written, the entry, the field (None: the entry's credential)."""

    text: str
    server: str
    field: str | None


def references(text: str) -> list[Found]:
    """
    Return the references in *text*, in order.

    Raises:
        ConfigurationError: Some begin like one and are none; all of them are named, with their lines.
    """
    found, wrong = [], []
    for each in _REFERENCE.finditer(text):
        if each[2] is not None and not each[1]:
            found.append(Found(each[0], each[2], each[3]))
        elif not each[1]:
            rest = _REST.match(text, each.end())
            wrong.append(f"line {text.count(chr(10), 0, each.start()) + 1}: {each[0]}{rest[0] if rest else ''}")
    if wrong:
        raise ConfigurationError(
            f"not a reference: {'; '.join(wrong)}",
            hint="write ${vault:NAME} or ${vault:NAME.FIELD}; or $${vault: where it is to stay",
        )
    return found


def filled(text: str, vault: Vault) -> Secret:
    """
    Return *text* with every reference replaced; ``$${vault:…}`` becomes ``${vault:…}``.

    Raises:
        ConfigurationError: Some cannot be filled in; all of them are named.
        McpVaultError: The only one that cannot be filled in says why.
    """
    values: dict[str, Secret] = {}
    failures: list[tuple[str, McpVaultError]] = []
    for each in dict.fromkeys(references(text)):
        try:
            values[each.text] = opened(vault, each.server, each.field, purpose="inject").value
        except McpVaultError as error:
            failures.append((each.text, error))
    if len(failures) == 1:
        raise failures[0][1]
    if failures:
        told = "; ".join(f"{name}: {error.message}" for name, error in failures)
        raise ConfigurationError(told, hint="nothing was written")
    return Secret(_REFERENCE.sub(lambda found: found[0][1:] if found[1] else values[found[0]].reveal(), text))


def work_tree(path: Path) -> Path | None:
    """Return the git work tree that *path* would be in, links followed, or None."""
    return next((folder for folder in path.resolve().parents if (folder / ".git").exists()), None)


def write_private(path: Path, text: Secret) -> None:
    """
    Write *text* to *path*, mode 0600: whole or not at all.

    Raises:
        ConfigurationError: It cannot be written; what was there is as it was.
    """
    problem = None
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            problem = "is a link, or no regular file"
        else:
            _replace(path, draft, text)
    except OSError as error:
        problem = (error.strerror or "cannot be written").lower()
        draft.unlink(missing_ok=True)
    if problem is not None:
        raise ConfigurationError(f"{path}: {problem}")


def _replace(path: Path, draft: Path, text: Secret) -> None:
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | AS_IS | NO_LINK, 0o600)
    with open(number, "wb") as file:  # noqa: PTH123  a descriptor
        file.write(text.reveal().encode("utf-8", "surrogateescape"))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
