"""What may leave a session, and what may not."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest
import requests
from http_servers import CANARY, Seen, answer, serve
from hypothesis import example, given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from mcpvault.credentials import bearer
from mcpvault.errors import ConfigurationError, HeaderRefusedError, OriginMismatchError, UsageError
from mcpvault.http import OriginPolicy, new_session
from mcpvault.http.adapter import is_sendable
from mcpvault.http.auth import NoAuth, StaticAuth
from mcpvault.secret import Secret


def test_the_credential_reaches_its_own_server(session_for: Any) -> None:
    """A bearer token and the entry's headers arrive, as they were given."""
    with serve() as server:
        session = session_for(server, headers={"X-API-Version": "2024-01-01", "X-Key": Secret("k-123456")})

        got = session.post(server.url, json={"a": 1})

        seen = server.seen[0]
        assert {} == got.json()
        assert b'{"a": 1}' == seen.body
        assert [f"Bearer {CANARY}", "2024-01-01", "k-123456"] == [
            seen.header(name) for name in ("Authorization", "X-API-Version", "X-Key")
        ]


@pytest.mark.parametrize("path", ["/mcp", "/", "/a/b?q=1", "?q=1"])
def test_any_path_of_the_origin_is_reachable(session_for: Any, path: str) -> None:
    """The pin is on the origin, not on one URL."""
    with serve() as server:
        assert 200 == session_for(server).get(server.origin + path).status_code


@pytest.mark.parametrize(
    "spelling",
    [
        "http://127.0.0.1:{port}@localhost:{other}/",
        "http://localhost:{port}/",
        "http://127.0.0.1:{other}/",
        "https://127.0.0.1:{port}/",
        "http://127.0.0.1:{port}.example.com/",
        "http://127.0.0.1:{other}\\@127.0.0.1:{port}/",
        "ftp://127.0.0.1:{port}/",
    ],
)
def test_no_other_origin_is_reachable(session_for: Any, spelling: str) -> None:
    """However a URL is spelt, another origin is refused before anything is sent."""
    with serve() as server, serve() as other:
        session = session_for(server)

        with pytest.raises((OriginMismatchError, UsageError)):
            session.get(spelling.format(port=server.port, other=other.port))

        assert ([], []) == (server.seen, other.seen)


def test_a_prepared_request_meets_the_guard_too(session_for: Any) -> None:
    """``Session.send`` of a request prepared elsewhere is refused for another origin."""
    with serve() as server, serve() as other:
        session = session_for(server)
        prepared = requests.Request("GET", other.url, headers={"Authorization": "x"}).prepare()

        with pytest.raises(OriginMismatchError):
            session.send(prepared)
        with pytest.raises(OriginMismatchError):
            session.guard.send(prepared)

        assert [] == other.seen


def test_a_prepared_request_does_not_leave_unsigned(session_for: Any) -> None:
    """A request prepared without the session gets the credential when it is sent."""
    with serve() as server:
        session_for(server).send(requests.Request("POST", server.url, data=b"x").prepare())

        assert (f"Bearer {CANARY}", b"x") == (server.seen[0].header("Authorization"), server.seen[0].body)


def test_a_custom_authentication_does_not_lift_the_pin(session_for: Any) -> None:
    """A caller's own ``auth=`` is never asked to sign for another origin."""
    asked: list[str] = []

    class Own(requests.auth.AuthBase):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            asked.append(str(r.url))
            r.headers["Authorization"] = "Own scheme"
            return r

    with serve() as server, serve() as other:
        session = session_for(server, auth=Own(), headers={"X-More": "1"})
        session.get(server.url)
        with pytest.raises(OriginMismatchError):
            session.get(other.url)

        assert ([server.url], []) == (asked, other.seen)
        assert ("Own scheme", "1") == (server.seen[0].header("Authorization"), server.seen[0].header("X-More"))


def test_the_adapters_are_fixed(session_for: Any) -> None:
    """Nobody mounts another adapter in the guard's place by accident."""
    with serve() as server, pytest.raises(TypeError, match="fixed"):
        session_for(server).mount("https://", HTTPAdapter(max_retries=3))


@pytest.mark.parametrize("value", ["Bearer ${env:TOKEN}", "a\rb", "a\x00b", "a\x7fb", "a\x85b"])
def test_the_last_chance_check_stops_a_bad_header(session_for: Any, value: str) -> None:
    """Whoever put it there: a reference or a control character in a header is not sent."""
    with serve() as server:
        session = session_for(server)
        prepared = session.prepare_request(requests.Request("GET", server.url))
        prepared.headers["X-Late"] = value

        with pytest.raises(HeaderRefusedError) as caught:
            session.send(prepared)

        assert [] == server.seen
        assert value not in str(caught.value)


@given(st.text(st.characters(max_codepoint=0x120) | st.sampled_from("${"), max_size=6))
@example("")
def test_a_header_holds_what_rfc_9110_lets_it_hold(text: str) -> None:
    """Tabs, visible ASCII and the upper half of Latin-1 are sent; anything else is not, nor is a reference."""
    allowed = re.fullmatch(r"[\t\x20-\x7e\xa0-\xff]*", text) is not None and re.search(r"\$\{", text) is None

    assert allowed == is_sendable(text)


def test_host_cannot_be_set(session_for: Any) -> None:
    """A ``Host`` header of the caller's could lead the credential to another virtual host."""
    with serve() as server:
        with pytest.raises(HeaderRefusedError, match="host"):
            session_for(server).get(server.url, headers={"host": "elsewhere"})

        assert [] == server.seen


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Transfer-Encoding", "bad name"])
def test_an_entry_cannot_carry_the_transports_headers(session_for: Any, name: str) -> None:
    """Headers that change where a request ends are refused when the session is made."""
    with pytest.raises(HeaderRefusedError):
        session_for("http://127.0.0.1:1", headers={name: "x"})


def test_a_header_is_not_set_twice(session_for: Any) -> None:
    """The entry's headers and its credential must not contend for one header."""
    with pytest.raises(ConfigurationError, match="Authorization"):
        session_for("http://127.0.0.1:1", headers={"authorization": "x"})


@pytest.mark.parametrize(
    "option", [{"verify": False}, {"verify": "/ca.pem"}, {"cert": "c"}, {"proxies": {"http": "p"}}]
)
def test_a_call_cannot_override_the_entry(session_for: Any, option: dict[str, Any]) -> None:
    """TLS and proxies are the entry's; a call that wants others is told so, not ignored."""
    with serve() as server, pytest.raises(ConfigurationError, match=next(iter(option))):
        session_for(server).get(server.url, **option)


def test_plain_http_stays_on_loopback() -> None:
    """Plain http to another machine needs ``allow_http``."""
    origin = "http://mcp.example.com:80"
    with pytest.raises(ConfigurationError) as caught:
        new_session(OriginPolicy(origin=origin))

    assert "allow_http" in (caught.value.hint or "")
    new_session(OriginPolicy(origin=origin, allow_http=True)).close()


def test_a_credential_of_another_origin_is_refused() -> None:
    """Credential and policy must name the same origin."""
    credential = bearer(Secret("t-123456"), origin="https://a.example:443")
    with pytest.raises(OriginMismatchError):
        new_session(OriginPolicy(origin="https://b.example:443"), credential)


def test_cookies_are_not_kept(session_for: Any) -> None:
    """What a server sets as a cookie does not come back."""

    def set_cookie(connection: Any, seen: Seen) -> None:
        answer(connection, headers=("Set-Cookie: sid=1; Path=/",))

    with serve(set_cookie) as server:
        session = session_for(server)
        session.get(server.url)
        session.get(server.url)

        assert [None, None] == [seen.header("Cookie") for seen in server.seen]


def test_a_server_without_credential_gets_none(session_for: Any) -> None:
    """Kind ``none`` sends nothing, and has an ``auth`` all the same."""
    with serve() as server, new_session(OriginPolicy(origin=server.origin)) as session:
        session.get(server.url)

        assert isinstance(session.auth, NoAuth)
        assert server.seen[0].header("Authorization") is None


def test_a_session_cannot_be_copied_out(session_for: Any) -> None:
    """Neither pickle nor deepcopy carries the credential away."""
    with serve() as server:
        session = session_for(server)
        assert isinstance(session.auth, StaticAuth)
        for copying in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError):
                copying(session.auth)


def test_an_upload_in_pieces_is_sent(session_for: Any) -> None:
    """A generator as body goes out chunked, as with requests."""
    with serve() as server:
        session_for(server).post(server.url, data=iter([b"one", b"two"]))

        assert b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" == server.seen[0].body
