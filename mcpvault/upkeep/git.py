"""
A vault in a git repository: what git is told of it, how it shows a change, and how two branches become one.

Decides what git is given. Leaves the merging itself to ``mcpvault.vault.merging``, and asking to nobody: git may run
these where there is no terminal.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mcpvault.auditing import Auditor
from mcpvault.errors import ConfigurationError, McpVaultError, RoleError, VaultChangedError
from mcpvault.host_state import roots_trusted, state_of
from mcpvault.places import Places
from mcpvault.secret import Secret
from mcpvault.state.anchor import FileAnchor
from mcpvault.vault import sealing, unlock
from mcpvault.vault.documents import parsed
from mcpvault.vault.keysources import Key, find_key
from mcpvault.vault.merging import merge
from mcpvault.vault.vaultfile import VaultFile
from vault_schema import Document, Header

Prompt = Callable[[str], Secret] | None
_SEALED = r"mv1\.[0-9]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
_OPAQUE = r"\b(box|sbox|pin|mac|sig)( *= *)(['\"])([A-Za-z0-9_-]{43,107})\3"
_IGNORED = ("{name}.lock", "{name}.prev", ".{name}.tmp.*", "{name}.conflicted-*")


def _keys_out(env: Mapping[str, str]) -> dict[str, str]:
    """Return *env* as git is given it: it needs no key of ours."""
    return {name: value for name, value in env.items() if not name.startswith(("MCPVAULT_KEY", "CREDENTIALS_"))}


def _git(folder: Path, words: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False, env=_keys_out(env))
    except OSError:
        pass
    raise ConfigurationError("git cannot be run", hint="install git")


# What git is told


def install(
    path: Path, program: Sequence[str], env: Mapping[str, str], *, dry_run: bool = False, any_program: bool = False
) -> list[str]:
    """
    Tell the repository that *path* is in how to show and to merge it; return what was changed, nothing if all was so.

    Args:
        path: The vault.
        program: The words that run mcpvault.
        env: The environment.
        dry_run: Change nothing.
        any_program: Whatever runs mcpvault there already is right.

    Raises:
        ConfigurationError: It is in no work tree, or git refuses.
    """
    real = Path(os.path.realpath(path))
    if _git(real.parent, ["rev-parse", "--is-inside-work-tree"], env).stdout.strip() != b"true":
        raise ConfigurationError(f"{path}: is in no git work tree", hint=f"run: git init {real.parent}")
    runs = shlex.join(program)
    settings = {
        "diff.mcpvault.textconv": f"{runs} git textconv",
        "merge.mcpvault.name": "a vault of mcpvault",
        "merge.mcpvault.driver": f"{runs} git merge-driver %O %A %B %L",
    }
    done = []
    for name, value in settings.items():
        held = _git(real.parent, ["config", "--local", "--get", name], env).stdout.decode().rstrip("\n")
        if held == value or (any_program and held):
            continue
        done.append(f"git config {name}")
        if not dry_run and (failed := _git(real.parent, ["config", "--local", name, value], env)).returncode:
            raise ConfigurationError(f"git config {name}: returned {failed.returncode}", hint="run: git config -l")
    lines = {
        ".gitattributes": [f"{real.name} diff=mcpvault merge=mcpvault"],
        ".gitignore": [form.format(name=real.name) for form in _IGNORED],
    }
    for name, wanted in lines.items():
        file = real.with_name(name)
        text = file.read_text("utf-8") if file.exists() else ""
        missing = [line for line in wanted if line not in text.splitlines()]
        if missing:
            done.append(str(file))
            if not dry_run:
                end = "" if not text or text.endswith("\n") else "\n"
                file.write_text(text + end + "".join(f"{line}\n" for line in missing), "utf-8")
    return done


def tracked(path: Path, env: Mapping[str, str]) -> tuple[list[str], str]:
    """
    Return which files beside the vault *path* git keeps though they are this host's alone, and the command to end it.

    After a rekey one host has deleted its previous generation and another has not: git cannot merge that.
    """
    real = Path(os.path.realpath(path))
    plain = re.sub(r"([*?\[\\])", r"\\\1", real.name)
    forms = [f":(glob){form.format(name=plain)}" for form in _IGNORED]
    told = _git(real.parent, ["ls-files", "-z", "--", *forms], env).stdout.decode("utf-8", "surrogateescape")
    names = sorted({name for name in told.split("\0") if name})
    return names, shlex.join(["git", "-C", str(real.parent), "rm", "--cached", "--", *names])


# How a change is shown


def textconv(data: bytes, places: Places, env: Mapping[str, str]) -> str:
    """
    Return the text of a vault as a diff shows it: fingerprints for what is sealed, never a plaintext.

    Without a key, and for what does not open, an opaque mark stands for each line, the same for the same line. A text
    that is no vault, as one with conflict markers, is shown with such marks too.
    """
    text = data.decode("utf-8", "replace")
    known: dict[str, str] = {}
    try:
        known = _fingerprints(parsed(data, places.vault_path), places, env)
    except McpVaultError:
        pass
    shown = re.sub(_SEALED, lambda found: known.get(found[0]) or f"<sealed #{_mark(found[0])}>", text)
    return re.sub(_OPAQUE, lambda found: f'{found[1]}{found[2]}"<{found[1]} #{_mark(found[4])}>"', shown)


def _mark(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:8]


def _fingerprints(document: Document, places: Places, env: Mapping[str, str]) -> dict[str, str]:
    """Return the mark of each sealed line that opens. Nothing of the file is believed: a forger learns nothing here."""
    header = document.header
    key = find_key(header, env=env, data_home=places.data_home, vault_path=places.vault_path)
    keys = unlock.unlock_unbelieved(header, key)
    vault = VaultFile(places.vault_path, document, keys, None, lambda: 0.0)
    found = {}
    for name in document.server_names:
        for field in vault.sealed_fields(name):
            table, _, leaf = field.partition(".")
            for version in document.tree["servers"][name][table][leaf]:
                context = vault.seal_context(name, field, version)
                fingerprint = sealing.fingerprint_of(keys.vault_key, version["sealed"], context)
                if fingerprint is not None:
                    found[version["sealed"]] = f"<sealed {fingerprint}>"
    return found


# How two branches become one


def merge_driver(
    files: tuple[Path, Path, Path],
    marker: int,
    places: Places,
    env: Mapping[str, str],
    *,
    prompt: Prompt = None,
    dry_run: bool = False,
) -> int:
    """
    Merge *theirs* into the file *ours*, as git asks for, and return the new serial.

    What conflicts stays in the file between markers, and the vault unsigned.

    Args:
        files: The one that both sides began from, ours, whose place the result takes, and theirs.
        marker: The length of conflict markers.
        places: Where state and keys are.
        env: The environment.
        prompt: Asks a person for a passphrase; None asks nobody.
        dry_run: Write nothing.

    Raises:
        RoleError: The key is a reader's.
        VaultChangedError: Both sides changed the same thing.
        McpVaultError: A side cannot be opened, or must not be believed.
    """
    base, ours, theirs = files
    texts = [path.read_bytes() for path in (ours, base, theirs)]
    try:
        mine, begun, other = _opened(texts, places, env, prompt)
        seen = unlock.anchored_serial(mine.keys, mine.anchor)
        outcome = merge(begun, mine, other, serial=seen)
    except McpVaultError as error:
        if not dry_run:
            _mark_conflicts(ours, texts, marker, env)
        error.hint = f"{f'{error.hint}; or ' if error.hint else ''}an admin resolves it, then runs: mcpvault sign"
        raise
    if outcome.text is None:
        sides = [text.encode() for text in outcome.sides] if outcome.sides is not None else texts
        if not dry_run:
            _mark_conflicts(ours, sides, marker, env)
        raise VaultChangedError(
            f"both sides changed {', '.join(outcome.conflicts)}",
            hint="choose between the markers, then run: mcpvault sign, and git add",
        )
    made = parsed(outcome.text.encode(), ours)
    if not dry_run:
        ours.write_bytes(outcome.text.encode())
        merged = VaultFile(places.vault_path, made, mine.keys, mine.anchor, time.time)
        Auditor(state_of(places, made), merged).changed(mine.document, made)
    return made.header.serial


def _opened(
    texts: Sequence[bytes], places: Places, env: Mapping[str, str], prompt: Prompt
) -> tuple[VaultFile, VaultFile | None, VaultFile]:
    found: list[Key] = []

    def find(header: Header) -> Key:
        if not found:
            vault_path = places.vault_path
            found.append(find_key(header, env=env, data_home=places.data_home, vault_path=vault_path, prompt=prompt))
        return found[0]

    def opened(data: bytes) -> VaultFile:
        document = parsed(data, places.vault_path)
        state = state_of(places, document)
        roots = roots_trusted(places, state)
        keys = unlock.unlock(document.header, find, trusted_roots=roots)
        unlock.verify(document, keys)
        return VaultFile(places.vault_path, document, keys, FileAnchor(state), time.time, roots)

    mine, other = opened(texts[0]), opened(texts[2])
    for side in (mine, other):
        if side.role != "admin":
            raise RoleError(f"slot {side.slot.id!r} is a reader's and cannot sign the merged vault")
    begun = None
    try:
        begun = opened(texts[1])
    except McpVaultError:
        pass  # of before this slot, of another root, or itself a merge: then whatever differs is a conflict
    return mine, begun, other


def _mark_conflicts(target: Path, sides: Sequence[bytes], marker: int, env: Mapping[str, str]) -> None:
    """Write what git would make of three texts, with its markers where they conflict."""
    with tempfile.TemporaryDirectory(prefix="mcpvault-", dir=target.parent) as private:
        files = []
        for name, data in zip(("ours", "base", "theirs"), sides, strict=True):
            files.append(file := Path(private) / name)
            file.write_bytes(data)
        labels = ["-L", "ours", "-L", "base", "-L", "theirs"]
        words = ["merge-file", "-p", f"--marker-size={marker}", *labels, *map(str, files)]
        target.write_bytes(_git(target.parent, words, env).stdout)
