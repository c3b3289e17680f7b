"""Headers that mirror arguments, tools that cannot be called, and a server that has changed its mind."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mcpvault import Session
from mcpvault.errors import RemoteProtocolError, RpcError
from mcpvault.testing import FakeMcpServer
from mcpvault.testing.interactive import MIRRORED

Talk = Callable[..., tuple[FakeMcpServer, Session]]
ARGUMENTS = {"region": "grüß", "where": {"rack": 7}, "dry": True, "other": 1}


def headers(server: FakeMcpServer) -> list[dict[str, str]]:
    """Return the mirrored headers of each call."""
    return [
        {name: value for name, value in request.headers.items() if name.startswith("mcp-param-")}
        for request in server.called("tools/call")
    ]


def invalid(name: str = "broken") -> dict[str, Any]:
    """Return a tool with an annotation that is not allowed."""
    return {"name": name, "inputSchema": {"properties": {"n": {"type": "number", "x-mcp-header": "N"}}}}


def test_listed_tools_are_mirrored(talk: Talk) -> None:
    """After the list a call carries its headers at once; null and absent arguments have none."""
    server, session = talk()
    session.list_tools()

    assert ARGUMENTS == json.loads(session.call_tool("mirrored", ARGUMENTS).text())
    session.call_tool("mirrored", {"region": None, "dry": False})
    session.call_tool("echo", {"message": "x"})

    region = "=?base64?Z3LDvMOf?="
    assert [{"mcp-param-region": region, "mcp-param-rack": "7", "mcp-param-dry": "true"}, {"mcp-param-dry": "false"}, {}] == headers(server)  # fmt: skip  # noqa: E501


def test_a_blind_call_is_mended(talk: Talk) -> None:
    """A call without a list meets -32020; the tools are listed and the call goes out once more."""
    server, session = talk(page_size=5)

    assert ARGUMENTS == json.loads(session.call_tool("mirrored", ARGUMENTS).text())

    assert [0, 3] == [len(each) for each in headers(server)]
    ids = [request.message["id"] for request in server.called("tools/call")]
    assert 2 == len({*ids})


def test_a_changed_schema_is_learnt(talk: Talk) -> None:
    """A server that annotates another argument later is asked again, once."""
    server, session = talk()
    session.list_tools()
    changed = copy.deepcopy(MIRRORED)
    changed["inputSchema"]["properties"]["region"]["x-mcp-header"] = "Area"
    server.offer.tools[server.offer.tools.index(MIRRORED)] = changed

    session.call_tool("mirrored", {"region": "eu"})

    assert [{"mcp-param-region": "eu"}, {"mcp-param-area": "eu"}] == headers(server)


def annotate(server: FakeMcpServer, name: str) -> None:
    """Let the server mirror the region into another header, or into none."""
    at = next(i for i, tool in enumerate(server.offer.tools) if tool["name"] == "mirrored")
    changed = copy.deepcopy(MIRRORED)
    changed["inputSchema"]["properties"]["region"] = {"type": "string", **({"x-mcp-header": name} if name else {})}
    server.offer.tools[at] = changed


def hear(server: FakeMcpServer, session: Session, way: str) -> None:
    """Let the session hear that the tools have changed."""
    assert server.streams is not None
    if way == "authorization":
        session._authorized_anew()
    elif way == "answer":
        server.misbehave("notifies-first", on="prompts/list", times=1)
        session.list_prompts()
    else:
        with session.listen(tools=True, timeout=20) as changes:
            if way == "subscription":
                session.call_tool("touch", {"method": "notifications/tools/list_changed"})
            else:  # the stream breaks off, and what was missed counts as changed
                server.streams.listening[-1][0].end()
            next(changes)


@pytest.mark.parametrize("way", ["answer", "subscription", "broken stream", "authorization"])
def test_a_change_that_was_heard_is_looked_up_before_the_next_call(talk: Talk, way: str) -> None:
    """The next call lists the tools, once, and carries the headers of the new definition and no others."""
    server, session = talk()
    session.list_tools()
    annotate(server, "Area")
    hear(server, session, way)
    server.requests.clear()

    assert ['{"region": "eu"}'] * 2 == [session.call_tool("mirrored", {"region": "eu"}).text() for _ in range(2)]
    assert [{"mcp-param-area": "eu"}] * 2 == headers(server)
    assert 1 == len(server.called("tools/list"))

    annotate(server, "")
    hear(server, session, way)
    session.call_tool("mirrored", {"region": "eu"})
    assert {} == headers(server)[-1]


def test_an_invalid_tool_that_has_become_valid_is_called(talk: Talk) -> None:
    """What was refused by its old definition is looked up when that may have changed; what is still wrong is not."""
    server, session = talk()
    annotate(server, "not a name")
    session.list_tools()
    with pytest.raises(RemoteProtocolError, match="x-mcp-header"):
        session.call_tool("mirrored", {"region": "eu"})
    hear(server, session, "answer")
    with pytest.raises(RemoteProtocolError, match="x-mcp-header"):
        session.call_tool("mirrored", {"region": "eu"})
    assert [] == headers(server)

    annotate(server, "Region")
    hear(server, session, "answer")
    assert {"region": "eu"} == json.loads(session.call_tool("mirrored", {"region": "eu"}).text())
    assert [{"mcp-param-region": "eu"}] == headers(server)


def test_a_change_during_the_list_is_looked_up_once_more(talk: Talk) -> None:
    """A list that was on its way when the tools changed may be of before."""
    server, session = talk()
    server.misbehave("notifies-first", on="tools/list", times=1)
    session.list_tools()
    server.requests.clear()

    session.call_tool("mirrored", {"region": "eu"})
    session.call_tool("mirrored", {"region": "eu"})
    assert 1 == len(server.called("tools/list"))


def test_threads_that_meet_the_same_change_list_once(talk: Talk) -> None:
    """One of many threads looks the tools up, the others wait for it; blind calls of many threads all go through."""
    server, session = talk()

    def call(_: int) -> str:
        return session.call_tool("mirrored", {"region": "eu"}).text()

    with ThreadPoolExecutor(8) as pool:
        assert 8 == len([*pool.map(call, range(8))])
        annotate(server, "Area")
        hear(server, session, "answer")
        server.requests.clear()
        assert 8 == len([*pool.map(call, range(8))])
    assert (1, [{"mcp-param-area": "eu"}] * 8) == (len(server.called("tools/list")), headers(server))


def test_a_refusal_that_headers_do_not_explain_stays(talk: Talk) -> None:
    """Where the list changes nothing the call is not repeated."""
    server, session = talk()
    session.list_tools()
    server.misbehave("rpc-error", on="tools/call", code=-32020)

    with pytest.raises(RpcError) as caught:
        session.call_tool("mirrored", {"region": "eu"})
    assert -32020 == caught.value.code
    assert 1 == len(headers(server))


def test_invalid_tools_are_left_out(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    """A tool with a wrong annotation is not listed and cannot be called; the others can; a warning says why."""
    server, session = talk()
    server.offer.tools.insert(0, invalid())

    names = [tool.name for tool in session.list_tools()]

    assert "broken" not in names
    assert "mirrored" in names
    assert ["server: tool 'broken' is left out: n: only text, integers and booleans can be mirrored"] == [
        record.getMessage() for record in caplog.records
    ]
    with pytest.raises(RemoteProtocolError, match="x-mcp-header"):
        session.call_tool("broken", {"n": 1})
    assert [] == headers(server)


def test_every_page_is_looked_at(talk: Talk) -> None:
    """Tools are dropped and remembered whichever page they are on, and forgotten with the next list."""
    server, session = talk(page_size=4)
    server.offer.tools.append(invalid())

    assert "broken" not in [tool.name for tool in session.list_tools()]
    session.call_tool("mirrored", {"dry": True})
    server.offer.tools[-1] = {"name": "broken", "inputSchema": {"type": "object"}}
    assert "broken" in [tool.name for tool in session.list_tools()]
    assert [{"mcp-param-dry": "true"}] == headers(server)


def test_a_legacy_server_has_no_such_headers(talk: Talk) -> None:
    """The annotation means nothing before 2026-07-28: nothing is mirrored and nothing dropped."""
    server, session = talk("legacy")
    server.offer.tools.append(invalid())

    assert {"mirrored", "broken"} <= {tool.name for tool in session.list_tools()}
    session.call_tool("mirrored", ARGUMENTS)
    assert [{}] == headers(server)
