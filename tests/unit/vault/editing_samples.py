"""Somebody who edits a vault, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from vault_samples import Made

from mcpvault.errors import McpVaultError
from mcpvault.vault.editing import from_editor, to_editor
from mcpvault.vault.vaultfile import VaultFile

Typing = Callable[[str], str]


def edited(made: Made, typing: Typing, name: str | None = None) -> VaultFile:
    """Let somebody edit the vault, or one entry, and return it opened again."""
    vault = made.open()
    with vault.change() as change:
        from_editor(change, typing(to_editor(vault, name)), name)
    return made.open()


def refused(made: Made, typing: Typing, expected: type[McpVaultError], name: str | None = None) -> McpVaultError:
    """Return the error with which an edit is refused; the file keeps its bytes."""
    before = made.path.read_bytes()
    with pytest.raises(expected) as caught:
        edited(made, typing, name)
    assert expected is type(caught.value)
    assert before == made.path.read_bytes()
    return caught.value


def put(old: str, new: str) -> Typing:
    """Replace *old* by *new*, exactly once."""

    def typing(text: str) -> str:
        assert 1 == text.count(old), text
        return text.replace(old, new)

    return typing


def shown(made: Made, server: str = "web", field: str = "auth.token") -> str:
    """Return the placeholder of a sealed field."""
    vault = made.open()
    return f"<sealed {vault.fingerprint(vault.secret(server, field))}>"
