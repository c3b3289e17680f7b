"""The fake server tells the eras apart, guards its credential, keeps sessions, and misbehaves only when told."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import requests

from mcpvault.testing import FakeMcpServer
from mcpvault.testing.behaviours import BEHAVIOURS

MODERN = {"MCP-Protocol-Version": "2026-07-28"}
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


def modern(server: FakeMcpServer, method: str, **params: Any) -> requests.Response:
    """Send one request as a 2026-07-28 client does."""
    name = {"Mcp-Name": params.get("name") or params.get("uri")} if params.keys() & {"name", "uri"} else {}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
    return requests.post(server.url, json=message, headers={**MODERN, "Mcp-Method": method, **name}, timeout=5)


def legacy(server: FakeMcpServer, method: str, session: str | None = None, **params: Any) -> requests.Response:
    """Send one request as a 2025-11-25 client does."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"Mcp-Session-Id": session} if session else {}
    return requests.post(server.url, json=message, headers=headers, timeout=5)


def test_both_eras_are_answered(fake_mcp_server: FakeMcpServer) -> None:
    """One server discovers for a modern client and initializes for a legacy one."""
    assert ["2026-07-28"] == modern(fake_mcp_server, "server/discover").json()["result"]["supportedVersions"]
    answer = legacy(fake_mcp_server, "initialize", protocolVersion="2025-06-18")
    assert "2025-06-18" == answer.json()["result"]["protocolVersion"]
    assert {answer.headers["Mcp-Session-Id"]} == fake_mcp_server.sessions


def test_a_legacy_server_wants_a_session_first() -> None:
    """A probe meets the refusal that real legacy servers give; an ended session is 404."""
    with FakeMcpServer(era="legacy") as server:
        assert 400 == modern(server, "server/discover").status_code
        session = legacy(server, "initialize").headers["Mcp-Session-Id"]
        assert 200 == legacy(server, "tools/list", session).status_code
        assert 204 == requests.delete(server.url, headers={"Mcp-Session-Id": session}, timeout=5).status_code
        assert 404 == legacy(server, "tools/list", session).status_code


def test_a_modern_server_checks_the_headers() -> None:
    """Header and body must agree, and an unknown revision is refused with the known ones."""
    with FakeMcpServer(era="modern") as server:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
        lying = requests.post(server.url, json=message, headers={**MODERN, "Mcp-Method": "ping"}, timeout=5)
        assert (400, -32020) == (lying.status_code, lying.json()["error"]["code"])
        message["params"] = {"_meta": {next(iter(META)): "2031-01-01"}}
        future = requests.post(server.url, json=message, headers={"MCP-Protocol-Version": "2031-01-01"}, timeout=5)
        assert (400, ["2026-07-28"]) == (future.status_code, future.json()["error"]["data"]["supported"])


def test_credentials_are_demanded() -> None:
    """Without the token or the header the answer is 401, with them it is not."""
    with FakeMcpServer(token="t-0", headers={"X-Api-Key": "k-0"}) as server:
        for headers in ({}, {"Authorization": "Bearer t-0"}, {"X-Api-Key": "k-0"}):
            assert 401 == requests.post(server.url, json={}, headers=headers, timeout=5).status_code
        headers = {"Authorization": "Bearer t-0", "X-Api-Key": "k-0"}
        assert 400 == requests.post(server.url, json=[], headers=headers, timeout=5).status_code
        assert "Bearer t-0" == server.requests[-1].headers["authorization"]


def test_pages_follow_each_other() -> None:
    """With ``page_size`` a list comes in pages that together are the whole."""
    with FakeMcpServer(page_size=4) as server:
        first = modern(server, "tools/list").json()["result"]
        second = modern(server, "tools/list", cursor=first["nextCursor"]).json()["result"]
        names = [tool["name"] for tool in first["tools"] + second["tools"]]
        assert ["echo", "add", "fail", "slow", "structured", "ill-structured"] == names
        assert "nextCursor" not in second


def test_streams_carry_progress_and_the_answer() -> None:
    """With ``sse`` the answer is an event, after the progress that was asked for."""
    with FakeMcpServer(sse=True) as server:
        meta = {**META, "progressToken": "p"}
        message = {"name": "slow", "arguments": {"seconds": 0.01, "steps": 2}, "_meta": meta}
        body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": message}
        headers = {**MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "slow"}
        answer = requests.post(server.url, json=body, headers=headers, timeout=5)
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
        assert [1, 2] == [event["params"]["progress"] for event in events[:-1]]
        assert 7 == events[-1]["id"]


def test_misbehaviour_is_for_some_methods_and_some_times(fake_mcp_server: FakeMcpServer) -> None:
    """A switch concerns the methods that it names, as often as it says."""
    fake_mcp_server.misbehave("bad-gateway", on="tools/list", times=1)

    assert 200 == modern(fake_mcp_server, "prompts/list").status_code
    assert [502, 200] == [modern(fake_mcp_server, "tools/list").status_code for _ in range(2)]


def test_closing_ends_hanging_answers() -> None:
    """``close`` does not wait for an answer that never comes."""
    with FakeMcpServer() as server:
        server.misbehave("hang-mid-body")
        with pytest.raises(requests.exceptions.RequestException):
            requests.post(server.url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, timeout=0.2)


def test_every_misbehaviour_says_what_it_does() -> None:
    """Each entry of the table has a docstring, and names are in kebab case."""
    assert [] == [name for name, one in BEHAVIOURS.items() if not one.__doc__ or "_" in name]


def test_the_plugin_loads_nothing_of_ours() -> None:
    """Pytest loads the plugin at start everywhere: it must not bring the library or http.server with it."""
    code = "import sys, mcpvault.testing.plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {"mcpvault", "mcpvault._version", "mcpvault.testing", "mcpvault.testing.plugin"} >= {
        name for name in done.stdout.split() if name.startswith("mcpvault")
    }


def test_the_stdio_server_answers_both_eras() -> None:
    """The same offer is served over a pipe."""
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}},
        {"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}},
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mcpvault.testing.stdio_server"],
        input="".join(json.dumps(message) + "\n" for message in messages),
        capture_output=True,
        text=True,
        check=True,
    )
    modern_answer, legacy_answer = (json.loads(line)["result"] for line in done.stdout.splitlines())

    assert ["2026-07-28"] == modern_answer["supportedVersions"]
    assert "2025-11-25" == legacy_answer["protocolVersion"]
