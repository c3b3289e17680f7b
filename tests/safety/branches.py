"""A vault in a real git repository with the drivers installed, and edits whose sum is known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mcpvault.connect import Vault
from mcpvault.secret import Secret
from mcpvault.upkeep import git
from mcpvault.vault.slots import NewSlot, RawKey

SHARED = tuple(f"shared{number}" for number in range(6))


@dataclass
class Model:
    """What a vault must say: the token, note and owner of each server, and the slots that open it."""

    tokens: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    slots: dict[str, RawKey] = field(default_factory=dict)


class Repository:
    """A repository in *folder* whose work tree holds ``vault.toml``, and a home with an admin's key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.folder.mkdir()
        key, key_file = RawKey.generate(), folder / "key"
        key_file.touch(0o600)
        key_file.write_text(key.text.reveal() + "\n")
        self.env = {
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "MCPVAULT_FILE": str(self.folder / "vault.toml"),
            "MCPVAULT_KEY_FILE": str(key_file),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": "x@h.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self.git("init", "-q", "-b", "main")
        with Vault.create(slots=[NewSlot.raw("first", key)], env=self.env).change() as change:
            for name in SHARED:
                change.add_server(name, {"url": f"https://{name}.example/mcp", "auth": {"kind": "bearer"}})
                change.set_secret(name, "auth.token", Secret(f"first token of {name}"))
        git.install(self.folder / "vault.toml", [sys.executable, "-m", "mcpvault"], self.env)
        self.commit("the vault")
        self.model = Model(tokens={name: f"first token of {name}" for name in SHARED})

    def git(self, *words: str, code: int = 0, **env: str) -> str:
        """Run git and return what it says on either stream."""
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env=self.env | env, capture_output=True, text=True, check=False
        )
        assert (words, code) == (words, done.returncode), done.stdout + done.stderr
        return done.stdout + done.stderr

    def commit(self, message: str) -> None:
        """Commit all of the work tree."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def on(self, branch: str, *, start: str | None = None) -> None:
        """Switch to *branch*, new from *start*; each branch is another host's, with an anchor of its own."""
        self.git("switch", "-q", *(["-c", branch, start] if start else [branch]))
        self.env["MCPVAULT_STATE_DIR"] = str(self.folder.parent / f"state-{branch}")

    def vault(self) -> Vault:
        """Open the vault."""
        return Vault.open(env=self.env)


Edit = Callable[[Repository, int, int], None]


def set_token(repository: Repository, side: int, number: int) -> None:
    """Replace the token of a shared server that is this side's to rotate."""
    name = SHARED[(number % 3) * 2 + side]
    repository.model.tokens[name] = f"token {number} of side {side}"
    with repository.vault().change() as change:
        change.set_secret(name, "auth.token", Secret(repository.model.tokens[name]))


def describe(repository: Repository, side: int, number: int) -> None:
    """Set the note or the owner of any shared server: both sides meet in one entry."""
    name, what = SHARED[number % len(SHARED)], ("note", "owner")[side]
    repository.model.notes[f"{name}.{what}"] = text = f"{what} {number}"
    with repository.vault().change() as change:
        change.set_plain(name, what, text)


def add(repository: Repository, side: int, number: int) -> None:
    """Add a server of this side's, or replace its token."""
    name = f"side{side}-{number % 4}"
    with repository.vault().change() as change:
        if name not in repository.model.tokens:
            change.add_server(name, {"url": f"https://{name}.example/mcp", "auth": {"kind": "bearer"}})
        repository.model.tokens[name] = f"token {number} of {name}"
        change.set_secret(name, "auth.token", Secret(repository.model.tokens[name]))


def remove(repository: Repository, side: int, number: int) -> None:
    """Remove a server of this side's, if it is there."""
    name = f"side{side}-{number % 4}"
    if repository.model.tokens.pop(name, None) is not None:
        with repository.vault().change() as change:
            change.remove_server(name)


def let_in(repository: Repository, side: int, number: int) -> None:
    """Add a reader's slot."""
    name = f"reader{side}-{number}"
    if name not in repository.model.slots:
        repository.model.slots[name] = RawKey.generate()
        with repository.vault().change() as change:
            change.add_slot(NewSlot.raw(name, repository.model.slots[name], role="reader"))


def shut_out(repository: Repository, side: int, number: int) -> None:
    """Remove a slot of this side's, if there is one."""
    own = [name for name in repository.model.slots if name.startswith(f"reader{side}")]
    if own:
        del repository.model.slots[own[0]]
        with repository.vault().change() as change:
            change.remove_slots([own[0]])


def rekey(repository: Repository, side: int, number: int) -> None:
    """Give the vault a new key."""
    with repository.vault().change() as change:
        change.rekey()


EDITS: tuple[Edit, ...] = (set_token, describe, describe, add, remove, let_in, shut_out, rekey)
