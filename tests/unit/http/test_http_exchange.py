"""What the transports send through."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from http_servers import CANARY, Seen, answer, serve
from requests.auth import AuthBase, HTTPDigestAuth

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, OriginMismatchError, RemoteProtocolError, RequestLostError, UsageError
from mcpvault.http import RequestsExchange
from mcpvault.http.auth import NoAuth


@pytest.fixture
def exchange_for(session_for: Any) -> Iterator[Any]:
    """Return a function that makes an exchange with a server."""
    yield lambda server, **options: RequestsExchange(session_for(server, **options), server.url)


def _read(answered: Any) -> bytes:
    body = b""
    while piece := answered.read1(65536):
        body += piece
    return body


def test_a_request_and_its_answer(exchange_for: Any) -> None:
    """Headers, body and credential go out; status, headers and body come back."""
    with serve(lambda c, _: answer(c, b"[1]", "202 Accepted", ("Mcp-Session-Id: 7",))) as server:
        exchange = exchange_for(server, headers={"X-API-Version": "1"})

        got = exchange.send("POST", {"Mcp-Method": "ping", "Accept": "text/event-stream"}, b"{}", Deadline(5))

        assert (202, "7", b"[1]") == (got.status, got.headers["mcp-session-id"], _read(got))
        seen = server.seen[0]
        assert (b"{}", "2") == (seen.body, seen.header("Content-Length"))
        assert ["ping", "text/event-stream", "1", f"Bearer {CANARY}"] == [
            seen.header(name) for name in ("Mcp-Method", "Accept", "X-API-Version", "Authorization")
        ]
        assert str(seen.header("User-Agent")).startswith("mcpvault/")


def test_one_request_leaves_nothing_for_the_next(exchange_for: Any) -> None:
    """The kept request is copied: headers and body of one call are not in another."""
    with serve() as server:
        exchange = exchange_for(server)
        for headers, body in (({"Mcp-Name": "a"}, b"long body"), ({}, b"")):
            _read(exchange.send("POST", headers, body, Deadline(5)))
        _read(exchange.send("DELETE", {}, None, Deadline(5)))

        assert ["a", None, None] == [seen.header("Mcp-Name") for seen in server.seen]
        assert [b"long body", b"", b""] == [seen.body for seen in server.seen]
        assert server.seen[2].head.startswith("DELETE /mcp ")


def test_no_credential_is_kept(exchange_for: Any) -> None:
    """Nothing that lives as long as the exchange holds the credential in clear."""
    with serve() as server:
        exchange = exchange_for(server)
        _read(exchange.send("POST", {}, b"{}", Deadline(5)))

        assert CANARY not in repr([dict(kept.headers) for kept in exchange._kept.values()])


def test_calls_share_a_connection(exchange_for: Any) -> None:
    """An answer that was read to its end, or closed near it, gives its connection back."""

    def stream(connection: socket.socket, seen: Seen) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")

    with serve(stream) as server:
        exchange = exchange_for(server)
        for _ in range(3):
            got = exchange.send("POST", {}, b"{}", Deadline(5))
            assert b"abc" == got.read1(65536)
            got.close()

        assert (3, 1) == (len(server.seen), server.connections)


def test_an_answer_that_goes_on_is_cut_off(exchange_for: Any) -> None:
    """Closing a stream in the middle closes its connection, soon, and the next call opens another."""
    go_on = threading.Event()

    def stream(connection: socket.socket, seen: Seen) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        go_on.wait(30)

    with serve(stream) as server:
        exchange = exchange_for(server)
        for _ in range(2):
            got = exchange.send("POST", {}, b"{}", Deadline(5))
            assert b"abc" == got.read1(65536)
            began = time.monotonic()
            got.close()
            got.close()
            assert time.monotonic() - began < 10

        assert 2 == server.connections
        go_on.set()


@pytest.mark.parametrize("form", ["chunked", "close-delimited", "gzip"])
def test_events_are_not_held_back(exchange_for: Any, form: str) -> None:
    """What has arrived is handed out at once, however the stream is framed."""
    read_first = threading.Event()
    packer = zlib.compressobj(wbits=31)

    def pack(data: bytes) -> bytes:
        if form == "chunked":
            return b"%x\r\n%b\r\n" % (len(data), data)
        return packer.compress(data) + packer.flush(2) if form == "gzip" else data

    head = {"chunked": b"Transfer-Encoding: chunked\r\n", "gzip": b"Content-Encoding: gzip\r\n"}.get(form, b"")

    def stream(connection: socket.socket, seen: Seen) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + pack(b"data: 1\n\n"))
        if read_first.wait(5):
            connection.sendall(pack(b"data: 2\n\n"))
        connection.shutdown(socket.SHUT_RDWR)

    with serve(stream) as server:
        got = exchange_for(server).send("POST", {}, b"{}", Deadline(5))
        assert b"data: 1\n\n" == got.read1(262144)
        read_first.set()
        assert b"data: 2\n\n" == got.read1(262144)


def test_a_packed_answer_is_unpacked_within_bounds(exchange_for: Any) -> None:
    """A small body that unpacks to a great one comes in the pieces that were asked for."""
    bomb = gzip.compress(b"0" * 10_000_000)
    with serve(lambda c, _: answer(c, bomb, headers=("Content-Encoding: gzip",))) as server:
        got = exchange_for(server).send("POST", {}, b"{}", Deadline(5))
        sizes = []
        while piece := got.read1(100_000):
            sizes.append(len(piece))

    assert (10_000_000, True) == (sum(sizes), max(sizes) <= 100_000)


@pytest.mark.parametrize(
    "sent,error",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", RequestLostError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", RequestLostError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", McpVaultError),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", RemoteProtocolError),
    ],
    ids=["length", "chunks", "chunk size", "gzip"],
)
@pytest.mark.parametrize("through", ["session", "exchange"])
def test_a_body_that_breaks_off_is_an_error_of_ours(
    session_for: Any, exchange_for: Any, sent: bytes, error: type[McpVaultError], through: str
) -> None:
    """A body that ends too early, or is not encoded as it says, is never taken for a whole one."""
    with serve(lambda c, _: (c.sendall(sent), c.shutdown(socket.SHUT_RDWR))[1]) as server, pytest.raises(error):
        if through == "session":
            session_for(server).post(server.url)
        else:
            _read(exchange_for(server).send("POST", {}, b"{}", Deadline(5)))


def test_an_exchange_for_another_origin_is_refused(session_for: Any) -> None:
    """The pin holds for the exchange's own URL too."""
    with serve() as server, serve() as other:
        exchange = RequestsExchange(session_for(server), other.url)
        with pytest.raises(OriginMismatchError):
            exchange.send("POST", {}, b"{}", Deadline(5))

        assert [] == other.seen


def test_an_authentication_that_answers_a_challenge_works(exchange_for: Any) -> None:
    """HTTP Digest, which sends twice, does so through the guard, from both doors."""

    def handle(connection: socket.socket, seen: Seen) -> None:
        if str(seen.header("Authorization")).startswith("Digest "):
            answer(connection, b"in")
        else:
            answer(connection, b"", "401 No", ('WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"',))

    with serve(handle) as server:
        exchange = exchange_for(server, auth=HTTPDigestAuth("me", "pass"))
        assert b"in" == _read(exchange.send("POST", {}, b"{}", Deadline(5)))
        assert b"in" == exchange_for(server, auth=HTTPDigestAuth("me", "pass"))._session.post(server.url).content


def test_an_authentication_may_change_the_body(exchange_for: Any) -> None:
    """After a caller's own authentication the length is counted again."""

    class Own(AuthBase):
        def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
            r.body = b"signed " + bytes(r.body or b"")  # type: ignore[arg-type]
            return r

    with serve() as server:
        _read(exchange_for(server, auth=Own()).send("POST", {}, b"{}", Deadline(5)))

        assert b"signed {}" == server.seen[0].body


def test_threads_may_share_an_exchange(exchange_for: Any) -> None:
    """Each request has a connection to itself; each answer is the one to its request."""
    with serve(lambda c, seen: answer(c, seen.body)) as server:
        exchange = exchange_for(server)
        wrong: list[object] = []

        def work(number: int) -> None:
            for turn in range(50):
                body = f"{number}.{turn}".encode()
                if (got := _read(exchange.send("POST", {}, body, Deadline(10)))) != body:
                    wrong.append((body, got))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

        assert ([], 400) == (wrong, len(server.seen))
        assert server.connections <= 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_opens_its_own_connection(exchange_for: Any) -> None:
    """A kept connection belongs to the process that opened it."""
    with serve() as server:
        exchange = exchange_for(server)
        _read(exchange.send("POST", {}, b"parent", Deadline(5)))
        child = os.fork()
        if child == 0:
            try:
                _read(exchange.send("POST", {}, b"child", Deadline(5)))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        _read(exchange.send("POST", {}, b"parent", Deadline(5)))

        assert [b"parent", b"child", b"parent"] == [seen.body for seen in server.seen]
        assert 2 == server.connections


@pytest.mark.parametrize(
    "statement,absent",
    [
        ("import mcpvault.http", "requests urllib3"),
        (
            "from mcpvault.http import RequestsExchange, new_session",
            "requests_oauthlib oauthlib http.server jsonschema",
        ),
    ],
)
def test_imports_are_light(statement: str, absent: str) -> None:
    """The package loads requests with its first use, and never what this job does not need."""
    code = f"{statement}; import sys; print(*sorted(set({absent!r}.split()) & set(sys.modules)))"
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "" == got.stdout.strip()


@pytest.mark.parametrize("path", ["/mcp", "", "/a b?q=1&r=%20", "/ä?ö", "/mcp#part"])
@pytest.mark.parametrize("method", ["POST", "get"])
def test_a_blank_request_is_what_requests_prepares(session_for: Any, method: str, path: str) -> None:
    """It differs in no part from a request that requests has prepared of nothing but a URL."""
    session, url = session_for("http://127.0.0.1:1"), f"http://127.0.0.1:1{path}"
    prepared = session.prepare_request(requests.Request(method, url, auth=NoAuth()))

    blank = session.blank(method, url)

    assert (prepared.method, prepared.url, prepared.body) == (blank.method, blank.url, blank.body)
    assert (dict(prepared.headers), prepared.hooks) == (dict(blank.headers), blank.hooks)


def test_a_url_that_requests_refuses_is_told_in_our_words(session_for: Any) -> None:
    """No exception of requests leaves the session."""
    with pytest.raises(UsageError, match="cannot be prepared") as caught:
        RequestsExchange(session_for("http://127.0.0.1:1"), "http://").send("POST", {}, b"", Deadline(5))

    assert caught.value.__context__ is None
