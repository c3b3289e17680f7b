"""Key files: written once, private from the first byte, never beside the vault."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mcpvault.errors import ConfigurationError, PermissionsError
from mcpvault.open_files import AS_IS
from mcpvault.secret import Secret


def write(path: Path, key: Secret) -> None:
    """
    Write key text into a new file of mode 0600, durably.

    Raises:
        ConfigurationError: There is a file already.
        PermissionsError: The folder refuses.
    """
    exists, problem = False, ""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | AS_IS, 0o600)
        try:
            view = memoryview(f"{key.reveal()}\n".encode("ascii"))
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        except OSError:
            path.unlink()  # half a key would look like one
            raise
        finally:
            os.close(descriptor)
    except FileExistsError:
        exists = True
    except OSError as error:
        problem = error.strerror or "refused"
    if exists:
        raise ConfigurationError(f"{path}: there is a file already", hint="name another, or move it away")
    if problem:
        there = next(folder for folder in path.parents if os.path.lexists(folder))
        raise PermissionsError(f"{path}: cannot be written: {problem}", hint=f"run: ls -ld {there}")


def check_apart(key: Path, vault: Path) -> None:
    """
    Refuse a key in the vault's own folder: whoever copies the folder would have both.

    Raises:
        ConfigurationError: It is there.
    """
    if os.path.realpath(key.parent) == os.path.realpath(vault.parent):
        raise ConfigurationError(
            f"{key}: is the vault's own folder; whoever copies it would have both", hint="choose another folder"
        )


def default_slot_name(env: Mapping[str, str]) -> str:
    """Return a slot id made from the user's name."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", env.get("USER") or env.get("LOGNAME") or "admin").strip("-_")
    return name[:64] or "admin"
