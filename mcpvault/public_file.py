"""
A file that others read: public keys, metrics, a calendar.

Decides how it is replaced, in a folder where others may write too: nobody can foretell the name that it has before it
is whole, and nothing that is there already is written to.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from mcpvault.errors import PermissionsError
from mcpvault.open_files import AS_IS, NO_LINK


def replace(path: Path, data: bytes, *, what: str) -> None:
    """
    Put *data* into the file in one step, readable by all: whoever reads it gets a whole one.

    Args:
        path: The file; a link is replaced and not followed.
        data: Its new content.
        what: How messages call it.

    Raises:
        PermissionsError: It cannot be written; what was there is as it was.
    """
    problem, made = None, False
    beside = path.with_name(f".{path.name}.tmp.{secrets.token_hex(8)}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | AS_IS | NO_LINK
        with open(os.open(beside, flags, 0o644), "wb") as file:  # noqa: PTH123  a descriptor
            made = True
            if hasattr(os, "fchmod"):  # else the umask decides
                os.fchmod(file.fileno(), 0o644)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        problem = (error.strerror or "refused").lower()
    if problem is None:
        return
    if made:
        with suppress(OSError):
            beside.unlink()
    raise PermissionsError(f"{what}: cannot be written: {problem}")
