"""
What git keeps of a repository, every object once: blobs, and the messages of commits and tags.

Also what no branch leads to any more, for it can still be fetched by whoever knows its name. Runs git without a
shell, without a key of ours, and so that nothing is fetched and no program of the repository's choice is run.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO

from vault_schema.record import Record

_LARGEST = 256 * 1024 * 1024  # bytes; what is larger is named and left out


class Kept(Record):
    """One object; ``place`` looks for a commit and a path that lead to it, which costs a walk of the history."""

    data: bytes
    place: Callable[[], str]


def _command(folder: Path, *words: str) -> list[str]:
    return ["git", "-C", str(folder), "--no-replace-objects", "-c", "core.fsmonitor=false", *words]


def _env(env: Mapping[str, str]) -> dict[str, str]:
    passed = {name: value for name, value in env.items() if not name.startswith(("MCPVAULT_", "CREDENTIALS_", "GIT_"))}
    return passed | {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}


def _asked(folder: Path, env: Mapping[str, str], *words: str) -> str | None:
    try:
        done = subprocess.run(
            _command(folder, *words), env=_env(env), stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def repository_at(folder: Path, env: Mapping[str, str]) -> Path | None:
    """Return where the repository of the work tree or bare repository at *folder* keeps its objects, if it is one."""
    if not (folder / ".git").exists() and not (folder / "HEAD").is_file():
        return None
    found = _asked(folder, env, "rev-parse", "--path-format=absolute", "--git-common-dir")
    return Path(found) if found else None


def objects(folder: Path, env: Mapping[str, str], unread: list[str]) -> Iterator[Kept]:
    """Yield what the repository of *folder* keeps, but trees, whose names the work tree shows; *unread* collects."""
    words = ("cat-file", "--batch-all-objects", "--unordered", "--batch")
    process = subprocess.Popen(
        _command(folder, *words), env=_env(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with process:
        if process.stdout is None:
            return
        try:
            yield from _read(process.stdout, folder, env, unread)
        finally:
            process.stdout.close()
            process.kill()
    # Killed is how a search ends that nobody follows to its end; what git itself refuses is a positive status.
    if process.returncode > 0:
        unread.append(f"{folder}: git cannot read all of its history")


def _read(stream: IO[bytes], folder: Path, env: Mapping[str, str], unread: list[str]) -> Iterator[Kept]:
    while header := stream.readline().split():
        if len(header) != 3:
            unread.append(f"{folder}: git has lost an object")
            continue
        oid, kind, size = header[0].decode(), header[1].decode(), int(header[2])
        if size > _LARGEST or kind == "tree":
            left = size + 1
            while left > 0 and (piece := stream.read(min(left, 1 << 20))):
                left -= len(piece)
            if kind != "tree":
                unread.append(f"{folder}: object {oid[:12]} of {size} bytes is too large")
            continue
        data = stream.read(size)
        stream.read(1)
        yield Kept(data, partial(_place, folder, env, oid, kind))


def _place(folder: Path, env: Mapping[str, str], oid: str, kind: str) -> str:
    """Return ``folder@commit:path``, or the object's own name where no commit of a branch has it."""
    if kind == "blob":
        words = ("log", "--all", "--reflog", "--no-ext-diff", "--no-textconv", "--no-renames", "--format=%h")
        told = _asked(folder, env, *words, "--name-only", "--diff-filter=AM", "-m", f"--find-object={oid}")
        lines = [line for line in (told or "").splitlines() if line]
        if len(lines) >= 2:  # the newest first; the last one brought it in
            return f"{folder}@{lines[-2]}:{lines[-1]}"
    return f"{folder}@{oid[:12]}"
