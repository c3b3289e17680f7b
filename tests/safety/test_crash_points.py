"""
kill -9 at every step of a write: the file is the old one or the new one, never else, and it opens.

A forked child kills itself before the n-th call into the kernel that changes a file; n runs until a child survives.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcpvault.connect import Vault
from mcpvault.secret import Secret
from mcpvault.vault.slots import NewSlot, RawKey

STEPS = ("open", "write", "fsync", "replace", "rename", "link", "unlink", "close", "ftruncate", "fchmod", "chmod")
OLD, NEW = "old-token-value", "new-token-value"


def dies_before(step: int, act: Callable[[], None]) -> bool:
    """Run *act* in a child that is killed before its *step*-th file operation; tell whether it was."""
    pid = os.fork()
    if pid == 0:
        left = step

        def armed(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return call

        for name in STEPS:
            setattr(os, name, armed(getattr(os, name)))
        try:
            act()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A user's surroundings, with the key in a file."""
    key = RawKey.generate()
    key_file = tmp_path / "key"
    key_file.write_text(key.text.reveal() + "\n")
    key_file.chmod(0o600)
    env = {"HOME": str(tmp_path), "MCPVAULT_KEY_FILE": str(key_file)}
    vault = Vault.create(slots=[NewSlot.raw("first", key)], env=env)
    with vault.change() as change:
        change.add_server("s", {"url": "https://h.example/mcp", "auth": {"kind": "bearer"}})
        change.set_secret("s", "auth.token", Secret(OLD))
    return env


CHANGES: dict[str, Callable[[Vault], None]] = {}


def changing(function: Callable[[Vault], None]) -> Callable[[Vault], None]:
    """Keep *function* under its name."""
    CHANGES[function.__name__] = function
    return function


@changing
def set_secret(vault: Vault) -> None:
    """Replace the token."""
    with vault.change() as change:
        change.set_secret("s", "auth.token", Secret(NEW))


@changing
def remove(vault: Vault) -> None:
    """Remove the entry."""
    with vault.change() as change:
        change.remove_server("s")


@changing
def add(vault: Vault) -> None:
    """Add another entry."""
    with vault.change() as change:
        change.add_server("t", {"url": "https://t.example/mcp"})


@pytest.mark.parametrize("name", sorted(["set_secret", "remove", "add"]))
def test_every_step_leaves_the_old_or_the_new_file(env: dict[str, str], name: str) -> None:
    """Whatever the step, the file's bytes are the old ones or those of the finished change, and open."""
    path = Vault.open(env=env).places.vault_path
    old = path.read_bytes()
    step, killed = 0, True
    while killed:
        path.write_bytes(old)
        killed = dies_before(step, lambda: CHANGES[name](Vault.open(env=env)))
        now = path.read_bytes()
        serial = Vault.open(env=env).document.header.serial
        assert (now == old) == (serial == 2), f"step {step}"
        assert serial in (2, 3)
        for anchor in path.parent.parent.parent.glob(".local/state/mcpvault/*/anchor.toml"):
            anchor.unlink()
        step += 1
    assert 10 < step
    assert 3 == serial
    temporary = [p.name for p in path.parent.iterdir() if ".tmp." in p.name]
    assert len(temporary) <= step
