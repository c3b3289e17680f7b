"""End to end against servers that demand a bearer token: the mcp SDK 2.x (2026-07-28) and 1.x (2025-11-25)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mcpvault.client import MCPClient
from mcpvault.connect import Vault
from mcpvault.connectors import HttpConnector
from mcpvault.errors import CredentialRejectedError, McpVaultError, ServerError

pytestmark = pytest.mark.peer

TOKEN = "sesame-0123456789abcdef"
VERSION = {"mcp2": "2026-07-28", "mcp1": "2025-11-25"}


@pytest.fixture
def session(bearer_server: tuple[str, str]) -> Iterator[Any]:
    """Give a session with the right token."""
    with HttpConnector(bearer_server[1], auth_token=TOKEN).session() as session:
        yield session


def test_the_era_is_found(bearer_server: tuple[str, str], session: Any) -> None:
    """The 2.x server is spoken to in 2026-07-28, the 1.x server in 2025-11-25."""
    session.list_tools()

    assert session.protocol_version == VERSION[bearer_server[0]]


def test_tools_are_listed_and_called(session: Any) -> None:
    """Names, text, sum and structured content come back as the server made them."""
    assert {tool.name for tool in session.list_tools()} == {"echo", "add", "weather", "fail"}
    assert session.call_tool("echo", {"message": "grüß dich"}).text() == "peer says: grüß dich"
    assert session.call_tool("add", {"a": 2, "b": 40}).text() == "42"
    weather = session.call_tool("weather", {"city": "Bonn"}, validate=True)
    assert weather.structured_content == {"city": "Bonn", "celsius": 21.5}


def test_failure_is_exposed(session: Any) -> None:
    """A tool that fails gives a result with ``is_error``; an unknown tool never looks like success."""
    assert session.call_tool("fail").is_error
    try:
        assert session.call_tool("nope").is_error
    except ServerError as error:
        assert error.exit_code == 5


def test_resources_and_prompts_are_read(session: Any) -> None:
    """Resource, template and prompt carry the server's words."""
    assert [resource.uri for resource in session.list_resources()] == ["peer://greeting"]
    assert session.read_resource("peer://greeting")[0].text == "grüß dich"
    assert [one.uri_template for one in session.list_resource_templates()] == ["peer://number/{n}"]
    assert session.read_resource("peer://number/7")[0].text == "number 7"
    assert [prompt.name for prompt in session.list_prompts()] == ["greet"]
    message = session.get_prompt("greet", {"who": "Ada"}).messages[0].raw
    assert message == {"role": "user", "content": {"type": "text", "text": "greet Ada"}}


@pytest.mark.parametrize("token", ["wrong-token-0123456789", None], ids=["wrong", "none"])
def test_a_rejected_credential_needs_a_human(bearer_server: tuple[str, str], token: str | None) -> None:
    """401 is exit 3, whatever the era, and the token is not in the error."""
    with pytest.raises(McpVaultError) as caught, HttpConnector(bearer_server[1], auth_token=token).session() as session:
        session.list_tools()

    assert caught.value.exit_code == 3
    assert "wrong-token" not in f"{caught.value} {caught.value.hint}"
    if token:
        assert isinstance(caught.value, CredentialRejectedError)


def test_mcp_use_shape(bearer_server: tuple[str, str]) -> None:
    """MCPClient takes mcp-use's shape, with either spelling of the token."""
    for spelling in ("authToken", "auth_token"):
        client = MCPClient({"mcpServers": {"peer": {"url": bearer_server[1], spelling: TOKEN}}})
        try:
            assert client.session("peer").call_tool("add", {"a": 1, "b": 2}).text() == "3"
        finally:
            client.close_all()


def test_from_a_vault(
    mcpvault: Callable[..., Any], bearer_server: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sealed token opens the server for the command, for a session and for the era remembered in between."""
    mcpvault("init")
    mcpvault("add", "peer", bearer_server[1], "--bearer-stdin", stdin=TOKEN + "\n")

    for _ in range(2):
        assert "42" in mcpvault("call", "peer", "add", json.dumps({"a": 2, "b": 40})).stdout
    with Vault.open(env=os.environ) as vault, vault.session("peer") as session:
        assert session.call_tool("echo", {"message": "hi"}).text() == "peer says: hi"
        assert session.protocol_version == VERSION[bearer_server[0]]

    mcpvault("set", "peer", "auth.token", "--stdin", stdin="wrong-token-0123456789\n")
    refused = mcpvault("call", "peer", "add", "-a", "a=2", "-a", "b=40", code=3)
    assert "wrong-token" not in refused.stdout + refused.stderr
    assert "mcpvault: hint:" in refused.stderr
