"""End to end over stdio against servers on the mcp SDK 2.x and 1.x and on fastmcp."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcpvault import Callbacks, Session
from mcpvault.connectors import StdioConnector
from mcpvault.transports.stdio import StdioTransport

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("bearer")]

SERVER = str(Path(__file__).with_name("servers") / "stdio_server.py")


@pytest.fixture(scope="module", params=["mcp2", "mcp1", "fastmcp"])
def sdk(request: pytest.FixtureRequest) -> str:
    """Name the SDK."""
    return str(request.param)


@pytest.fixture(scope="module")
def session(sdk: str, peer_path: Callable[[str], str]) -> Iterator[Any]:
    """Give a session with somebody to ask."""
    callbacks = Callbacks(on_elicitation=lambda form: form.accept({"name": "Ada"}))
    with StdioConnector(peer_path(f"{sdk}/bin/python"), [SERVER], timeout=60) as connector:
        yield connector.session(callbacks)


def test_values_come_back(session: Any) -> None:
    """Tools, a resource and a prompt say what the server made of them."""
    assert {"echo", "count", "meet"} == {tool.name for tool in session.list_tools()}
    assert "peer says: grüß \u2028 dich" == session.call_tool("echo", {"message": "grüß \u2028 dich"}).text()
    assert "grüß dich" == session.read_resource("peer://greeting")[0].text
    assert "greet Ada" == session.get_prompt("greet", {"who": "Ada"}).messages[0].content.text


def test_the_newest_era_is_found(session: Any, sdk: str) -> None:
    """The 1.x SDK is spoken to in 2025-11-25, the others in 2026-07-28."""
    session.list_tools()

    assert ("2025-11-25" if sdk == "mcp1" else "2026-07-28") == session.protocol_version


def test_the_legacy_era_is_spoken_to_each(sdk: str, peer_path: Callable[[str], str]) -> None:
    """In 2025-11-25 each of them asks in the middle of a call, and gets the form filled in, with its default."""
    transport = StdioTransport(peer_path(f"{sdk}/bin/python"), [SERVER], env=os.environ, server="peer", era="legacy")
    callbacks = Callbacks(on_elicitation=lambda form: form.accept({"name": "Ada"}))
    with Session(transport, name="peer", timeout=60, callbacks=callbacks) as session:
        assert "peer says: hi" == session.call_tool("echo", {"message": "hi"}).text()
        assert "accept: Ada, 7" == session.call_tool("meet").text()
        assert "2025-11-25" == session.protocol_version


def test_progress_is_told(session: Any) -> None:
    """Every step reaches the callback before the answer."""
    told: list[Any] = []

    assert "counted to 3" == session.call_tool("count", {"steps": 3}, on_progress=told.append).text()
    assert [(1, 3), (2, 3), (3, 3)] == [(step["progress"], step["total"]) for step in told]


def test_stderr_is_at_hand(session: Any) -> None:
    """What the server prints to stderr can be read."""
    session.call_tool("echo", {"message": "x"})
    session.list_tools()

    assert "echoing" in session.stderr_tail
