"""Which client a foreign file belongs to."""

from __future__ import annotations

from typing import Any

import pytest
from interop_samples import imported, source

from mcpvault.errors import ConfigurationError
from mcpvault.interop.sources import CLIENTS, detect


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("/x/claude_desktop_config.json", {"mcpServers": {}}, "claude-desktop"),
        ("/x/Claude_Desktop_Config.json", {"mcpServers": {}}, "claude-desktop"),
        ("/repo/.mcp.json", {"mcpServers": {}}, "claude-code"),
        ("/home/a/.claude.json", {"projects": {}}, "claude-code"),
        ("/home/a/.claude.json", {"mcpServers": {}}, "claude-code"),
        ("/etc/claude-code/managed-mcp.json", {"mcpServers": {}}, "claude-code"),
        ("/x/other.json", {"projects": {}}, "claude-code"),
        ("/home/a/.cursor/mcp.json", {"mcpServers": {}}, "cursor"),
        ("/home/a/Cursor/User/mcp.json", {"mcpServers": {}}, "cursor"),
        ("/repo/.vscode/mcp.json", {"servers": {}}, "vscode"),
        ("/x/settings.json", {"mcp": {"servers": {}}}, "vscode"),
        ("/x/devcontainer.json", {"customizations": {"vscode": {"mcp": {"servers": {}}}}}, "vscode"),
        ("/home/a/.mcp-use/cli-sessions.json", {"sessions": {}}, "mcp-use-cli"),
        ("/x/mcp.json", {"mcpServers": {}}, "mcp-use"),
        ("/x/mcp.json", {"mcpServers": {}, "servers": {}}, "mcp-use"),
        ("/home/a/.codeium/windsurf/mcp_config.json", {"mcpServers": {}}, "windsurf"),
        ("/home/a/.gemini/settings.json", {"mcpServers": {}}, "gemini"),
        ("/home/a/.config/zed/settings.json", {"context_servers": {}}, "zed"),
        ("/x/mcp.json", {"mcpServers": {"a": {"url": "https://e/mcp", "keep_alive": True}}}, "fastmcp"),
    ],
)
def test_a_file_tells_whose_it_is(path: str, content: dict[str, Any], kind: str) -> None:
    """By its path, then by its shape."""
    made = source(content, path)

    assert kind == detect(made.path, made.tree)
    assert kind == imported(content, path=path).kind


@pytest.mark.parametrize(
    "content", [{}, {"mcpServers": []}, {"mcpServers": "x"}, {"servers": 3}, {"context_servers": 3}]
)
def test_a_file_of_nobody_is_exit_8(content: dict[str, Any]) -> None:
    """What is known is listed, and how to name one."""
    with pytest.raises(ConfigurationError, match="holds no MCP servers in a shape that is known here") as caught:
        imported(content)

    hint = caught.value.hint or ""
    assert 8 == caught.value.exit_code
    assert [] == [kind for kind in (*CLIENTS, "--from") if kind not in hint]


def test_a_client_that_there_is_not_is_exit_8() -> None:
    """The hint lists those that there are."""
    with pytest.raises(ConfigurationError, match="there is no reader 'emacs'"):
        imported({"mcpServers": {}}, "emacs")


@pytest.mark.parametrize(
    ("kind", "content"), [("vscode", {"mcpServers": {}}), ("cursor", {"servers": {}}), ("mcp-use-cli", {"servers": {}})]
)
def test_a_named_client_must_fit(kind: str, content: dict[str, Any]) -> None:
    """The file has no servers where that client writes them."""
    with pytest.raises(ConfigurationError, match="holds no servers as"):
        imported(content, kind)


def test_a_file_without_servers_is_empty() -> None:
    """Not an error."""
    assert ((), ()) == (imported({"mcpServers": {}}).entries, imported({"projects": {}}).skipped)
