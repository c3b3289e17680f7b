"""Streams of legacy servers: taken up again where they broke off, kept open beside the calls, given up properly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from transports_waiting import eventually

from mcpvault import Callbacks, Session
from mcpvault.errors import DeadlineExceededError, McpVaultError, RemoteProtocolError, RequestLostError
from mcpvault.testing import FakeMcpServer

Talk = Callable[..., tuple[FakeMcpServer, Session]]
WILLING = Callbacks(on_elicitation=lambda form: form.accept({"name": "Ada"}))


def gets(server: FakeMcpServer) -> list[dict[str, str]]:
    """Return the headers of each GET."""
    return [dict(request.headers) for request in server.requests if request.method == "GET"]


def cancelled(server: FakeMcpServer) -> list[int]:
    """Return the ids of the requests that were cancelled by a notification."""
    return [request.message["params"]["requestId"] for request in server.called("notifications/cancelled")]


def test_an_interrupted_answer_is_taken_up(talk: Talk) -> None:
    """The stream of a call ends after an event with an id: GET with ``Last-Event-ID`` has the rest."""
    server, session = talk("legacy")
    session.list_tools()
    assert server.streams is not None
    server.streams.interrupt, server.streams.retry = True, 30
    began = time.monotonic()

    assert "hello" == session.call_tool("echo", {"message": "hello"}).text()

    assert time.monotonic() - began >= 0.03  # "the client MUST respect" the retry field
    last = [headers["last-event-id"] for headers in gets(server)]
    assert 1 == len(last)
    assert last[0].endswith("-1")
    assert 1 == len(server.called("tools/call"))


def test_a_stream_that_cannot_be_had_again_is_a_lost_request(talk: Talk) -> None:
    """Where GET is refused the answer is lost, and a call is not repeated."""
    server, session = talk("legacy")
    session.list_tools()
    assert server.streams is not None
    server.streams.interrupt = True
    server.misbehave("status", on="GET", code=405)

    with pytest.raises(RequestLostError, match="may have been carried out"):
        session.call_tool("echo", {"message": "x"})
    assert 1 == len(server.called("tools/call"))


def test_the_side_stream_outlives_the_call_that_opened_it(talk: Talk) -> None:
    """It is read within the time of whoever reads it, long after the first call's is over."""
    server, session = talk("legacy", WILLING)
    assert server.streams is not None
    opened = time.monotonic()
    session.call_tool("ask", timeout=0.5)
    eventually(lambda: time.monotonic() > opened + 0.55)

    with session.listen(tools=True, timeout=20) as changes:
        soon = threading.Timer(0.1, server.streams.change, ("notifications/tools/list_changed", {}))
        soon.start()
        assert "notifications/tools/list_changed" == next(changes).method
    assert 1 == len(gets(server))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_silent_side_stream_holds_no_call(chunked: bool, talk: Talk) -> None:
    """What is left of its last event is no event: the call's own answer is not waited for behind it."""
    server, session = talk("legacy", WILLING)
    assert server.streams is not None
    server.streams.aside, server.streams.chunked = True, chunked
    session.call_tool("ask", timeout=20)
    began = time.monotonic()

    for _ in range(3):
        assert "x" == session.call_tool("echo", {"message": "x"}, timeout=20).text()
    assert "Ada" in session.call_tool("ask", timeout=20).text()
    assert time.monotonic() - began < 2.5  # the opening of a stream may take 3
    assert 1 == len(gets(server))


COMMENT = b"8\r\n: here\n\n\r\n"


@pytest.mark.parametrize("ahead", range(1, len(COMMENT) + 1))
def test_a_packet_of_the_side_stream_may_end_anywhere(ahead: int, talk: Talk) -> None:
    """In the size of a chunk, in it or behind it: a call's own answer does not wait for the rest."""
    server, session = talk("legacy", WILLING)
    assert server.streams is not None
    server.streams.aside = server.streams.chunked = True
    server.streams.ahead = ahead
    assert "Ada" in session.call_tool("ask", timeout=20).text()

    for _ in range(2):
        assert "x" == session.call_tool("echo", {"message": "x"}, timeout=5).text()
    assert "Ada" in session.call_tool("ask", timeout=20).text()
    assert 1 == len(gets(server))


def test_an_interrupted_answer_is_taken_up_beside_a_side_stream(talk: Talk) -> None:
    """The end of a call's stream is seen while another one is open and silent."""
    server, session = talk("legacy", WILLING)
    assert server.streams is not None
    server.streams.aside = server.streams.chunked = True
    session.call_tool("ask", timeout=20)
    server.streams.interrupt = True

    assert "x" == session.call_tool("echo", {"message": "x"}, timeout=20).text()
    assert [False, True] == ["last-event-id" in headers for headers in gets(server)]


def test_giving_up_tells_a_legacy_server(talk: Talk) -> None:
    """A disconnect means nothing to it, so a deadline sends ``notifications/cancelled`` with the request's id."""
    server, session = talk("legacy")
    session.list_tools()
    server.misbehave("hang-before-headers", on="tools/call", times=1)

    with pytest.raises(DeadlineExceededError):
        session.call_tool("echo", {"message": "x"}, timeout=0.3)

    assert [server.called("tools/call")[0].message["id"]] == eventually(lambda: cancelled(server))
    assert "again" == session.call_tool("echo", {"message": "again"}).text()


def test_giving_up_closes_a_modern_stream(talk: Talk) -> None:
    """In 2026-07-28 closing the stream cancels: the server sees the end of it, and no notification is sent."""
    server, session = talk("modern")
    session.list_tools()
    server.misbehave("endless-sse", on="tools/call", times=1, every=0.01)

    with pytest.raises(DeadlineExceededError):
        session.call_tool("echo", {"message": "x"}, timeout=0.3)

    assert eventually(lambda: server.abandoned)
    assert "again" == session.call_tool("echo", {"message": "again"}).text()
    assert [] == server.called("notifications/cancelled")


@pytest.mark.parametrize("sse", [False, True], ids=["json", "events"])
def test_batches_are_received(sse: bool, fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """A server of 2025-03-26 may answer with an array; one that has negotiated another revision may not."""
    from mcpvault.connectors import HttpConnector

    server = fake_mcp_servers(era="legacy", sse=sse)
    server.misbehave("batch", on="tools/call")
    server.offer.revision = "2025-03-26"
    with HttpConnector(server.url) as connector:
        assert "x" == connector.session().call_tool("echo", {"message": "x"}).text()
        assert "2025-03-26" == connector.session().protocol_version
        assert "2025-03-26" == server.called("tools/call")[0].headers["mcp-protocol-version"]
    server.offer.revision = None
    with HttpConnector(server.url) as connector, pytest.raises(RemoteProtocolError):
        connector.session().call_tool("echo", {"message": "x"})


def test_batches_are_received_on_a_stream_that_is_taken_up(fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """The rest of an answer may come in an array too, and what a server says by itself."""
    from mcpvault.connectors import HttpConnector

    server = fake_mcp_servers(era="legacy", interactive=True)
    server.offer.revision = "2025-03-26"
    assert server.streams is not None
    server.streams.interrupt = server.streams.batches = True
    with HttpConnector(server.url) as connector:
        session = connector.session()

        assert "x" == session.call_tool("echo", {"message": "x"}, timeout=20).text()
        assert 1 == len(gets(server))
        with session.listen(tools=True, timeout=20) as changes:
            server.streams.change("notifications/tools/list_changed", {})
            assert "notifications/tools/list_changed" == next(changes).method


def test_a_session_is_ended(talk: Talk) -> None:
    """``close`` sends DELETE with the session's id; a server that does not support that is left alone."""
    server, session = talk("legacy")
    session.list_tools()
    session_id = next(iter(server.sessions))
    server.delete_status = 405
    session.close()

    assert [session_id] == [each.headers["mcp-session-id"] for each in server.requests if each.method == "DELETE"]


@pytest.mark.parametrize("step", ["broken answer", "error", "unknown revision", "refused notification"])
def test_a_session_that_was_half_begun_is_ended(step: str, fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """Where the server has named a session and a later step of the handshake fails, it gets a DELETE for it."""
    from mcpvault.connectors import HttpConnector

    server = fake_mcp_servers(era="legacy")
    error = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"half done"}}'
    if step in ("broken answer", "error"):
        body = {"body": error if step == "error" else error[:20], "kind": "application/json", "Mcp_Session_Id": "half"}
        server.misbehave("status", on="initialize", code=200, **body)
    elif step == "unknown revision":
        server.offer.revision = "2019-01-01"
    else:
        server.misbehave("status", on="notifications/initialized", code=500)
    with HttpConnector(server.url) as connector:
        with pytest.raises(McpVaultError):
            connector.session().list_tools()
        ended = [each.headers["mcp-session-id"] for each in server.requests if each.method == "DELETE"]
        assert len(ended) == len(server.called("initialize")) >= 1
        assert step not in ("broken answer", "error") or {"half"} == {*ended}
        assert set() == server.sessions

        server.behave()
        server.offer.revision = None
        assert "x" == connector.session().call_tool("echo", {"message": "x"}).text()
    assert set() == server.sessions


def test_a_call_is_not_replayed_into_a_new_session(talk: Talk) -> None:
    """The server has forgotten the session: another one is begun, and the call is the caller's to repeat."""
    server, session = talk("legacy")
    session.list_tools()
    server.sessions.clear()

    with pytest.raises(RequestLostError, match="a new one is open"):
        session.call_tool("echo", {"message": "x"})
    assert "x" == session.call_tool("echo", {"message": "x"}).text()
    assert 2 == len(server.called("initialize"))
    assert "mcp-session-id" not in server.called("initialize")[1].headers
