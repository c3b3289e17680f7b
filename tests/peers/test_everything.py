"""End to end against npm's server-everything: over Streamable HTTP, over stdio, and from a vault by the command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcpvault.connect import Vault
from mcpvault.connectors import HttpConnector, StdioConnector
from mcpvault.errors import RpcError, ServerError

pytestmark = pytest.mark.peer

TOOLS = {
    *("echo", "get-annotated-message", "get-env", "get-resource-links", "get-resource-reference", "get-sum"),
    *("get-structured-content", "get-tiny-image", "gzip-file-as-resource", "toggle-simulated-logging"),
    *("toggle-subscriber-updates", "trigger-long-running-operation", "simulate-research-query"),
}
DOCUMENTS = {"architecture", "extension", "features", "how-it-works", "instructions", "startup", "structure"}
PROMPTS = {"simple-prompt", "args-prompt", "completable-prompt", "resource-prompt"}
STATIC = "demo://resource/static/document"


@pytest.fixture(params=["http", "stdio"])
def session(request: pytest.FixtureRequest, everything_stdio: list[str]) -> Iterator[Any]:
    """Give a session with server-everything over each transport."""
    if request.param == "http":
        connector: Any = HttpConnector(request.getfixturevalue("everything_http"))
    else:
        connector = StdioConnector(everything_stdio[0], everything_stdio[1:])
    with connector.session() as session:
        yield session


def test_tools_are_listed(session: Any) -> None:
    """All thirteen tools arrive, each with its schema."""
    tools = session.list_tools()

    assert {tool.name for tool in tools} == TOOLS
    echo = next(tool for tool in tools if tool.name == "echo")
    assert echo.input_schema["properties"]["message"]["type"] == "string"


def test_the_legacy_era_is_negotiated(session: Any) -> None:
    """The server speaks 2025-11-25, and says who it is."""
    session.list_tools()

    assert session.protocol_version == "2025-11-25"
    assert session.server_info["name"] == "mcp-servers/everything"


def test_echo_comes_back_unchanged(session: Any) -> None:
    """Text beyond ASCII survives the way there and back."""
    message = 'grüß dich \N{WAVING HAND SIGN} \u2028 "quoted" \\ ${HOME} \x7f'

    assert session.call_tool("echo", {"message": message}).text() == f"Echo: {message}"


def test_numbers_are_added(session: Any) -> None:
    """Arguments keep their type."""
    assert session.call_tool("get-sum", {"a": 2, "b": 40}).text() == "The sum of 2 and 40 is 42."


def test_structured_content_is_valid(session: Any) -> None:
    """Structured content equals its text form and fits the tool's own schema."""
    result = session.call_tool("get-structured-content", {"location": "Chicago"}, validate=True)

    expected = {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}
    assert result.structured_content == expected
    assert json.loads(result.text()) == expected


def test_progress_is_told(session: Any) -> None:
    """Each step of a long tool reaches the callback before the answer."""
    told: list[Any] = []

    result = session.call_tool("trigger-long-running-operation", {"duration": 0.4, "steps": 2}, on_progress=told.append)

    assert result.text() == "Long running operation completed. Duration: 0.4 seconds, Steps: 2."
    assert [(step["progress"], step["total"]) for step in told] == [(1, 2), (2, 2)]


def test_a_failing_tool_is_told_apart(session: Any) -> None:
    """Arguments that break the schema are the server's error, not an answer."""
    try:
        result = session.call_tool("get-sum", {"a": "two"})
    except ServerError as error:
        assert error.exit_code == 5
    else:
        assert result.is_error


def test_resources_are_read(session: Any, everything_stdio: list[str]) -> None:
    """Every listed document has the contents of its file."""
    folder = Path(everything_stdio[1]).parent / "docs"
    listed = {resource.uri for resource in session.list_resources()}

    assert listed == {f"{STATIC}/{name}.md" for name in DOCUMENTS}
    for uri in sorted(listed):
        (contents,) = session.read_resource(uri)
        assert contents.text == (folder / uri.rpartition("/")[2]).read_text("utf-8")


def test_templates_are_filled_in(session: Any) -> None:
    """A template's resource answers under its own URI."""
    templates = {template.uri_template for template in session.list_resource_templates()}
    (contents,) = session.read_resource("demo://resource/dynamic/text/7")

    assert templates == {f"demo://resource/dynamic/{kind}/{{resourceId}}" for kind in ("text", "blob")}
    assert contents.text.startswith("Resource 7: This is a plaintext resource")


def test_an_unknown_resource_is_an_error(session: Any) -> None:
    """The server's JSON-RPC error comes out typed, with its code."""
    with pytest.raises(RpcError) as caught:
        session.read_resource("demo://nowhere")

    assert caught.value.code in (-32602, -32002)


def test_prompts_are_got(session: Any) -> None:
    """Prompts are listed, and a prompt's arguments reach its messages."""
    prompts = {prompt.name for prompt in session.list_prompts()}
    (message,) = session.get_prompt("args-prompt", {"city": "Bonn"}).messages

    assert prompts == PROMPTS
    expected = {"role": "user", "content": {"type": "text", "text": "What's weather in Bonn?"}}
    assert message.raw == expected


def test_a_stdio_server_sees_only_its_own_environment(
    everything_stdio: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The child gets the short list and what the entry names: no key, no credentials folder, nothing of the parent."""
    for name in ("MCPVAULT_KEY", "MCPVAULT_KEY_FILE", "MCPVAULT_KEY_FD", "MCPVAULT_FILE", "PARENTS_SECRET"):
        monkeypatch.setenv(name, "not-for-children")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    with StdioConnector(everything_stdio[0], everything_stdio[1:], env={"FOR_CHILD": "yes"}).session() as session:
        seen = json.loads(session.call_tool("get-env").text())

    assert seen["FOR_CHILD"] == "yes"
    assert "not-for-children" not in seen.values()
    short_list = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TZ", "TMPDIR", "FOR_CHILD"}
    assert {name for name in seen if name not in short_list and not name.startswith("LC_")} == set()


def test_from_a_vault(
    mcpvault: Callable[..., Any], everything_http: str, everything_stdio: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """init, add, list, call: the command and the library read the same values from both transports."""
    mcpvault("init")
    mcpvault("add", "web", everything_http)
    mcpvault("add", "pipe", "--", *everything_stdio)

    for name in ("web", "pipe"):
        listed = json.loads(mcpvault("tools", name, "--json").stdout)
        tools = listed["tools"] if isinstance(listed, dict) else listed
        assert {tool["name"] for tool in tools} == TOOLS
        assert "The sum of 2 and 40 is 42." in mcpvault("call", name, "get-sum", "-a", "a=2", "-a", "b=40").stdout
        with Vault.open(env=os.environ) as vault, vault.session(name) as session:
            assert session.call_tool("echo", {"message": name}).text() == f"Echo: {name}"
