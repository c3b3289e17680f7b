"""``mcpvault stdio`` under clients that nobody here wrote: the MCP SDK 1.x and 2.x, and the MCP inspector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.peer

HERE = Path(__file__).parent
TOKEN = "sesame-0123456789abcdef"
BRIDGE = [sys.executable, "-m", "mcpvault", "stdio", "peer"]


@pytest.fixture
def bridged(mcpvault: Callable[..., Any], bearer_server: tuple[str, str]) -> None:
    """A vault whose entry ``peer`` is an SDK server that demands a bearer token."""
    mcpvault("init")
    mcpvault("add", "peer", bearer_server[1], "--bearer-stdin", stdin=TOKEN + "\n")


def run(words: list[str]) -> Any:
    """Run a client and return the JSON that it prints."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))
    assert (0, "") == (done.returncode, done.stderr if done.returncode else ""), done.stdout
    return json.loads(done.stdout)


@pytest.mark.parametrize("sdk", ["mcp1", "mcp2"])
def test_the_sdk_sees_the_server(bridged: None, peer_path: Callable[[str], str], sdk: str) -> None:
    """Its stdio client, with no secret anywhere in its configuration, gets what the server behind the vault says."""
    told = run([peer_path(f"{sdk}/bin/python"), str(HERE / "servers/sdk_client.py"), *BRIDGE])

    assert {
        "server": told["server"],
        "tools": ["add", "echo", "fail", "weather"],
        "echo": "peer says: grüß dich",
        "add": "42",
        "resource": "grüß dich",
        "prompts": ["greet"],
    } == told


def test_the_inspector_sees_the_server(
    bridged: None, bearer_server: tuple[str, str], peer_path: Callable[[str], str]
) -> None:
    """``inspector --cli`` lists the tools of a legacy server through it, and calls one of a modern server."""
    node = peer_path("node/node_modules/node/bin/node")
    inspector = [node, peer_path("inspector/node_modules/.bin/mcp-inspector"), "--cli", *BRIDGE, "--method"]

    if bearer_server[0] == "mcp1":
        names = {tool["name"] for tool in run([*inspector, "tools/list"])["tools"]}
        assert {"add", "echo", "fail", "weather"} == names
    else:
        called = run([*inspector, "tools/call", "--tool-name", "add", "--tool-arg", "a=2", "--tool-arg", "b=40"])
        assert "42" == called["content"][0]["text"]
