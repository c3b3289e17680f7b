"""
The vault file on disk: replaced in one step, written under a kernel lock.

Decides how bytes get to the disk so that a crash at any moment leaves the old file or
the new one. Leaves their meaning to ``vaultfile``, and reading to ``documents``.

Spec: SPEC §14.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcpvault.errors import ConfigurationError, PermissionsError, VaultBusyError, VaultError
from mcpvault.open_files import AS_IS, NO_LINK
from mcpvault.vault.documents import LARGEST as LARGEST
from mcpvault.vault.documents import read as read
from mcpvault.vault.documents import writable_by_others as writable_by_others

_LEFTOVER_AGE = 3600  # seconds; a younger temporary file may belong to a writer at work


def make_folder(path: Path) -> None:
    """
    Make the folder of a new vault at *path*, private, if it is not there.

    Raises:
        PermissionsError: The system refuses.
    """
    problem: OSError | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        problem = error
    if problem is not None:
        raise PermissionsError(f"{path.parent}: cannot be made: {problem.strerror}", hint="name a file with --vault")


@contextmanager
def write_lock(path: Path, *, timeout: float = 10.0) -> Iterator[None]:
    """
    Hold the kernel lock of the vault at *path*; it frees itself when the process dies.

    Args:
        path: The vault file; the lock is ``<name>.lock`` beside it and is never unlinked.
        timeout: Seconds to wait for another writer.

    Raises:
        VaultBusyError: Another process kept it for all that time; try again.
        PermissionsError: The folder is not writable.
    """
    from filelock import FileLock, Timeout

    real = Path(os.path.realpath(path))
    lock = FileLock(real.with_name(real.name + ".lock"), mode=0o600, preserve_lock_file=True, fallback_to_soft=False)
    busy = False
    problem: str | None = None
    try:
        _give_to_owner(real, Path(lock.lock_file))
        lock.acquire(timeout=timeout)
    except Timeout:
        busy = True
    except (OSError, NotImplementedError) as error:
        problem = str(getattr(error, "strerror", None) or error)
    if busy:
        raise VaultBusyError(
            f"{path}: another process has been writing for {timeout:g} s", hint="try again", retry_after=timeout
        )
    if problem is not None:
        raise PermissionsError(f"{path}: cannot be locked for writing: {problem}", hint=f"run: ls -ld {real.parent}")
    try:
        yield
    finally:
        lock.release()


def _give_to_owner(real: Path, lock: Path) -> None:
    """Let the owner of the vault, a service say, take the lock that root is the first to need."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not real.exists():
        return
    owner = real.stat()
    try:
        # Only a file that is made here: one that is there may be a link to anything.
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | AS_IS, 0o600)
    except FileExistsError:
        return
    try:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes, *, keep_previous: bool = True, forget: bool = False) -> None:
    """
    Put *data* in place of the file, durably and in one step, and keep the old one as ``<name>.prev``.

    A link is followed, so that a file kept by a dotfile tool stays where it is. Call it under
    ``write_lock``; it also clears temporary files that dead writers left behind.

    Args:
        path: The file.
        data: Its new content.
        keep_previous: Keep the old one.
        forget: Keep no old one at all. They are gone before the new file is in place, so that no crash
            leaves them beside it.

    Raises:
        PermissionsError: The folder or the disk refuses; the old file is untouched.
    """
    real = Path(os.path.realpath(path))
    problem: OSError | None = None
    temporary = real.with_name(f".{real.name}.tmp.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        _reap(real)
        old = real.stat() if real.exists() else None
        _write_new(temporary, data, old)
        if forget:
            _forget(real, temporary)
        elif keep_previous and old is not None:
            _link_previous(real)
        os.replace(temporary, real)
        _sync_folder(real.parent)
    except OSError as error:
        problem = error
        with suppress(OSError):
            os.unlink(temporary)
    if problem is not None:
        raise PermissionsError(
            f"{path}: not written: {problem.strerror or 'the system refused'}; the old file is untouched",
            hint=f"check space and permissions of {real.parent}",
        )


def _forget(real: Path, but: Path) -> None:
    """Delete every older generation; whoever else made a temporary file here is dead, for the lock is ours."""
    for old in (real.with_name(real.name + ".prev"), *leftovers(real)):
        if old != but:
            old.unlink(missing_ok=True)
    _sync_folder(real.parent)


def _write_new(path: Path, data: bytes, like: os.stat_result | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | AS_IS | NO_LINK, 0o600)
    try:
        if hasattr(os, "geteuid") and like is not None and os.geteuid() == 0:
            # Root edits the file of a service, which is to read it afterwards too.
            os.fchown(descriptor, like.st_uid, like.st_gid)
        if hasattr(os, "fchmod"):  # Windows has the one from Python 3.13 on, and never the other
            os.fchmod(descriptor, (like.st_mode if like is not None else 0) & 0o644 | 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link_previous(real: Path) -> None:
    """Keep the generation that is about to be replaced; at every moment there is an old or a new one."""
    previous = real.with_name(real.name + ".prev")
    spare = real.with_name(f".{real.name}.tmp.{os.getpid()}.prev")
    with suppress(FileNotFoundError):
        os.unlink(spare)
    try:
        os.link(real, spare)
    except OSError:  # a file system without hard links
        _write_new(spare, real.read_bytes(), None)
    os.replace(spare, previous)


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # EINVAL on file systems that do not sync folders
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def leftovers(path: Path) -> list[Path]:
    """Return the temporary files that writers of *path* left behind, whatever their age."""
    real = Path(os.path.realpath(path))
    return sorted(real.parent.glob(f".{real.name}.tmp.*"))


def _reap(real: Path) -> None:
    for leftover in leftovers(real):
        with suppress(OSError):
            if time.time() - leftover.lstat().st_mtime > _LEFTOVER_AGE:
                leftover.unlink()


def previous_generation(path: Path) -> bytes | None:
    """Return the bytes of ``<name>.prev``, or None if there is none that could be a vault."""
    real = Path(os.path.realpath(path))
    try:
        return read(real.with_name(real.name + ".prev"))
    except (VaultError, ConfigurationError):
        return None
