"""What goes over the wire in each era, how the era is found out, and what is remembered of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from transports_waiting import Verdicts

from mcpvault import Callbacks, Session
from mcpvault._version import VERSION
from mcpvault.connectors import HttpConnector
from mcpvault.errors import (
    CredentialRejectedError,
    DeadlineExceededError,
    ForbiddenError,
    RemoteProtocolError,
    RpcError,
    ServerUnavailableError,
    UnsupportedVersionError,
)
from mcpvault.testing import FakeMcpServer

Start = Callable[..., FakeMcpServer]
Speak = Callable[..., Session]
Talk = Callable[..., tuple[FakeMcpServer, Session]]
MODERN, LEGACY = "2026-07-28", "2025-11-25"
META = "io.modelcontextprotocol/"
REMOVED = {"initialize", "notifications/initialized", "ping", "logging/setLevel", "resources/subscribe"}


def asked(server: FakeMcpServer) -> list[str]:
    """Return the methods of all requests, HTTP's where there is no message."""
    return [request.rpc_method or request.method for request in server.requests]


def use(session: Session) -> None:
    """Do a bit of everything."""
    session.list_tools()
    session.call_tool("echo", {"message": "x"})
    session.read_resource("fake://text/greeting")
    session.get_prompt("greet", {"who": "Ada"})
    session.complete("who", "A", prompt="greet")
    session.discover()
    session.ping()


def test_a_modern_request_stands_alone(talk: Talk) -> None:
    """One POST a message; headers mirror the body; ids are fresh; nothing of what was removed."""
    server, session = talk("modern", Callbacks(on_log=print))
    use(session)
    session.set_log_level("error")
    session.close()

    assert {"POST"} == {request.method for request in server.requests}
    assert set() == REMOVED & {*asked(server)}
    assert len(server.requests) == len({request.message["id"] for request in server.requests})
    for request in server.requests:
        message, headers = request.message, request.headers
        meta = message["params"]["_meta"]
        assert {"application/json", "text/event-stream"} == {*headers["accept"].split(", ")}
        assert "application/json" == headers["content-type"]
        assert MODERN == headers["mcp-protocol-version"] == meta[META + "protocolVersion"]
        assert message["method"] == headers["mcp-method"]
        assert {"name": "mcpvault", "version": VERSION} == meta[META + "clientInfo"]
        assert {} == meta[META + "clientCapabilities"]
        assert set() == {"mcp-session-id", "last-event-id"} & headers.keys()
        name = message["params"].get("name") or message["params"].get("uri")
        assert headers.get("mcp-name") == name


def test_a_legacy_session_has_its_order(talk: Talk) -> None:
    """``initialize`` first and alone, then the notification, then all with session id and version."""
    server, session = talk("legacy")
    use(session)
    session.close()

    probe, first, second, *rest, last = server.requests
    assert ("server/discover", "initialize", "notifications/initialized", "DELETE") == (
        *(each.rpc_method for each in (probe, first, second)),
        last.method,
    )
    assert LEGACY == first.message["params"]["protocolVersion"]
    assert set() == {"mcp-session-id", "mcp-protocol-version"} & first.headers.keys()
    assert 1 == len({each.headers["mcp-session-id"] for each in (second, *rest, last)})
    assert {LEGACY} == {each.headers["mcp-protocol-version"] for each in (second, *rest, last)}
    assert "ping" in asked(server)


@pytest.mark.parametrize(("era", "version"), [("modern", MODERN), ("legacy", LEGACY), ("both", MODERN)])
def test_the_era_is_found_out_once(era: str, version: str, fake_mcp_servers: Start, speak: Speak) -> None:
    """A probe decides, the newer one is preferred; the next run remembers and does not probe."""
    server, verdicts = fake_mcp_servers(era=era), Verdicts()
    session = speak(server, verdicts)
    session.list_tools()
    assert version == session.protocol_version
    assert [{"both": "modern"}.get(era, era)] == [*verdicts.values()]
    server.requests.clear()
    speak(server, verdicts).list_tools()

    assert "server/discover" not in asked(server)


@pytest.mark.parametrize("now", ["modern", "legacy"])
def test_a_memory_that_is_wrong_is_mended(now: str, fake_mcp_servers: Start, speak: Speak) -> None:
    """The server was replaced by one of the other era: the call goes through, and the memory is right again."""
    server = fake_mcp_servers(era=now)
    verdicts = Verdicts({server.url: "legacy" if now == "modern" else "modern"})

    assert "x" == speak(server, verdicts).call_tool("echo", {"message": "x"}).text()
    assert {server.url: now} == verdicts


@pytest.mark.parametrize(
    ("code", "times"),
    [
        *((code, 1) for code in (-32000, -32001, -32019, -32600, -32602)),
        *((code, 2) for code in (-32601, -32022)),
    ],
)
def test_a_call_that_may_have_been_carried_out_is_not_repeated(
    code: int, times: int, fake_mcp_servers: Start, speak: Speak
) -> None:
    """Its error mends the memory and is raised; only what was refused unseen is called again, in the right era."""
    server = fake_mcp_servers(era="legacy")
    server.misbehave("rpc-error", on="tools/call", times=1, code=code)
    verdicts = Verdicts({server.url: "modern"})
    session = speak(server, verdicts)
    with pytest.raises(RpcError) if times == 1 else nullcontext() as caught:
        session.call_tool("echo", {"message": "x"})

    assert (times, {server.url: "legacy"}) == (len(server.called("tools/call")), verdicts)
    assert caught is None or code == caught.value.code
    assert "y" == session.call_tool("echo", {"message": "y"}).text()


def test_a_read_is_asked_for_again_in_the_right_era(fake_mcp_servers: Start, speak: Speak) -> None:
    """Reading twice is the same as once: whatever the error was, the read goes through."""
    server = fake_mcp_servers(era="legacy")
    server.misbehave("rpc-error", on="tools/list", times=1, code=-32000)

    assert speak(server, Verdicts({server.url: "modern"})).list_tools()
    assert 2 == len(server.called("tools/list"))


def test_a_memory_that_was_right_repeats_nothing(fake_mcp_servers: Start, speak: Speak) -> None:
    """The probe shows the era that was remembered: the error was the server's own, and is told."""
    for era in ("modern", "legacy"):
        server = fake_mcp_servers(era=era)
        server.misbehave("rpc-error", on="tools/list", code=-32601)
        with pytest.raises(RpcError):
            speak(server, Verdicts({server.url: era})).list_tools()

        assert 1 == len(server.called("tools/list"))


def test_an_era_that_is_given_is_taken(fake_mcp_servers: Start, speak: Speak) -> None:
    """``era = "legacy"`` asks a server that speaks both in the older way, without a probe."""
    server = fake_mcp_servers(era="both")
    session = speak(server, None, "legacy")
    session.list_tools()

    assert ("legacy", "initialize") == (session.era, asked(server)[0])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rpc-error", {"code": -32601}),
        ("rpc-error", {"code": -32602}),
        ("rpc-error", {"code": -32000}),
        ("error-without-id", {"code": -32000}),
        ("status", {"code": 400}),
        ("status", {"code": 404}),
        ("status", {"code": 405}),
        ("result-of-wrong-shape", {"result": {"supportedVersions": ["2025-06-18"], "capabilities": {}}}),
        ("rpc-error", {"code": -32022, "data": {"supported": ["2025-11-25"], "requested": MODERN}}),
    ],
)
def test_what_does_not_understand_us_is_legacy(
    name: str, options: dict[str, Any], fake_mcp_servers: Start, speak: Speak
) -> None:
    """Whatever the refusal of ``server/discover`` looks like, at any status, ``initialize`` follows (D3, D4, D6)."""
    server = fake_mcp_servers(era="legacy")
    server.misbehave(name, on="server/discover", **options)
    session = speak(server)

    assert session.list_tools()
    assert "legacy" == session.era


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("unauthorized", {}, CredentialRejectedError),
        ("status", {"code": 503}, ServerUnavailableError),
        ("too-many-requests", {}, ServerUnavailableError),
        ("html", {}, RemoteProtocolError),
        ("not-json", {}, RemoteProtocolError),
        ("hang-before-headers", {}, DeadlineExceededError),
        ("rpc-error", {"code": -32022, "data": {"supported": ["2099-01-01"]}}, UnsupportedVersionError),
    ],
)
def test_what_says_nothing_of_the_era_is_an_error(
    name: str, options: dict[str, Any], error: type[Exception], fake_mcp_servers: Start, speak: Speak
) -> None:
    """A refused credential, silence and garbage are told, nothing is concluded or remembered (D7, D8)."""
    server, verdicts = fake_mcp_servers(era="both"), Verdicts()
    server.misbehave(name, on="server/discover", **options)

    with pytest.raises(error):
        speak(server, verdicts).list_tools(timeout=1)
    assert "initialize" not in asked(server)
    assert {} == verdicts


def test_a_gateway_that_forbids_what_it_does_not_know(fake_mcp_servers: Start, speak: Speak) -> None:
    """403 to the probe alone is worth one ``initialize``; where that fails too the 403 is the error (D7)."""
    server = fake_mcp_servers(era="legacy")
    server.misbehave("forbidden", on="server/discover")
    assert speak(server).list_tools()
    server.misbehave("forbidden", on="initialize")

    with pytest.raises(ForbiddenError):
        speak(server).list_tools()


def test_a_modern_error_is_no_reason_to_fall_back(fake_mcp_servers: Start, speak: Speak) -> None:
    """``-32020`` and ``-32021`` are known to modern servers only, so the server is one (D5)."""
    for code in (-32020, -32021):
        server = fake_mcp_servers(era="modern")
        server.misbehave("rpc-error", on="server/discover", times=1, code=code)
        session = speak(server)
        session.list_tools()
        assert "modern" == session.era


def test_an_empty_cursor_is_a_cursor(talk: Talk) -> None:
    """Only a cursor that is absent ends a list."""
    server, session = talk("modern")
    pages = [{"tools": [{"name": "a", "inputSchema": {}}], "nextCursor": ""}, {"tools": []}]
    for page in pages:
        server.misbehave("result-of-wrong-shape", on="tools/list", times=1, result={"resultType": "complete", **page})

    assert ["a"] == [tool.name for tool in session.list_tools()]
    assert [None, ""] == [each.message["params"].get("cursor") for each in server.called("tools/list")]


def test_a_session_id_means_nothing_to_a_modern_request(fake_mcp_servers: Start, speak: Speak) -> None:
    """A modern server that names one gets it back in no header, and no DELETE at the end."""
    server = fake_mcp_servers(era="modern")
    body = b'{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}'
    named = {"kind": "application/json", "Mcp_Session_Id": "a-session"}
    server.misbehave("status", on="server/discover", code=200, body=body, **named)
    session = speak(server)
    session.list_tools()
    session.close()

    assert "modern" == session.era
    assert [] == [request for request in server.requests if "mcp-session-id" in request.headers]
    assert {"POST"} == {request.method for request in server.requests}


def test_initialize_is_not_cancelled(fake_mcp_servers: Start, speak: Speak) -> None:
    """Where its time is over nothing more is sent."""
    server = fake_mcp_servers(era="legacy")
    server.misbehave("hang-before-headers", on="initialize")

    with pytest.raises(DeadlineExceededError):
        speak(server, None, "legacy").list_tools(timeout=0.3)
    assert ["initialize"] == asked(server)


@pytest.mark.parametrize(("status", "taken"), [(202, True), (200, True), (204, True), (400, False), (404, False)])
def test_a_notification_is_accepted_or_it_failed(
    status: int, taken: bool, fake_mcp_servers: Start, speak: Speak
) -> None:
    """Any 2xx is acceptance; a session whose ``notifications/initialized`` was refused is not used."""
    server = fake_mcp_servers(era="legacy")
    server.misbehave("status", on="notifications/initialized", code=status)

    if taken:
        assert speak(server).list_tools()
    else:
        with pytest.raises(RemoteProtocolError, match=f"notification: unexpected status {status}"):
            speak(server).list_tools()
        assert "tools/list" not in asked(server)


@pytest.mark.parametrize(("era", "version"), [("modern", MODERN), ("legacy", LEGACY)])
def test_a_server_says_what_it_is(era: str, version: str, talk: Talk) -> None:
    """``discover`` returns versions, capabilities and instructions; a legacy server told them in its handshake."""
    server, session = talk(era)
    session.list_tools()
    server.requests.clear()

    facts = session.discover()

    assert version in facts["supportedVersions"]
    assert "tools" in facts["capabilities"]
    assert session.instructions == facts.get("instructions")
    assert (["server/discover"] if era == "modern" else []) == asked(server)


def test_every_request_of_a_legacy_session_carries_the_credential(fake_mcp_servers: Start) -> None:
    """Messages, the stream of GET and the DELETE at the end."""
    token = "t" * 20
    server = fake_mcp_servers(era="legacy", interactive=True, token=token)
    with HttpConnector(server.url, auth_token=token) as connector:
        session = connector.session(Callbacks(on_elicitation=lambda form: form.accept({"name": "Ada"})))
        assert "Ada" in session.call_tool("ask").text()

    assert {"POST", "GET", "DELETE"} == {request.method for request in server.requests}
    assert {f"Bearer {token}"} == {request.headers.get("authorization") for request in server.requests}


@pytest.mark.parametrize(("told", "seconds"), [("17", 17.0), ("²", None), ("soon", None)])
def test_when_to_come_back_is_told(told: str, seconds: float | None, talk: Talk) -> None:
    """``Retry-After`` is in the error where it makes sense, and is passed over where it does not."""
    server, session = talk()
    server.misbehave("too-many-requests", on="tools/call", retry_after=told)

    with pytest.raises(ServerUnavailableError) as caught:
        session.call_tool("echo", {"message": "x"})
    assert seconds == caught.value.retry_after


def test_a_session_id_that_a_server_repeats_is_masked(talk: Any) -> None:
    """It is as good as a credential: neither the error nor what it came from shows it."""
    server, session = talk("legacy")
    session.call_tool("echo", {"message": "x"})
    [session_id] = server.sessions
    server.misbehave("rpc-error", on="tools/call", message=f"session {session_id} is bad", data={"id": session_id})

    with pytest.raises(RpcError) as caught:
        session.call_tool("echo", {"message": "x"})

    assert "session [redacted] is bad" in caught.value.message
    assert session_id not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(("code", "perhaps"), [(500, True), (502, True), (504, True), (503, False), (429, False)])
def test_a_call_that_a_gateway_gives_up_on_may_have_been_carried_out(code: int, perhaps: bool, talk: Talk) -> None:
    """The hint says so for a tool, which may be about to do it; a list is simply asked for later."""
    server, session = talk("modern")
    server.misbehave("status", on="*", code=code)
    with pytest.raises(ServerUnavailableError) as called:
        session.call_tool("echo", {"message": "x"})
    with pytest.raises(ServerUnavailableError) as listed:
        session.list_tools()

    assert perhaps == ("may have been carried out" in (called.value.hint or ""))
    assert "try again later" == listed.value.hint
