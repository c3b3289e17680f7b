"""Redirects: within the origin, with the same request, and not for ever."""

from __future__ import annotations

from typing import Any

import pytest
from http_servers import CANARY, Seen, answer, serve

from mcpvault.deadline import Deadline
from mcpvault.errors import OriginMismatchError, RemoteProtocolError
from mcpvault.http import RequestsExchange


def _moved(status: str, location: str) -> Any:
    def handle(connection: Any, seen: Seen) -> None:
        if seen.target == "/mcp":
            answer(connection, b"", status, (f"Location: {location}",))
        else:
            answer(connection)

    return handle


@pytest.mark.parametrize("status", ["307 Temporary Redirect", "308 Permanent Redirect"])
@pytest.mark.parametrize("through", ["session", "exchange"])
def test_the_same_request_goes_where_its_origin_says(session_for: Any, status: str, through: str) -> None:
    """Method, body and credential are sent again within the origin."""
    with serve(_moved(status, "/new?x=1")) as server:
        session = session_for(server)
        if through == "session":
            response = session.post(server.url, data=b"body")
            assert [200, f"{server.origin}/new?x=1"] == [response.status_code, response.url]
            assert 1 == len(response.history)
        else:
            assert 200 == RequestsExchange(session, server.url).send("POST", {}, b"body", Deadline(5)).status

        second = server.seen[1]
        assert ("/new?x=1", b"body", f"Bearer {CANARY}") == (second.target, second.body, second.header("Authorization"))
        assert second.head.startswith("POST ")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other"])
def test_what_would_change_the_request_is_handed_back(session_for: Any, status: str) -> None:
    """301, 302 and 303 are answers like others."""
    with serve(_moved(status, "/new")) as server:
        assert int(status[:3]) == session_for(server).post(server.url, data=b"body").status_code
        assert 1 == len(server.seen)


@pytest.mark.parametrize(
    "location", ["http://localhost:{port}/", "https://127.0.0.1:{port}/", "//evil.example/", "ftp://x/"]
)
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect"])
def test_another_origin_is_an_error(session_for: Any, location: str, status: str) -> None:
    """A redirect away is named, and the request is not sent there."""
    with serve(lambda c, _: answer(c, b"", status, (f"Location: {location.format(port=server.port)}",))) as server:
        with pytest.raises(OriginMismatchError, match="redirects to"):
            session_for(server).get(server.url)
        with pytest.raises(OriginMismatchError):
            RequestsExchange(session_for(server), server.url).send("POST", {}, b"", Deadline(5))


def test_the_message_does_not_quote_the_query(session_for: Any) -> None:
    """A Location may hold what should not be shown."""
    with serve(_moved("307 Temporary Redirect", "https://evil.example/?token=abc")) as server:
        with pytest.raises(OriginMismatchError) as caught:
            session_for(server).get(server.url)

        assert f"{server.origin}: redirects to 'https://evil.example:443'; it was not followed" == caught.value.message


def test_a_circle_ends(session_for: Any) -> None:
    """Five redirects are followed, the sixth is an error."""
    with serve(lambda c, _: answer(c, b"", "307 Temporary Redirect", ("Location: /mcp",))) as server:
        with pytest.raises(RemoteProtocolError, match="more than 5 redirects"):
            session_for(server).get(server.url)

        assert 6 == len(server.seen)
        server.seen.clear()
        with pytest.raises(RemoteProtocolError):
            RequestsExchange(session_for(server), server.url).send("POST", {}, b"", Deadline(5))
        assert 6 == len(server.seen)


def test_nothing_is_followed_when_the_caller_says_so(session_for: Any) -> None:
    """``allow_redirects=False`` hands back even a redirect to elsewhere."""
    with serve(_moved("307 Temporary Redirect", "https://evil.example/")) as server:
        assert 307 == session_for(server).get(server.url, allow_redirects=False).status_code


def test_a_body_that_cannot_be_sent_again_is_not(session_for: Any) -> None:
    """The redirect of an upload from a generator is handed back."""
    with serve(_moved("307 Temporary Redirect", "/new")) as server:
        assert 307 == session_for(server).post(server.url, data=iter([b"x"])).status_code
