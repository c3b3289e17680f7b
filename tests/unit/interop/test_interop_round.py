"""Import and export to the same client: what comes in goes out, and a login is the vault's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from interop_samples import TOKEN, URL, around, text_of, tree_of

from mcpvault.connect import Vault
from mcpvault.interop.exporting import export
from mcpvault.interop.importing import import_file
from mcpvault.interop.targets import TARGETS

STDIO = {"command": "mcpvault", "args": ["stdio", "s"]}


ROUND = [
    ("claude-desktop", {"command": "tool", "args": ["--ro"], "env": {"MODE": "fast"}}),
    ("claude-code", {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${TOKEN}", "X-V": "${V:-1}"}}),
    ("claude-code", {"type": "sse", "url": URL}),
    ("claude-code", {"command": "tool", "args": ["${ROOT}"], "env": {"API_KEY": "${KEY}"}, "cwd": "/srv"}),
    ("cursor", {"url": URL, "headers": {"Authorization": "Bearer ${env:TOKEN}"}}),
    ("cursor", {"command": "tool", "env": {"API_KEY": "${env:KEY}"}, "envFile": ".env"}),
    ("vscode", {"type": "http", "url": URL}),
    ("vscode", {"type": "stdio", "command": "tool", "env": {"API_KEY": "${env:KEY}"}, "dev": {"watch": "src"}}),
    ("windsurf", {"serverUrl": URL, "headers": {"Authorization": "Bearer ${env:TOKEN}"}}),
    ("zed", {"command": "tool", "args": ["-v"], "env": {"MODE": "fast"}}),
    ("zed", {"url": URL, "headers": {"X-Version": "1"}}),
    ("codex", {"url": URL, "bearer_token_env_var": "TOKEN", "env_http_headers": {"X-Key": "KEY"}}),
    ("codex", {"url": URL, "http_headers": {"X-Version": "1"}, "enabled_tools": ["a"]}),
    ("codex", {"command": "tool", "args": ["x"], "env": {"MODE": "fast"}, "env_vars": ["API_KEY"]}),
    ("gemini", {"httpUrl": URL, "headers": {"Authorization": "Bearer ${TOKEN}"}, "trust": True}),
    ("gemini", {"command": "tool", "env": {"API_KEY": "${KEY}"}, "cwd": "/srv"}),
    ("claude-code", {"type": "http", "url": URL, "timeout": 6000}),
    ("zed", {"url": URL, "timeout": 300}),
    ("codex", {"url": URL, "tool_timeout_sec": 7, "startup_timeout_sec": 10}),
    ("gemini", {"httpUrl": URL, "timeout": 5000}),
    ("fastmcp", {"command": "tool", "timeout": 9000}),
    ("fastmcp", {"url": URL, "transport": "http", "description": "d"}),
    ("fastmcp", {"command": "tool", "args": ["x"], "keep_alive": True}),
    ("mcp-use", {"url": URL, "headers": {"X-Version": "1"}}),
    ("mcp-use", {"command": "tool", "args": ["x"], "env": {"MODE": "fast"}}),
    # words that a client need not say
    *(
        (client, {"type": "stdio", "command": "tool"})
        for client in ("claude-code", "cursor", "windsurf", "zed", "codex")
    ),
    *((each, {"type": "http", TARGETS[each].url: URL}) for each in ("cursor", "windsurf", "gemini", "mcp-use")),
    ("fastmcp", {"transport": "stdio", "type": "stdio", "command": "tool"}),
    ("fastmcp", {"url": URL, "transport": "http", "type": "http"}),
]


@pytest.mark.parametrize(("client", "server"), ROUND, ids=[f"{client}-{i}" for i, (client, _) in enumerate(ROUND)])
def test_what_comes_in_goes_out(vault: Vault, home: Path, client: str, server: Any) -> None:
    """Import and export to the same client says the same, unknown keys included; commands once they are approved."""
    path = home / ("config.toml" if client == "codex" else "mcp.json")
    tree = around(client, server)
    path.write_bytes(text_of(client, tree))
    import_file(vault, path, kind=client)
    if "command" in server:
        with vault.change() as change:
            change.set_plain("s", "approved", True)

    made = export(vault.document, ["s"], client)

    assert (tree, "native") == (tree_of(made, client), made.entries[0].form)


# What each client says of a login, the entry that it becomes, and what stays below x- or is reported.
OAUTH: list[tuple[str, dict[str, Any] | None, dict[str, str], list[str]]] = [
    ("claude-desktop", None, {}, []),
    (
        "claude-code",
        {"type": "http", "url": URL, "oauth": {"clientId": "c", "scopes": "a b", "callbackPort": 7777}},
        {"client_id": "c", "scope": "a b"},
        ["oauth.callbackPort: is found out by mcpvault itself"],
    ),
    ("cursor", {"url": URL, "auth": {"CLIENT_ID": "c", "scopes": ["a", "b"]}}, {"client_id": "c", "scope": "a b"}, []),
    ("vscode", None, {}, []),
    ("windsurf", None, {}, []),
    ("zed", {"url": URL, "oauth": {"client_id": "c"}}, {"client_id": "c"}, []),
    (
        "codex",
        {"url": URL, "scopes": ["a"], "oauth": {"client_id": "c"}, "oauth_resource": URL},
        {"client_id": "c", "scope": "a", "resource": URL},
        [],
    ),
    (
        "gemini",
        {"httpUrl": URL, "oauth": {"enabled": True, "clientId": "c", "scopes": ["a"], "tokenUrl": f"{URL}/token"}},
        {"client_id": "c", "scope": "a"},
        ["oauth.tokenUrl: is found out by mcpvault itself"],
    ),
    ("fastmcp", {"url": URL, "transport": "http", "auth": "oauth"}, {}, []),
    ("mcp-use", {"url": URL, "auth": {"client_id": "c", "scope": "a b"}}, {"client_id": "c", "scope": "a b"}, []),
]


def test_every_client_has_a_case_of_oauth() -> None:
    """The table below leaves none out."""
    assert [*TARGETS] == [client for client, *_ in OAUTH]


@pytest.mark.parametrize(("client", "server", "auth", "losses"), OAUTH, ids=[client for client, *_ in OAUTH])
def test_a_login_comes_in_and_is_the_vaults(
    vault: Vault, home: Path, client: str, server: Any, auth: dict[str, str], losses: list[str]
) -> None:
    """What is said of it becomes the entry's; what goes out asks the vault, whose grant it is, and says why."""
    if server is None:  # the client has no words for it: a person says it here
        with vault.change() as change:
            change.add_server("s", {"url": URL, "auth": {"kind": "oauth"}})
    else:
        path = home / ("config.toml" if client == "codex" else "mcp.json")
        path.write_bytes(text_of(client, around(client, server)))
        [row] = import_file(vault, path, kind=client).rows
        assert losses == [*row.losses]
    assert {"kind": "oauth", **auth} == vault.document.tree["servers"]["s"]["auth"]

    made = export(vault.document, ["s"], client)

    [done] = made.entries
    if client == "claude-code":
        asks = {"type": "http", "url": URL, "headersHelper": "mcpvault headers s --for https://api.example.com:443"}
    else:
        asks = {**TARGETS[client].stdio, **STDIO}
        assert done.why in ("its credential is of kind oauth", "the client knows no HTTP servers")
    assert ("helper" if client == "claude-code" else "stdio", asks) == (
        done.form,
        tree_of(made, client)[TARGETS[client].root]["s"],
    )


def test_an_alias_is_written_as_the_client_means_it(vault: Vault, home: Path) -> None:
    """Claude Code's ``streamable-http`` is its ``http``, which is said."""
    path = home / "mcp.json"
    path.write_bytes(text_of("claude-code", around("claude-code", {"type": "streamable-http", "url": URL})))

    [row] = import_file(vault, path, kind="claude-code").rows

    assert ("type: is written 'http' by export, which means the same",) == row.losses
    assert {"type": "http", "url": URL} == tree_of(export(vault.document, ["s"], "claude-code"), "claude-code")[
        "mcpServers"
    ]["s"]


def test_what_asks_a_vault_already_is_left_out(vault: Vault, home: Path) -> None:
    """An exported file that is read again adds no entry that would start this program."""
    path = home / "mcp.json"
    path.write_bytes(text_of("cursor", around("cursor", {"command": "/usr/bin/mcpvault", "args": ["stdio", "s"]})))

    report = import_file(vault, path, kind="cursor")

    [row] = report.rows
    assert (False, "asks a vault already, by mcpvault stdio", True) == (row.added, row.why, report.complete)


def test_vscode_asks_in_the_words_it_came_with(vault: Vault, home: Path) -> None:
    """Ids, descriptions, choices and where they stand survive; a default of a password does not come in at all."""
    inputs = [
        {"type": "promptString", "id": "api-key", "description": "Key of the API", "password": True},
        {"type": "pickString", "id": "region", "description": "Where", "options": ["eu", "us"], "default": "eu"},
        {"type": "command", "id": "made", "command": "extension.make", "args": ["x"]},
    ]
    server = {"type": "stdio", "command": "tool", "args": ["${input:region}", "${env:MODE}"],
              "env": {"API_KEY": "${input:api-key}", "MADE": "${input:made}"}}  # fmt: skip
    tree = {"servers": {"s": server}, "inputs": inputs}
    path = home / "mcp.json"
    default = [{**inputs[0], "default": TOKEN}, *inputs[1:]]
    path.write_bytes(text_of("vscode", {**tree, "inputs": default}))
    import_file(vault, path, kind="vscode")
    with vault.change() as change:
        change.set_plain("s", "approved", True)
    assert {"API_KEY": "${env:API_KEY}", "MADE": "${env:MADE}"} == vault.document.tree["servers"]["s"]["env"]
    assert TOKEN not in vault.document.text

    made = tree_of(export(vault.document, ["s"], "vscode"), "vscode")

    assert server == made["servers"]["s"]
    assert inputs == sorted(made["inputs"], key=lambda each: ["api-key", "region", "made"].index(each["id"]))
