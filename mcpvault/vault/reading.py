"""
The vault file as it lies on the disk: read without a lock.

Spec: SPEC §14.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from mcpvault.errors import PermissionsError, VaultFormatError, VaultNotFoundError
from mcpvault.open_flags import AS_IS, NO_WAIT

if TYPE_CHECKING:
    from pathlib import Path

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
