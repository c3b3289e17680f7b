"""What a request carries besides its parameters, what is heard before its answer, and how it is given up."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from transports_waiting import eventually

from mcpvault import Callbacks, Session
from mcpvault.errors import RemoteProtocolError, RequestLostError, RpcError, UsageError
from mcpvault.mcp.callbacks import LEVELS, LogMessage
from mcpvault.testing import FakeMcpServer

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
Talk = Callable[..., tuple[FakeMcpServer, Session]]
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1"}
INTERRUPTED = """
import sys
from mcpvault.connectors import HttpConnector
with HttpConnector(sys.argv[1]) as connector:
    session = connector.session()
    session.list_tools()
    print("calling", flush=True)
    try:
        session.call_tool("echo", {"message": "x"})
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    print(session.call_tool("echo", {"message": "still there"}).text(), flush=True)
"""


def metas(server: FakeMcpServer, method: str = "tools/call") -> list[dict[str, Any]]:
    """Return the ``_meta`` of each request of *method*."""
    return [request.message["params"].get("_meta", {}) for request in server.called(method)]


@ERAS
def test_trace_context_goes_along(era: str, talk: Talk) -> None:
    """What ``trace`` returns of W3C's names stands in ``_meta``, asked for with each request; the rest does not."""
    made: list[int] = []

    def trace() -> dict[str, str]:
        made.append(1)
        return {**TRACE, "elsewhere": "x"}

    server, session = talk(era, Callbacks(trace=trace))
    session.call_tool("echo", {"message": "x"})
    session.call_tool("echo", {"message": "y"}, meta={"com.example/job": 7})

    found = [
        {key: value for key, value in meta.items() if not key.startswith("io.modelcontextprotocol/")}
        for meta in metas(server)
    ]
    assert [TRACE, {**TRACE, "com.example/job": 7}] == found
    assert len(made) >= 2


@pytest.mark.parametrize("key", ["io.modelcontextprotocol/protocolVersion", "progressToken"])
def test_the_protocol_s_own_keys_are_not_a_caller_s(key: str, talk: Talk) -> None:
    """A call that would say another version or token is refused before it is sent."""
    server, session = talk()

    with pytest.raises(UsageError, match="the protocol's own"):
        session.call_tool("echo", {"message": "x"}, meta={key: "x"})
    assert [] == server.called("tools/call")


@ERAS
def test_logs_are_heard_from_the_level_that_is_wanted(era: str, talk: Talk) -> None:
    """The level is set once at a legacy server and stands in each modern request; it can be changed."""
    heard: list[LogMessage] = []
    server, session = talk(era, Callbacks(on_log=heard.append, log_level="error"))
    session.call_tool("log")
    assert [*LEVELS[4:]] == [message.level for message in heard]
    heard.clear()
    session.set_log_level("emergency")
    session.call_tool("log")

    assert [LogMessage("emergency", "emergency")] == heard
    told = [each.message["params"]["level"] for each in server.called("logging/setLevel")]
    assert (["error", "emergency"] if era == "legacy" else []) == told


@ERAS
def test_nobody_who_listens_asks_for_logs(era: str, talk: Talk) -> None:
    """Without ``on_log`` no level is named."""
    server, session = talk(era)
    session.call_tool("log")

    assert [] == [key for meta in metas(server) for key in meta if key.endswith("logLevel")]
    assert [] == server.called("logging/setLevel")


@ERAS
def test_progress_reaches_its_own_call(era: str, fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """Each call has a token of its own; without a callback none is sent."""
    from mcpvault.connectors import HttpConnector

    server = fake_mcp_servers(era=era, sse=True)
    with HttpConnector(server.url) as connector:
        session = connector.session()
        steps: list[list[float]] = [[], []]
        for number in (0, 1):
            arguments = {"seconds": 0.02, "steps": 2 + number}
            session.call_tool("slow", arguments, on_progress=lambda said, n=number: steps[n].append(said["progress"]))
        session.call_tool("slow", {"seconds": 0.01, "steps": 1})

    assert [[1, 2], [1, 2, 3]] == steps
    tokens = [meta.get("progressToken") for meta in metas(server)]
    assert 3 == len({*tokens})
    assert None is tokens[2]


@ERAS
@pytest.mark.parametrize("how", ["close-before-answer", "close-mid-answer", "stream-without-answer"])
def test_a_call_is_repeated_where_the_caller_says_so(era: str, how: str, talk: Talk) -> None:
    """``retry="safe"`` asks again, under a new id, what a broken stream has lost; by default nothing is repeated."""
    server, session = talk(era)
    session.list_tools()
    server.misbehave(how, on="tools/call", times=1)
    assert "x" == session.call_tool("echo", {"message": "x"}, retry="safe").text()
    ids = [request.message["id"] for request in server.called("tools/call")]
    assert 2 == len(ids) == len({*ids})
    server.misbehave(how, on="tools/call", times=1)

    with pytest.raises(RequestLostError):
        session.call_tool("echo", {"message": "x"})
    assert 3 == len(server.called("tools/call"))


@ERAS
def test_reads_are_repeated(era: str, talk: Talk) -> None:
    """What changes nothing is asked again by itself, once, under a new id."""
    server, session = talk(era)
    session.list_tools()
    for method, read in (
        ("tools/list", session.list_tools),
        ("resources/read", lambda: session.read_resource("fake://text/greeting")),
        ("prompts/get", lambda: session.get_prompt("plain").messages),
    ):
        server.misbehave("stream-without-answer", on=method, times=1)
        before = len(server.called(method))
        assert read()
        ids = [request.message["id"] for request in server.called(method)[before:]]
        assert 2 == len(ids) == len({*ids})


def test_arguments_are_checked_before_the_call(talk: Talk) -> None:
    """``validate=True`` names the field, and nothing is sent; what fits is."""
    server, session = talk()
    server.offer.tools[0] = {
        **server.offer.tools[0],
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "who": {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}
            },
            "properties": {"message": {"type": "string"}, "who": {"$ref": "#/$defs/who"}},
            "required": ["message"],
            "additionalProperties": False,
            "patternProperties": {"^x-": True},
        },
    }
    with pytest.raises(UsageError, match=r"tool 'echo': arguments: who\.age: breaks the rule 'minimum'") as caught:
        session.call_tool("echo", {"message": "x", "who": {"age": -1}}, validate=True)
    assert "run: mcpvault tools server echo" == caught.value.hint
    for arguments, said in (
        ({}, "message: is missing"),
        ({"message": "x", "who": {}}, r"who\.age: is missing"),
        ({"message": "x", "x-own": 1, "mesage": "x"}, "mesage: is not allowed"),
    ):
        with pytest.raises(UsageError, match=rf"arguments: {said}(\n|$)"):
            session.call_tool("echo", arguments, validate=True)
    assert [] == server.called("tools/call")
    assert "x" == session.call_tool("echo", {"message": "x", "who": {"age": 1}}, validate=True).text()


@pytest.mark.parametrize(
    "rule",
    [{"pattern": "^x(-[a-z]+)*$"}, {"type": "string", "$id": "urn:x"}, {"allOf": [{"minLength": 1}] * 600}],
    ids=["pattern", "id", "large"],
)
def test_what_may_take_long_is_checked_all_the_same(rule: dict[str, Any], talk: Talk) -> None:
    """A pattern, a name of its own, or many rules: such a schema is judged in another process, with the same words."""
    server, session = talk()
    schema = {"properties": {"message": rule, "n": {"type": "integer"}}}
    server.offer.tools[0] = {**server.offer.tools[0], "inputSchema": schema}

    assert "x-y" == session.call_tool("echo", {"message": "x-y"}, validate=True).text()
    with pytest.raises(UsageError, match="tool 'echo': arguments: n: breaks the rule 'type'"):
        session.call_tool("echo", {"message": "x-y", "n": "one"}, validate=True)


def test_a_schema_that_has_changed_refuses_nothing(talk: Talk) -> None:
    """What is known of a tool is forgotten when its list changes, and looked up anew before a call is refused."""
    server, session = talk()
    old = server.offer.tools[0]
    server.offer.tools[0] = {**old, "inputSchema": {"type": "object", "required": ["more"]}}
    session.list_tools()
    server.offer.tools[0] = old
    assert "x" == session.call_tool("echo", {"message": "x"}, validate=True).text()
    server.offer.tools[0] = {**old, "inputSchema": {"type": "object", "required": ["more"]}}
    assert "x" == session.call_tool("echo", {"message": "x"}, validate=True).text()

    with session.listen(tools=True, timeout=20) as changes:
        session.call_tool("touch", {"method": "notifications/tools/list_changed"})
        next(changes)
    with pytest.raises(UsageError, match="more: is missing"):
        session.call_tool("echo", {"message": "x"}, validate=True)


def test_a_schema_s_references_are_not_fetched(talk: Talk) -> None:
    """A ``$ref`` that leads outside is an error of its own, whatever would be there; the schema stays as it came."""
    server, session = talk()
    schema = {"type": "object", "properties": {"message": {"$ref": server.url}}, "x-own": [1, {"$anchor": "a"}]}
    server.offer.tools[0] = {**server.offer.tools[0], "inputSchema": schema}

    with pytest.raises(UsageError, match="refers to something outside itself, which is not fetched"):
        session.call_tool("echo", {"message": "x"}, validate=True)
    assert schema == session.list_tools()[0].input_schema
    assert [] == [request for request in server.requests if request.method == "GET"]


def test_a_dialect_that_is_not_known_is_not_guessed(talk: Talk) -> None:
    """A schema of another dialect is an error that names it; an older draft that is known is used."""
    server, session = talk()
    for dialect, fault in (("https://example.com/own", "'https://example.com/own'"), (7, "'7'")):
        server.offer.tools[0] = {**server.offer.tools[0], "inputSchema": {"$schema": dialect, "type": "object"}}
        session.list_tools()
        with pytest.raises(UsageError, match=f"a dialect that is not supported: {fault}"):
            session.call_tool("echo", {"message": "x"}, validate=True)
    older = {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"message": {"type": "string"}}}
    server.offer.tools[0] = {**server.offer.tools[0], "inputSchema": older}
    session.list_tools()

    assert "x" == session.call_tool("echo", {"message": "x"}, validate=True).text()


def test_structured_content_is_checked(talk: Talk) -> None:
    """On request an answer that breaks the tool's ``outputSchema`` is the server's error."""
    _, session = talk()
    session.call_tool("ill-structured")

    with pytest.raises(RemoteProtocolError, match="structured content: celsius: breaks the rule 'type'"):
        session.call_tool("ill-structured", validate=True)


def test_what_the_server_misses_is_said(talk: Talk) -> None:
    """``-32021`` comes out typed, with the capabilities that the server requires."""
    server, session = talk()
    required = {"requiredCapabilities": {"sampling": {}}}
    server.misbehave("rpc-error", on="tools/call", code=-32021, data=required)

    with pytest.raises(RpcError) as caught:
        session.call_tool("echo", {"message": "x"})
    assert (-32021, required) == (caught.value.code, caught.value.data)


@ERAS
@pytest.mark.parametrize("when", ["hang-before-headers", "hang-mid-event"])
def test_ctrl_c_cancels_on_the_server_too(era: str, when: str, talk: Talk) -> None:
    """The caller's KeyboardInterrupt comes through, a legacy server is told, and the session can be used again."""
    server, session = talk(era)
    session.close()
    server.misbehave(when, on="tools/call", times=1)
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED, server.url], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert "calling\n" == child.stdout.readline()
            eventually(lambda: server.called("tools/call"))
            child.send_signal(signal.SIGINT)
            assert ["interrupted\n", "still there\n"] == child.stdout.readlines()
        finally:
            child.kill()
    first = server.called("tools/call")[0].message["id"]
    told = [each.message["params"]["requestId"] for each in server.called("notifications/cancelled")]
    assert ([first] if era == "legacy" else []) == told
