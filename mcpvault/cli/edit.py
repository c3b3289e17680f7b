"""``mcpvault edit``: the vault in an editor, with placeholders for secrets."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import click

from mcpvault.cli import app, output, report
from mcpvault.errors import BusyError, ConfigurationError, McpVaultError

EXAMPLE = """
Example:

\b
  mcpvault edit
  EDITOR="code --wait" mcpvault edit github
"""


@click.command(epilog=EXAMPLE)
@click.argument("name", required=False, metavar="[NAME]")
@app.dry_run_option
@app.json_option
def command(name: str | None, dry_run: bool, as_json: bool) -> None:
    """
    Open the vault, or only the server NAME, in $VISUAL or $EDITOR.

    Sealed values show as "<sealed FINGERPRINT>": left alone they keep their ciphertext; new text in a
    secret field is sealed; a placeholder cannot be moved. What does not pass is shown to you again.
    Comments stay as they are in the file; those that you write here are not taken over.
    """
    from mcpvault.vault.editing import from_editor, to_editor

    vault = app.open_for_change()
    text = shown = to_editor(vault.file, name)
    signed = vault.document.text
    while True:
        text = _edited(text)
        if text == shown:
            output.say("nothing changed", as_json=as_json, json={"changed": False, "dry_run": dry_run})
            return
        problem: McpVaultError
        try:
            with vault.change(dry_run=dry_run) as change:
                from_editor(change, text, name)
            break
        except BusyError:
            raise
        except McpVaultError as error:
            problem = error
        if not app.on_terminal():
            raise problem
        report.warn(f"{problem.message} ({problem.hint})" if problem.hint else problem.message)
        if not click.confirm("Edit it again?", default=True, err=True):
            raise problem
    changed = change.text != signed
    if not changed or _remarks(text) - _remarks(shown) - _remarks(change.text):
        output.warn("comments and order are not taken over from here; change them in the file itself")
    done = f"{'would be ' if dry_run else ''}changed" if changed else "nothing changed"
    output.say(done, as_json=as_json, json={"changed": changed, "dry_run": dry_run})


def _remarks(text: str) -> set[str]:
    """Return the lines that may hold a comment."""
    return {line.strip() for line in text.splitlines() if "#" in line}


def _edited(text: str) -> str:
    """
    Return what the editor makes of *text*; the file is private, and gone afterwards.

    Raises:
        ConfigurationError: The editor fails, or leaves no UTF-8 text behind.
    """
    editor = _editor()
    problem = "leaves no UTF-8 text behind"
    with tempfile.TemporaryDirectory(prefix="mcpvault-", dir=_private_place()) as private:
        file = Path(private) / "vault.toml"
        try:
            file.touch(mode=0o600)
            file.write_text(text, "utf-8", newline="")
            code = subprocess.run([*editor, str(file)], env=_environment(), check=False).returncode
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


def _editor() -> list[str]:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        if words := shlex.split(named):
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
