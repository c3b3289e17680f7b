"""
A person's editor on a text that may hold secrets: which program it is, and where the text lies meanwhile.

Leaves what the text means to the verb.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from mcpvault.cli import app
from mcpvault.errors import ConfigurationError, UsageError


def edited(text: str, *, beside: str | None = None) -> str:
    """
    Return what the editor makes of *text*; the file is private, and gone afterwards.

    Args:
        text: What is edited.
        beside: A text to compare with; the editor gets it as a second file, and it is not read back.

    Raises:
        ConfigurationError: The editor fails, or leaves no UTF-8 text behind.
        UsageError: No editor is named, and there is no terminal for one.
    """
    editor = _editor()
    problem = "leaves no UTF-8 text behind"
    with tempfile.TemporaryDirectory(prefix="mcpvault-", dir=_private_place()) as private, _screen() as screen:
        file = Path(private) / "vault.toml"
        try:
            _put(file, text)
            files = [file]
            if beside is not None:
                files.append(file.with_name("vault.now.toml"))
                _put(files[1], beside)
            words = [*editor, *map(str, files)]
            code = subprocess.run(words, env=_environment(), stdout=screen, check=False).returncode
            if not code:
                return file.read_bytes().decode("utf-8")
            problem = f"returned {code}"
        except UnicodeDecodeError:
            pass
        except OSError as error:
            problem = f"or its file cannot be used: {(error.strerror or 'refused').lower()}"
    raise ConfigurationError(
        f"the editor {editor[0]!r} {problem}", hint="nothing was changed; EDITOR names another editor"
    )


def _put(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, "utf-8", newline="")


@contextmanager
def _screen() -> Iterator[IO[bytes] | IO[str] | None]:
    """Yield what the editor draws on: our stdout is for data, unless it is a terminal itself."""
    if sys.stdout is not None and sys.stdout.isatty():
        yield None
        return
    with ExitStack() as opened:
        screen: IO[bytes] | IO[str] | None = sys.stderr
        if app.on_terminal() and hasattr(os, "ttyname"):
            with suppress(OSError):  # of another container, say
                screen = opened.enter_context(Path(os.ttyname(sys.stdin.fileno())).open("wb"))
        yield screen


def _editor() -> list[str]:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not named and not app.on_terminal():
        raise UsageError("there is no terminal for an editor", hint="set EDITOR to a program, or use mcpvault set")
    try:
        if words := shlex.split(named or "vi"):
            return words
    except ValueError:
        pass
    raise ConfigurationError(f"EDITOR: {named!r} is no command", hint="set it to a program and its options")


def _private_place() -> str | None:
    """Return a folder in memory, where there is one: what is typed as a secret shall not reach a disk."""
    for folder in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):  # noqa: S108  a private folder is made in it
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK):  # noqa: PTH112
            return folder
    return None


def _environment() -> dict[str, str]:
    hidden = ("MCPVAULT_KEY", "CREDENTIALS_DIRECTORY")
    return {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
