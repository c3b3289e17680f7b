"""``export``: what each client is told, in its own words, and never a secret."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from interop_samples import TOKEN, URL, around, source, text_of, tree_of

from mcpvault.connect import Vault
from mcpvault.errors import ConfigurationError
from mcpvault.interop.exporting import export
from mcpvault.interop.importing import import_file
from mcpvault.interop.sources import read
from mcpvault.interop.targets import TARGETS
from mcpvault.secret import Secret

STDIO = {"command": "mcpvault", "args": ["stdio", "s"]}


def test_gemini_writes_references_in_two_ways() -> None:
    """``$VAR`` is ``${VAR}``."""
    content = {"mcpServers": {"s": {"httpUrl": URL, "headers": {"Authorization": "Bearer $TOKEN"}}}}
    [entry] = read(source(content), "gemini").entries

    assert {"kind": "bearer", "token": "${env:TOKEN}"} == entry.tree["auth"]


def test_codex_named_headers_win() -> None:
    """``env_http_headers`` beats ``http_headers``, whatever the case; a bearer variable beats both."""
    server = {
        "url": URL,
        "http_headers": {"x-key": "plain"},
        "env_http_headers": {"X-Key": "KEY"},
        "scopes": ["a", "b"],
    }
    [entry] = read(source(text_of("codex", around("codex", server)), "/home/a/.codex/config.toml")).entries

    assert ({"X-Key": "${env:KEY}"}, {"kind": "oauth", "scope": "a b"}) == (entry.tree["headers"], entry.tree["auth"])


def test_only_what_codex_does_not_expand_is_to_be_done() -> None:
    """A variable that a key of its own names is one for Codex too; ``${X}`` in a header is sent as it stands."""
    server = {
        "url": URL, "bearer_token_env_var": "TOKEN", "env_http_headers": {"X-Key": "KEY", "X-Org": "ORG"},
        "http_headers": {"X-Literal": "${X}"},
    }  # fmt: skip
    [entry] = read(source(text_of("codex", around("codex", server)), "/home/a/.codex/config.toml")).entries

    assert {"X-Key": "${env:KEY}", "X-Org": "${env:ORG}", "X-Literal": "${env:X}"} == entry.tree["headers"]
    assert "${env:TOKEN}" == entry.tree["auth"]["token"]
    assert ("headers.X-Literal: Codex sends ${X} as it stands; here it is the variable X",) == tuple(entry.todo)


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        ("zed", {"command": {"path": "tool", "args": ["x"], "env": {"M": "1"}}}, {"command": "tool", "args": ["x"]}),
        ("zed", {"command": "tool", "timeout": 30}, {"command": "tool", "timeout": {"total": 30}}),
        ("codex", {"command": "tool", "tool_timeout_sec": 7}, {"timeout": {"total": 7}}),
        ("gemini", {"url": URL, "timeout": 1500}, {"transport": "sse", "timeout": {"total": 2}}),
        ("fastmcp", {"url": f"{URL}/sse", "timeout": 500}, {"transport": "sse", "timeout": {"total": 1}}),
    ],
)
def test_each_client_has_words_of_its_own(client: str, server: Any, expected: Any) -> None:
    """Older forms, seconds and milliseconds, and how the old transport is said."""
    data = text_of(client, around(client, server))
    [entry] = read(source(data, "/x/config.toml" if client == "codex" else "/x/mcp.json"), client).entries

    assert expected == {key: entry.tree[key] for key in expected}


@pytest.mark.parametrize("client", ["zed", "codex", "gemini", "fastmcp", "windsurf"])
@pytest.mark.parametrize("value", [None, 7, [], {"a": 7}, "x"])
def test_nonsense_is_left_out_with_a_reason(client: str, value: Any) -> None:
    """Whatever stands where a table is expected, the reader says so and does not fall."""
    server = {"url": URL, "httpUrl": URL, **dict.fromkeys(
        ("headers", "http_headers", "env_http_headers", "env_vars", "env", "oauth", "auth", "timeout", "scopes"), value
    )}  # fmt: skip
    if client == "codex" and value is None:
        return
    data = text_of(client, around(client, server))
    found = read(source(data, "/x/config.toml" if client == "codex" else "/x/mcp.json"), client)

    assert 1 == len(found.entries) + len(found.skipped)


# What goes through the vault


@pytest.mark.parametrize("client", [*TARGETS])
def test_a_sealed_secret_is_never_written(vault: Vault, client: str) -> None:
    """The client starts us instead; Claude Code asks for headers."""
    with vault.change() as change:
        change.add_server("s", {"url": URL, "auth": {"kind": "bearer"}})
        change.set_secret("s", "auth.token", Secret(TOKEN))
        change.add_server("login", {"url": URL, "auth": {"kind": "oauth"}})

    made = export(vault.document, ["s", "login"], client)

    server = tree_of(made, client)[TARGETS[client].root]["s"]
    if client == "claude-code":
        assert {
            "type": "http",
            "url": URL,
            "headersHelper": "mcpvault headers s --for https://api.example.com:443",
        } == server
    else:
        assert {**TARGETS[client].stdio, **STDIO} == server
    assert {"helper" if client == "claude-code" else "stdio"} == {each.form for each in made.entries}
    assert TOKEN not in made.text and "mv1." not in made.text


UNSAID = [
    ("cursor", {"url": URL, "headers": {"X-A": "${env:A:-d}"}}, "the client has no such reference"),
    ("claude-code", {"url": URL, "headers": {"X-A": "${file:/etc/a}"}}, "no reference of kind file"),
    ("claude-code", {"url": URL, "headers": {"X-A": "${env:A?}"}}, "no reference of kind env?"),
    ("claude-code", {"url": URL, "headers": {"X-A": "$${A}"}}, "holds a literal ${"),
    ("claude-desktop", {"url": URL}, "the client knows no HTTP servers"),
    ("cursor", {"url": URL, "transport": "sse"}, "does not say HTTP+SSE"),
    ("cursor", {"command": "tool", "cwd": "/srv"}, "the client knows no cwd"),
    ("cursor", {"command": "tool", "approved": False}, "has not been approved"),
    ("zed", {"url": URL, "auth": {"kind": "basic", "username": "a", "password": "${env:P}"}}, "of kind basic"),
]


@pytest.mark.parametrize(("client", "server", "why"), UNSAID)
def test_what_a_client_cannot_say_goes_through_the_vault(vault: Vault, client: str, server: Any, why: str) -> None:
    """With the reason."""
    with vault.change() as change:
        change.add_server("s", server)

    [done] = export(vault.document, ["s"], client).entries

    assert ("stdio", True) == (done.form, why in (done.why or ""))


def test_what_a_client_is_not_told_is_reported(vault: Vault) -> None:
    """Limits and proxies of an entry hold here only."""
    with vault.change() as change:
        change.add_server("s", {"url": URL, "retries": 5, "timeout": {"total": 9}})

    assert ("timeout: holds here only", "retries: holds here only") == export(vault.document, ["s"], "cursor").entries[
        0
    ].losses


@pytest.mark.parametrize("ask_vault", [True, False])
def test_what_a_client_alone_understands_holds_in_any_form(vault: Vault, *, ask_vault: bool) -> None:
    """Switches, tools that need no asking, time for a call; what belongs to another way to the server is reported."""
    own = {"alwaysAllow": ["x"], "disabled": True, "type": "http", "oauth": {"clientId": "c"}}
    with vault.change() as change:
        change.add_server("s", {"url": URL, "auth": {"kind": "bearer"}, "timeout": {"total": 9}, "x-gemini": own})
        change.set_secret("s", "auth.token", Secret(TOKEN))

    made = export(vault.document, ["s"], "gemini", ask_vault=ask_vault)

    expected = {**STDIO, "timeout": 9000, "alwaysAllow": ["x"], "disabled": True}
    assert expected == tree_of(made, "gemini")["mcpServers"]["s"]
    [done] = made.entries
    assert ("oauth: kept below x-gemini, and means nothing where the vault is asked",) == done.losses


def test_vscode_asks_for_a_header_once(vault: Vault) -> None:
    """An input of type password, once for each variable."""
    with vault.change() as change:
        for name in ("a", "b"):
            change.add_server(name, {"url": URL, "headers": {"X-Api-Key": "${env:KEY}"}})

    tree = tree_of(export(vault.document, ["a", "b"], "vscode"), "vscode")

    assert [{"type": "promptString", "id": "KEY", "description": "KEY", "password": True}] == tree["inputs"]
    assert "${input:KEY}" == tree["servers"]["a"]["headers"]["X-Api-Key"]


def test_a_variable_that_is_set_is_not_expanded(vault: Vault, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference stays one on its way in and out, with the variable set all along."""
    monkeypatch.setenv("TOKEN", TOKEN)
    vault.env = {**vault.env, "TOKEN": TOKEN}
    server = {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${TOKEN}"}}
    (home / ".mcp.json").write_text(json.dumps(around("claude-code", server)))
    import_file(vault, home / ".mcp.json")

    assert TOKEN not in vault.file.path.read_text()
    assert around("claude-code", server) == tree_of(export(vault.document, ["s"], "claude-code"), "claude-code")


def test_a_client_that_there_is_not_is_exit_8(vault: Vault) -> None:
    """Those that there are stand in the hint."""
    with pytest.raises(ConfigurationError, match="there is no writer 'emacs'") as caught:
        export(vault.document, [], "emacs")

    assert [] == [client for client in TARGETS if client not in (caught.value.hint or "")]


def test_codex_is_moved_with_its_comments(vault: Vault, home: Path) -> None:
    """``--move`` keeps order and comments of a TOML file; its literals are in the vault then."""
    path = home / "config.toml"
    path.write_text(f'# mine\nmodel = "m"\n\n[mcp_servers.s]\ncommand = "tool"\nenv = {{ API_KEY = "{TOKEN}" }}\n')

    import_file(vault, path, move=True)

    assert TOKEN not in path.read_text()
    assert path.read_text().startswith('# mine\nmodel = "m"\n')
    assert STDIO == tomllib.loads(path.read_text())["mcp_servers"]["s"]
