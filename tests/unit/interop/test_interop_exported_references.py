"""How each client writes a reference to a variable, or that it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from interop_samples import URL, tree_of

from mcpvault.connect import Vault
from mcpvault.interop.exporting import export
from mcpvault.interop.targets import TARGETS

SERVERS: dict[str, Any] = {
    "http": {"url": URL, "auth": {"kind": "bearer", "token": "${env:T}"}},
    "stdio": {"command": "tool", "env": {"A": "${env:T}"}},
    "http-default": {"url": URL, "headers": {"X-A": "${env:T:-d}"}},
    "stdio-default": {"command": "tool", "env": {"A": "${env:T:-d}"}},
}
# What each says itself; the rest goes through the vault.
SAID: dict[str, dict[str, Any]] = {
    "claude-desktop": {},
    "claude-code": {
        "http": {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${T}"}},
        "stdio": {"command": "tool", "env": {"A": "${T}"}},
        "http-default": {"type": "http", "url": URL, "headers": {"X-A": "${T:-d}"}},
        "stdio-default": {"command": "tool", "env": {"A": "${T:-d}"}},
    },
    "cursor": {
        "http": {"url": URL, "headers": {"Authorization": "Bearer ${env:T}"}},
        "stdio": {"command": "tool", "env": {"A": "${env:T}"}},
    },
    "vscode": {
        "http": {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${input:T}"}},
        "stdio": {"type": "stdio", "command": "tool", "env": {"A": "${env:T}"}},
    },
    "windsurf": {
        "http": {"serverUrl": URL, "headers": {"Authorization": "Bearer ${env:T}"}},
        "stdio": {"command": "tool", "env": {"A": "${env:T}"}},
    },
    "zed": {},
    "codex": {"http": {"url": URL, "bearer_token_env_var": "T"}},
    "gemini": {
        "http": {"httpUrl": URL, "headers": {"Authorization": "Bearer ${T}"}},
        "stdio": {"command": "tool", "env": {"A": "${T}"}},
    },
    "fastmcp": {},
    "mcp-use": {},
}


@pytest.mark.parametrize("client", [*TARGETS])
def test_a_reference_is_written_or_goes_through_the_vault(vault: Vault, client: str) -> None:
    """With a default and without, of both transports: the client's own words, or ``mcpvault stdio`` and the reason."""
    with vault.change() as change:
        for name, server in SERVERS.items():
            change.add_server(name, server)

    made = export(vault.document, SERVERS, client)

    asks = {name: {**TARGETS[client].stdio, "command": "mcpvault", "args": ["stdio", name]} for name in SERVERS}
    assert {**asks, **SAID[client]} == tree_of(made, client)[TARGETS[client].root]
    unsaid = {"the client has no such reference", "the client knows no HTTP servers"}
    assert {None, *unsaid} >= {each.why for each in made.entries}
    assert {each.name for each in made.entries if each.why is None} == {*SAID[client]}


def test_a_target_can_be_printed() -> None:
    """Each names the functions that write for it, and comes to an end."""
    assert {*TARGETS} == {client for client, target in TARGETS.items() if "say=<function _" in repr(target)}
