"""Listening for changes as a blocking iterator, in both eras."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from transports_waiting import eventually

from mcpvault import Session
from mcpvault.connectors import HttpConnector
from mcpvault.errors import DeadlineExceededError, RemoteProtocolError, RequestLostError, UsageError
from mcpvault.mcp.listening import Change
from mcpvault.testing import FakeMcpServer

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
Talk = Callable[..., tuple[FakeMcpServer, Session]]
URI = "fake://text/greeting"
TOOLS, UPDATED = "notifications/tools/list_changed", "notifications/resources/updated"


def touch(session: Session, method: str, **params: str) -> None:
    """Let the server change something."""
    session.call_tool("touch", {"method": method, **params})


@ERAS
def test_changes_that_were_asked_for_are_told(era: str, talk: Talk) -> None:
    """The server agrees first; then each change comes as it happens, and none that nobody asked for."""
    _, session = talk(era)
    with session.listen(URI, tools=True, timeout=20) as changes:
        assert {"toolsListChanged": True, "resourceSubscriptions": [URI]} == changes.acknowledged
        touch(session, "notifications/prompts/list_changed")
        touch(session, UPDATED, uri="fake://blob/pixel")
        touch(session, UPDATED, uri=URI)
        touch(session, TOOLS)

        assert [Change(UPDATED, {"uri": URI}), Change(TOOLS, {})] == [next(changes), next(changes)]


@ERAS
def test_closing_ends_the_subscription(era: str, talk: Talk) -> None:
    """A modern stream is closed, a legacy server told for each resource; the session goes on."""
    server, session = talk(era)
    session.listen(URI, timeout=20).close()

    assert "x" == session.call_tool("echo", {"message": "x"}).text()
    assert server.streams is not None
    if era == "modern":  # it sees that nobody reads when it writes
        assert eventually(lambda: touch(session, UPDATED, uri=URI) or not server.streams.listening)
    else:
        assert set() == server.streams.subscribed
        assert [URI] == [each.message["params"]["uri"] for each in server.called("resources/unsubscribe")]
    assert [] == server.called("notifications/cancelled")


@ERAS
def test_the_time_ends_it(era: str, talk: Talk) -> None:
    """With a timeout the iteration ends then, and that is no error."""
    _, session = talk(era)

    with session.listen(tools=True, timeout=0.3) as changes:
        assert [] == [*changes]


def test_a_broken_stream_is_listened_to_again(talk: Talk) -> None:
    """What was listened for then counts as changed, because nobody knows; it is told as missed."""
    server, session = talk("modern")
    with session.listen(URI, tools=True, timeout=20) as changes:
        assert server.streams is not None
        server.streams.listening[0][0].end()  # the stream ends, and the server's final result never came

        assert [Change(TOOLS, {}, True), Change(UPDATED, {"uri": URI}, True)] == [next(changes), next(changes)]
        touch(session, TOOLS)
        assert Change(TOOLS, {}) == next(changes)
    assert 2 == len({each.message["id"] for each in server.called("subscriptions/listen")})


def test_without_reconnecting_it_is_an_error(talk: Talk) -> None:
    """``reconnect=False`` leaves it to the caller."""
    server, session = talk("modern")
    with session.listen(tools=True, timeout=20, reconnect=False) as changes:
        assert server.streams is not None
        server.streams.listening[0][0].end()
        with pytest.raises(RequestLostError):
            next(changes)


def test_the_servers_own_end_is_the_end(talk: Talk) -> None:
    """A result to the subscription's request ends the iteration in order; nothing is asked again."""
    server, session = talk("modern")
    with session.listen(tools=True, timeout=20) as changes:
        assert server.streams is not None
        stream = server.streams.listening[0][0]
        stream.put({"jsonrpc": "2.0", "id": stream.subscription, "result": {"resultType": "complete"}})

        assert [] == [*changes]
    assert 1 == len(server.called("subscriptions/listen"))


def test_calls_of_other_threads_go_on(talk: Talk) -> None:
    """One thread listens while others call; the session's cache hears of the change too."""
    server, session = talk("modern")
    server.offer.ttl_ms = 60_000
    session.list_tools()
    heard: list[Change] = []
    with session.listen(tools=True, timeout=20) as changes:
        listener = threading.Thread(target=lambda: heard.append(next(changes)))
        listener.start()
        touch(session, TOOLS)
        listener.join(20)

        assert [Change(TOOLS, {})] == heard
    session.list_tools()
    assert 2 == len(server.called("tools/list"))


def test_a_server_that_never_agrees_is_given_up(fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """The session's time counts until the subscription has begun, though something keeps coming."""
    server = fake_mcp_servers()
    server.misbehave("endless-comments", on="subscriptions/listen")
    with HttpConnector(server.url) as connector:
        session = connector.session()
        for of_session, timeout in ((0.3, None), (0.3, 20), (20, 0.3)):
            session.timeout = of_session
            with pytest.raises(DeadlineExceededError):
                session.listen(tools=True, timeout=timeout)


@ERAS
def test_the_sessions_time_ends_nothing_that_has_begun(era: str, talk: Talk) -> None:
    """Once the server has agreed, a change may be as late as it likes."""
    _, session = talk(era)
    session.timeout = 1
    began = time.monotonic()
    with session.listen(tools=True, timeout=20) as changes:
        session.timeout = 20  # for the call that changes something
        eventually(lambda: time.monotonic() > began + 1.1)
        soon = threading.Timer(0.1, touch, (session, TOOLS))
        soon.start()

        assert Change(TOOLS, {}) == next(changes)


def test_who_no_longer_agrees_is_asked_less_and_less_often(talk: Talk) -> None:
    """After a stream that broke off a server that does not agree again is a failure, and failures have pauses."""
    server, session = talk("modern")
    with session.listen(tools=True, timeout=1.6) as changes:
        assert server.streams is not None
        session.timeout, server.streams.agrees = 0.3, False
        server.streams.listening[0][0].end()

        assert [] == [*changes]
    assert 2 == len(server.called("subscriptions/listen"))  # the pauses are 0.5 s and 1 s


def test_listening_for_nothing_is_a_mistake(talk: Talk) -> None:
    """Nothing is asked of the server."""
    server, session = talk("modern")

    with pytest.raises(UsageError, match="nothing to listen for"):
        session.listen()
    assert [] == server.called("subscriptions/listen")


def test_a_server_without_a_stream_says_so(talk: Talk) -> None:
    """A legacy server may refuse GET; listening to it is an error with a hint, calls are not."""
    server, session = talk("legacy")
    server.misbehave("status", on="GET", code=405)

    with pytest.raises(RemoteProtocolError, match="offers no stream") as caught:
        session.listen(tools=True, timeout=20)
    assert caught.value.hint == "ask it again from time to time"
