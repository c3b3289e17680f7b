"""What an exception carries: every cause, context and frame is walked for windows of a secret."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from walking import findings

import mcpvault
from mcpvault.errors import ConfigurationError, McpVaultError
from mcpvault.testing import FakeMcpServer

TOKEN = "token-Yd63kWq90ZmHr2Xc-and-more"


def headers_of(url: str) -> mcpvault.HttpConnector:
    """Return a connector that carries the token."""
    return mcpvault.HttpConnector(url, auth_token=TOKEN, timeout=5)


BEHAVIOURS = [
    "bad-gateway",
    "redirect",
    "echoes-credential",
    "invalid-utf8",
    "deep-json",
    "close-before-answer",
    "close-mid-answer",
    "wrong-content-type",
    "accepted",
    "wrong-id",
]


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("use", ["list", "call"])
def test_no_frame_holds_a_revealed_secret(behaviour: str, use: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the server does, the exception that comes out holds nothing of the token."""
    caplog.set_level(logging.DEBUG)
    with FakeMcpServer(token=TOKEN) as server, headers_of(server.url) as connector:
        session = connector.session()
        session.list_prompts()
        server.misbehave(behaviour)
        with pytest.raises(McpVaultError) as caught:
            session.list_tools() if use == "list" else session.call_tool("echo", {"message": "x"})

    assert [] == findings(caught.value, TOKEN)
    assert TOKEN[:12] not in "".join(traceback.format_exception(caught.value))
    assert TOKEN[:12] not in caplog.text


@pytest.mark.parametrize(
    "fail",
    [
        lambda: headers_of("http://127.0.0.1:9/mcp").session().list_tools(),
        lambda: headers_of("http://mcp.example.com/mcp").session().list_tools(),
        lambda: (
            mcpvault.HttpConnector("http://127.0.0.1:9/mcp", headers={"X-Key": TOKEN + "\n"}).session().list_tools()
        ),
        lambda: mcpvault.MCPClient(
            {"mcpServers": {"a": {"url": "https://h/m", "authToken": TOKEN, "auth_token": "b"}}}
        ),
    ],
    ids=["refused", "plain-http", "control-character", "both-spellings"],
)
def test_a_failure_before_sending_holds_nothing(fail: Callable[[], object]) -> None:
    """Refusals of ours are as clean as failures of the network."""
    with pytest.raises(McpVaultError) as caught:
        fail()

    assert [] == findings(caught.value, TOKEN)


@pytest.mark.parametrize(
    "file",
    [
        '{"mcpServers": {"a": {"url": "https://h/m", "authToken": "%s", "timeout": ' + "9" * 5000 + "}}}",
        '{"mcpServers": {"a": {"url": "https://h/m", "authToken": "%s", "x": ' + "[" * 100_000 + "}}}",
        '{"mcpServers": {"a": {"url": "https://h/m", "authToken": "%s"',
        '{"mcpServers": {"a": {"url": "https://h/m", "authToken": "%s\udcff"}}}',
        '["%s"]',
        '"%s"',
    ],
    ids=["long-number", "deep", "cut-off", "not-utf8", "list", "text"],
)
def test_a_file_that_cannot_be_used_holds_nothing(tmp_path: Path, file: str) -> None:
    """Whatever is wrong with a JSON file of servers, the refusal names the file and carries none of its text."""
    path = tmp_path / "servers.json"
    path.write_text(file.replace("%s", TOKEN), "utf-8", "surrogateescape")

    with pytest.raises(
        ConfigurationError, match=r"servers\.json: (is not|is nested|holds a number|expected)"
    ) as caught:
        mcpvault.MCPClient(path)

    assert [] == findings(caught.value, TOKEN)
