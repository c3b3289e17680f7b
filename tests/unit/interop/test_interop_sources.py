"""The clients: how each writes its file, and what only it has."""

from __future__ import annotations

from typing import Any

import pytest
from interop_samples import TOKEN, URL, imported, said, sealed

SERVER = {"url": URL}
STDIO = {"command": "npx", "args": ["-y", "@scope/server"], "env": {"REGION": "eu", "API_KEY": TOKEN}}


def names(content: object, kind: str | None = None, path: str = "/somewhere/mcp.json") -> list[str]:
    """Return the names of the entries that a file becomes."""
    return [entry.name for entry in imported(content, kind, path).entries]


@pytest.mark.parametrize("kind", ["mcp-use", "claude-desktop", "claude-code", "cursor"])
def test_mcp_servers_are_read_alike(kind: str) -> None:
    """Remote and local, in the order of the file, each with its place."""
    made = imported({"mcpServers": {"web": SERVER, "tool": STDIO}, "other": 1}, kind)

    web, tool = made.entries
    assert (("mcpServers", "web"), ("mcpServers", "tool")) == (web.place, tool.place)
    assert {"url": URL} == web.tree
    assert {"command": "npx", "args": ["-y", "@scope/server"], "env": {"REGION": "eu"}, "approved": False} == tool.tree
    assert {"env.API_KEY": TOKEN} == sealed(tool)
    assert TOKEN not in said(tool)


# Claude Code


def test_claude_codes_projects_are_read() -> None:
    """User servers first; a project's server of the same text is the same, another one gets another name."""
    content = {
        "mcpServers": {"web": SERVER},
        "projects": {
            "/a": {"mcpServers": {"web": SERVER, "more": STDIO}},
            "/b": {"mcpServers": {"web": {"url": "https://other.example/mcp"}, "more": STDIO}, "history": []},
            "/c": {},
            "/d": None,
        },
    }
    made = imported(content)

    assert ["web", "more", "web-2"] == [entry.name for entry in made.entries]
    assert ("projects", "/b", "mcpServers", "web") == made.entries[2].place
    assert ["name: 'web' is called 'web-2' here"] == list(made.entries[2].todo)


@pytest.mark.parametrize(
    "other",
    [{**STDIO, "args": ["-y"]}, {**STDIO, "args": ["-y", 1]}, {**STDIO, "x": 1}, {**STDIO, "command": "uvx"}],
)
def test_a_projects_server_that_differs_anywhere_is_another(other: dict[str, Any]) -> None:
    """Compared deeply."""
    content = {"projects": {"/a": {"mcpServers": {"s": STDIO}}, "/b": {"mcpServers": {"s": other}}}}

    assert ["s", "s-2"] == names(content)


def test_claude_codes_timeout_is_in_milliseconds() -> None:
    """Rounded up to seconds; one that means nothing is kept aside."""
    [entry] = imported({"mcpServers": {"s": {**SERVER, "timeout": 1500}}}, "claude-code").entries
    assert {"total": 2} == entry.tree["timeout"]

    [entry] = imported({"mcpServers": {"s": {**SERVER, "timeout": -1}}}, "claude-code").entries
    assert {"timeout": -1} == entry.tree["x-claude-code"]


def test_claude_codes_headers_helper_is_never_run() -> None:
    """It is a loss and a task, and is not kept: it may hold a secret."""
    [entry] = imported({"mcpServers": {"s": {**SERVER, "headersHelper": "touch /tmp/x"}}}, "claude-code").entries

    assert {"url": URL} == entry.tree
    assert any("never run" in loss for loss in entry.losses)
    assert any("${cmd:" in task for task in entry.todo)


def test_claude_codes_oauth_is_taken_over() -> None:
    """The client comes along; its secret does not, for it is sealed for an issuer that the file does not name."""
    server = {"type": "http", **SERVER, "oauth": {"clientId": "abc", "callbackPort": 8080, "clientSecret": TOKEN}}
    [entry] = imported({"mcpServers": {"s": server}}, "claude-code").entries

    assert {"kind": "oauth", "client_id": "abc"} == entry.tree["auth"]
    assert any(task.startswith("auth.client_secret: ") for task in entry.todo)
    assert ("oauth.callbackPort: is found out by mcpvault itself",) == entry.losses[1:]
    assert entry.kept_back
    assert TOKEN not in said(entry)


# Cursor


def test_cursors_registration_cannot_be_used() -> None:
    """It was made for Cursor's redirect URI."""
    server = {**SERVER, "auth": {"CLIENT_ID": "abc", "CLIENT_SECRET": "short", "scopes": ["a"]}}
    [entry] = imported({"mcpServers": {"s": server}}, "cursor").entries

    assert any("Cursor's redirect URI" in task for task in entry.todo)
    assert {"kind": "oauth", "client_id": "abc", "scope": "a"} == entry.tree["auth"]
    assert entry.kept_back


def test_cursors_variables_and_env_file() -> None:
    """The home folder has an equal here; the workspace and the file of variables are tasks."""
    server = {"command": "tool", "args": ["${userHome}/x", "${workspaceFolder}"], "envFile": ".env"}
    [entry] = imported({"mcpServers": {"s": server}}, "cursor").entries

    assert ["${env:HOME}/x", "${env:WORKSPACE_FOLDER}"] == entry.tree["args"]
    assert any("envFile" in task for task in entry.todo)
    assert {"envFile": ".env"} == entry.tree["x-cursor"]


# VS Code


@pytest.mark.parametrize("below", [(), ("mcp",), ("customizations", "vscode", "mcp")])
def test_vscodes_servers_and_inputs_stand_in_three_places(below: tuple[str, ...]) -> None:
    """``mcp.json``, ``settings.json``, ``devcontainer.json``."""
    content: dict[str, Any] = {
        "servers": {"s": {"type": "http", "url": URL, "headers": {"X-Region": "${input:region}"}}},
        "inputs": [{"type": "pickString", "id": "region", "default": "eu", "options": ["eu", "us"]}],
    }
    for key in reversed(below):
        content = {key: content}
    [entry] = imported(content).entries

    assert (*below, "servers", "s") == entry.place
    assert {"X-Region": "${env:REGION:-eu}"} == entry.tree["headers"]


def test_vscodes_password_inputs_are_tasks() -> None:
    """The variable is named after the input; a default of a password is never written down."""
    content = {
        "servers": {"s": {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${input:github-token}"}}},
        "inputs": [{"type": "promptString", "id": "github-token", "password": True, "default": TOKEN}],
    }
    [entry] = imported(content).entries

    assert {"kind": "bearer", "token": "${env:GITHUB_TOKEN}"} == entry.tree["auth"]
    assert ("GITHUB_TOKEN",) == entry.references
    assert any("set GITHUB_TOKEN" in task for task in entry.todo)
    assert TOKEN not in said(entry)


@pytest.mark.parametrize("each", [{"id": "api-key", "default": "eu"}, {"id": "region", "default": TOKEN}])
def test_a_default_that_is_a_secret_is_not_written_down(each: dict[str, str]) -> None:
    """Whether VS Code calls it a password or not."""
    content = {"servers": {"s": {"url": URL, "headers": {"X-Region": f"${{input:{each['id']}}}"}}}, "inputs": [each]}
    [entry] = imported(content).entries

    assert ":-" not in entry.tree["headers"]["X-Region"]


@pytest.mark.parametrize(
    "inputs", [3, [3], [{}], [{"id": 3}], [{"id": "a", "default": 3}], [{"id": "a", "default": ""}]]
)
def test_inputs_of_another_form_declare_nothing(inputs: object) -> None:
    """They are passed over."""
    content = {"servers": {"s": {"url": URL, "headers": {"X-A": "${input:a}"}}}, "inputs": inputs}
    [entry] = imported(content).entries

    assert {"X-A": "${env:A}"} == entry.tree["headers"]


@pytest.mark.parametrize("url", ["unix:///run/mcp.sock", "pipe:///mcp", "ftp://a.example", "mcp.example.com"])
def test_vscodes_sockets_have_no_place(url: str) -> None:
    """Only http and https lead to a session."""
    made = imported({"servers": {"s": {"type": "http", "url": url}}})

    assert [("servers", "s")] == [left.place for left in made.skipped]
    assert "expected http or https" in made.skipped[0].why


def test_vscodes_extras_are_kept() -> None:
    """What means nothing here is reported, and survives below ``x-vscode``."""
    server = {
        "type": "stdio",
        "command": "t",
        "dev": {"watch": "src/**", "debug": {"type": "node"}},
        "sandboxEnabled": True,
    }
    [entry] = imported({"servers": {"s": server}}).entries

    assert {"dev": {"watch": "src/**", "debug": {"type": "node"}}, "sandboxEnabled": True} == entry.tree["x-vscode"]
    assert any(loss.startswith("dev: ") for loss in entry.losses)


# mcp-use and relatives


def test_mcp_uses_tokens() -> None:
    """Both spellings; without the word in front; sealed."""
    content = {"mcpServers": {"a": {**SERVER, "authToken": TOKEN}, "b": {**SERVER, "auth_token": f"bearer {TOKEN}"}}}
    entries = imported(content).entries

    assert [{"auth.token": TOKEN}] * 2 == [sealed(entry) for entry in entries]
    assert [{"kind": "bearer"}] * 2 == [entry.tree["auth"] for entry in entries]


def test_mcp_uses_client_info_is_a_loss_of_the_file() -> None:
    """What the client calls itself is not an entry's."""
    assert ("clientInfo: what the client calls itself",) == imported({"clientInfo": {}, "mcpServers": {}}).losses
    assert () == imported({"mcpServers": {}}).losses


def test_mcp_uses_sessions() -> None:
    """What the command line tool has noted is no configuration; the active session is."""
    session = {"type": "http", **SERVER, "authToken": TOKEN, "lastUsed": "2026-01-01", "serverInfo": {"name": "x"}}
    made = imported({"activeSession": "b", "sessions": {"a": session, "b": STDIO}})

    assert ("mcp-use-cli", "b") == (made.kind, made.active)
    assert [{"url": URL, "auth": {"kind": "bearer"}}, ()] == [made.entries[0].tree, made.entries[0].losses]


@pytest.mark.parametrize("active", ["c", None, 3, ""])
def test_an_active_session_that_there_is_not_is_none(active: object) -> None:
    """Whatever stands there."""
    assert imported({"activeSession": active, "sessions": {"a": SERVER}}).active is None


def test_fastmcps_auth_is_a_keyword_or_a_token() -> None:
    """``"oauth"`` is a login; any other text is a token in clear."""
    content = {
        "mcpServers": {
            "a": {**SERVER, "auth": "oauth"},
            "b": {**SERVER, "auth": "some-token"},
            "c": {**SERVER, "auth": ""},
        }
    }
    one, two, three = imported(content).entries

    assert {"url": URL, "auth": {"kind": "oauth"}} == one.tree
    assert {"auth.token": "some-token"} == sealed(two)
    assert {"url": URL} == three.tree


def test_windsurfs_server_url() -> None:
    """Its word for the address."""
    [entry] = imported({"mcpServers": {"s": {"serverUrl": URL, "disabledTools": ["a"]}}}).entries

    assert ({"url": URL, "x-mcp-use": {"disabledTools": ["a"]}}) == entry.tree


# Names


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("web", "web"), ("My Server!", "My-Server"), ("a.b/c", "a-b-c"), ("_x", "x"), ("日本", "server"), ("", "server"),
     ("x" * 99, "x" * 60)],
)  # fmt: skip
def test_names_become_ours(theirs: str, ours: str) -> None:
    """What the format allows, and a task tells the difference."""
    [entry] = imported({"mcpServers": {theirs: SERVER}}).entries

    assert (ours, theirs) == (entry.name, entry.place[-1])
    assert (ours != theirs) == any(f"is called {ours!r} here" in task for task in entry.todo)


def test_names_that_become_one_are_numbered() -> None:
    """Regardless of case."""
    assert ["a-b", "A-B-2", "a-b-3"] == names({"mcpServers": {"a.b": SERVER, "A B": SERVER, "a/b": SERVER}})
