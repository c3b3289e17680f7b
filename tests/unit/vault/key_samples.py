"""A vault that every kind of key opens, and one way each to give it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mcpvault.secret import Secret
from mcpvault.vault.keysources import Key, find_key
from mcpvault.vault.slots import RawKey
from vault_schema import Header

KEY_TEXT = RawKey.generate().text.reveal()
_numbers = itertools.count(500)  # a descriptor is read once in a process, so each test has one of its own


class Place(NamedTuple):
    """A vault with a slot of each kind, and the folders around it."""

    header: Header
    data_home: Path
    path: Path

    def find(self, prompt: Callable[[str], Secret] | None = None, **env: str) -> Key:
        """Look for the key with nothing but *env* around."""
        return find_key(self.header, env=env, data_home=self.data_home, vault_path=self.path, prompt=prompt)


def key_file(path: Path, text: str = KEY_TEXT + "\n") -> str:
    """Write a private key file and return its path."""
    path.touch(0o600)
    path.write_text(text)
    return str(path)


def descriptor_with(text: str) -> str:
    """Return the number of a descriptor from which *text* can be read."""
    reading, writing = os.pipe()
    number = os.dup2(reading, next(_numbers), inheritable=False)
    os.write(writing, text.encode())
    os.close(writing)
    os.close(reading)
    return str(number)


def credentials(folder: Path, name: str = "mcpvault.key") -> str:
    """Return a folder as systemd makes it, with a key in it."""
    folder.mkdir(mode=0o700)
    key_file(folder / name)
    return str(folder)
