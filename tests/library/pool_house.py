"""A vault with entries for fake servers, and children that are forked: what the tests of concurrency begin with."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mcpvault import Vault
from mcpvault.vault.slots import NewSlot, RawKey


def vault_with(home: Path, entries: Mapping[str, Mapping[str, Any]]) -> tuple[Vault, dict[str, str]]:
    """Make a vault with *entries*; return it, and the environment that opens it."""
    key = home / "key"
    key.touch(0o600)
    key.write_text((raw := RawKey.generate()).text.reveal() + "\n")
    env = {"HOME": str(home), "MCPVAULT_KEY_FILE": str(key), "PATH": os.environ["PATH"]}
    with Vault.create(slots=[NewSlot.raw("me", raw)], env=env) as vault, vault.change() as change:
        for name, entry in entries.items():
            change.add_server(name, dict(entry))
    return Vault.open(env=env), env


def in_a_child(work: Callable[[], object]) -> str:
    """Do *work* in a forked child; return what it gives as text, or its traceback."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(work())
        except BaseException:
            said = traceback.format_exc()
        os.write(into, said.encode()[:60000])
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said
