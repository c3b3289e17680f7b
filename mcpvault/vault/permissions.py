"""
Whether a file that holds a secret is as private as it must be, and the command that mends it.

Spec: SPEC §14.3.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mcpvault.errors import PermissionsError
from mcpvault.open_files import AS_IS, NO_WAIT
from mcpvault.secret import Secret

LARGEST = 64 * 1024  # bytes


def read_secret_file(path: Path, *, credentials_dir: Path | None = None) -> Secret:
    """
    Return the text of a secret file, without one trailing newline.

    Links are followed. The target must be a regular file of ours or root's, at most 64 KiB, that
    others cannot read or write, in folders that nobody else can write. Below *credentials_dir*
    (systemd's) only "not readable by others" is asked.

    Raises:
        PermissionsError: It is not that private; the hint has the command that mends it.
    """
    problem: OSError | None = None
    try:
        descriptor = os.open(path, os.O_RDONLY | AS_IS | NO_WAIT)
    except OSError as error:
        problem = error
    if problem is not None:
        raise PermissionsError(f"{path}: cannot be read: {problem.strerror}", hint=f"run: ls -l {_q(path)}")
    facts = os.fstat(descriptor)
    if stat.S_ISDIR(facts.st_mode):  # fdopen would refuse it in words of its own
        os.close(descriptor)
        raise PermissionsError(f"{path}: expected a regular file", hint="name another file")
    with os.fdopen(descriptor, "rb") as file:
        real = Path(os.path.realpath(path))
        _judge(path, real, facts, credentials_dir)
        data = _text(file.read(LARGEST + 1))
    if data is None:
        raise PermissionsError(
            f"{path}: expected at most {LARGEST // 1024} KiB of UTF-8 text", hint="name another file"
        )
    return Secret(data.reveal().removesuffix("\n").removesuffix("\r"))


def _text(data: bytes) -> Secret | None:
    try:
        return Secret(data.decode("utf-8")) if len(data) <= LARGEST else None
    except UnicodeDecodeError:
        return None


def _judge(path: Path, real: Path, facts: os.stat_result, credentials_dir: Path | None) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise PermissionsError(f"{path}: expected a regular file", hint="name another file")
    if not hasattr(os, "geteuid"):  # Windows
        return
    if credentials_dir is not None and real.is_relative_to(os.path.realpath(credentials_dir)):
        if facts.st_mode & stat.S_IROTH:
            raise PermissionsError(f"{path}: readable by others", hint=f"run: chmod o-rwx {_q(real)}")
        return
    ours = (0, os.geteuid())
    if facts.st_uid not in ours:
        raise PermissionsError(
            f"{path}: belongs to user {facts.st_uid}, expected us or root", hint=f"run: chown {os.geteuid()} {_q(real)}"
        )
    forbidden = 0o037 if facts.st_uid == 0 else 0o077  # root may share a key with the group of a service
    if facts.st_mode & forbidden:
        raise PermissionsError(
            f"{path}: mode {stat.S_IMODE(facts.st_mode):04o} lets others at it", hint=f"run: chmod 600 {_q(real)}"
        )
    for folder in real.parents:
        if (problem := folder_problem(folder)) is not None:
            raise PermissionsError(f"{path}: {problem[0]}", hint=problem[1])


def folder_problem(folder: Path) -> tuple[str, str] | None:
    """Return what is wrong with *folder* on the way to a secret and the mending command, or None."""
    facts = folder.stat()
    if facts.st_uid not in (0, os.geteuid()):
        return (f"folder {folder} belongs to user {facts.st_uid}", f"move the file, or run: chown root {_q(folder)}")
    # Its owner can replace what lies in a sticky folder; the others cannot.
    if facts.st_mode & stat.S_ISVTX:
        return None
    if facts.st_mode & 0o002 or (facts.st_mode & 0o020 and facts.st_gid not in _own_groups(facts.st_uid)):
        return (f"folder {folder} is writable by others", f"run: chmod go-w {_q(folder)}")
    return None


def _own_groups(uid: int) -> tuple[int, ...]:
    """A user-private group (same number as its user) holds nobody else; root's group is root's."""
    return (uid,)


def _q(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
