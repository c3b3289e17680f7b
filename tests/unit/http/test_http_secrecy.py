"""Whatever goes wrong: no error, no frame and no log line holds the credential."""

from __future__ import annotations

import http.client
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import pytest
import requests
import urllib3.exceptions
from http_servers import CANARY, Authority, Seen, answer, serve

from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError, McpVaultError
from mcpvault.http import RequestsExchange, Timeouts
from mcpvault.secret import Secret

_KEY = "second-canary-91aa07c3d5"
_THEIRS = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)


def _windows(secret: str) -> set[str]:
    return {secret[i : i + 8] for i in range(len(secret) - 7)}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, dict[str, Any]]]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_qualname, trace.tb_frame.f_locals
        trace = trace.tb_next


def assert_clean(error: BaseException) -> None:
    """Walk causes, contexts and every frame's locals, but for the test's own."""
    secrets = _windows(CANARY) | _windows(_KEY)
    for one in _chain(error):
        assert not isinstance(one, _THEIRS), one
        texts = [str(one), repr(one), repr(getattr(one, "__dict__", {})), *traceback.format_exception(one)]
        for place, local in _frames(one.__traceback__):
            if not place.startswith(("test_", "session_for.")):
                texts += [f"{place}: {name}={value!r}" for name, value in local.items()]
                texts += [f"{place}: {v.headers}" for v in local.values() if isinstance(v, requests.PreparedRequest)]
        for text in texts:
            assert not any(window in text for window in secrets), text[:300]


def _broken(connection: socket.socket, seen: Seen) -> None:
    connection.close()


def _half(connection: socket.socket, seen: Seen) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    connection.shutdown(socket.SHUT_RDWR)


def _silent(connection: socket.socket, seen: Seen) -> None:
    connection.recv(1)


def _rubbish(connection: socket.socket, seen: Seen) -> None:
    connection.sendall(b"rubbish\r\n\r\n")
    connection.shutdown(socket.SHUT_RDWR)


def _echo_in_status(connection: socket.socket, seen: Seen) -> None:
    connection.sendall(f"HTTP/1.1 {seen.header('Authorization')}\r\n\r\n".encode())
    connection.shutdown(socket.SHUT_RDWR)


def _echo_in_chunk_size(connection: socket.socket, seen: Seen) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head + str(seen.header("Authorization")).encode() + b"\r\n")
    connection.shutdown(socket.SHUT_RDWR)


def _away(connection: socket.socket, seen: Seen) -> None:
    answer(connection, b"", "307 Away", (f"Location: https://evil.example/?{CANARY}",))


@pytest.mark.parametrize(
    "handle",
    [_broken, _half, _silent, _rubbish, _echo_in_status, _echo_in_chunk_size, _away],
    ids=lambda f: f.__name__.strip("_"),
)
@pytest.mark.parametrize("through", ["get", "post", "prepared", "unsigned", "stream", "exchange", "safe exchange"])
def test_no_failure_shows_the_credential(
    session_for: Any, caplog: pytest.LogCaptureFixture, handle: Any, through: str
) -> None:
    """Every way to fail, by every door, with DEBUG logging on."""
    caplog.set_level(logging.DEBUG)
    with serve(handle) as server:
        session = session_for(server, headers={"X-API-Key": Secret(_KEY)}, timeout=Timeouts(total=0.3), retries=1)
        exchange = RequestsExchange(session, server.url)

        def read(safe: bool) -> None:
            got = exchange.send("POST", {}, b"{}", Deadline(0.3), safe=safe)
            while got.read1(100):
                pass

        doors: dict[str, Callable[[], object]] = {
            "get": lambda: session.get(server.url),
            "post": lambda: session.post(server.url, json={}),
            "prepared": lambda: session.send(session.prepare_request(requests.Request("GET", server.url))),
            "unsigned": lambda: session.send(requests.Request("GET", server.url).prepare()),
            "stream": lambda: list(session.get(server.url, stream=True).iter_content(5)),
            "exchange": lambda: read(False),
            "safe exchange": lambda: read(True),
        }
        with pytest.raises(McpVaultError) as caught:
            doors[through]()

    assert_clean(caught.value)
    assert not any(window in caplog.text for window in _windows(CANARY) | _windows(_KEY))


def test_no_failure_to_connect_shows_the_credential(session_for: Any, authority: Authority) -> None:
    """Refused connections, unknown names, foreign certificates, wrong origins and bad headers."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with serve(context=authority.server_context()) as server:
        for origin, url, headers in (
            (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/", {}),
            ("https://no-such-host.invalid:443", "https://no-such-host.invalid/", {}),
            (server.origin, server.url, {}),
            (server.origin, "https://elsewhere.example/", {}),
            (server.origin, "not a url", {}),
            (server.origin, server.url, {"X-Bad": "${x}"}),
            (server.origin, server.url, {"X-Bad": "a\nb"}),
        ):
            session = session_for(origin, headers={"X-API-Key": Secret(_KEY)})
            with pytest.raises(McpVaultError) as caught:
                session.post(url, data=b"x", headers=headers)
            assert_clean(caught.value)


def test_no_configuration_error_shows_the_credential(session_for: Any, authority: Authority) -> None:
    """A file of the entry's that is missing is noticed with the headers at hand, and named without them."""
    with serve(context=authority.server_context()) as server:
        session = session_for(server, ca_file="/no/such/file.pem", headers={"X-API-Key": Secret(_KEY)}, retries=2)
        for act in (
            lambda: session.get(server.url),
            lambda: RequestsExchange(session, server.url).send("POST", {}, b"{}", Deadline(5)),
        ):
            with pytest.raises(ConfigurationError, match="no such file") as caught:
                act()
            assert_clean(caught.value)


def test_the_proxys_password_is_a_credential_too(session_for: Any) -> None:
    """A proxy that cannot be reached is named without what stands before its @."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    session = session_for("https://mcp.example.com:443", proxies={"all": f"http://me:{CANARY}@127.0.0.1:{port}"})
    with pytest.raises(McpVaultError) as caught:
        session.get("https://mcp.example.com/")

    assert_clean(caught.value)
    with pytest.raises(McpVaultError) as caught:
        session_for("https://mcp.example.com:443", env={"HTTPS_PROXY": f"socks5://me:{CANARY}@127.0.0.1:{port}"})
    assert_clean(caught.value)


def _leak() -> None:
    headers = {"Authorization": f"Bearer {CANARY}"}
    raise McpVaultError(f"{len(headers)} header")


def test_the_walk_finds_a_leak() -> None:
    """The check itself is sound: a header dict in a frame, or a cause of theirs, is noticed."""
    with pytest.raises(McpVaultError) as caught:
        _leak()
    with pytest.raises(AssertionError):
        assert_clean(caught.value)
    with pytest.raises(AssertionError):
        error = McpVaultError("x")
        error.__context__ = requests.exceptions.ConnectionError()
        assert_clean(error)


def test_what_others_log_is_masked(session_for: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The loggers of requests and urllib3 pass nothing that a live secret holds."""
    caplog.set_level(logging.DEBUG)
    with serve() as server:
        session_for(server).get(server.url)
        for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
            logging.getLogger(name).debug("sent %s", f"Bearer {CANARY}")

    assert 3 == caplog.text.count("[redacted]")
    assert CANARY not in caplog.text


def test_the_debug_switch_of_http_client_prints_nothing(
    session_for: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``HTTPConnection.debuglevel = 1`` is often set to see requests; it would print the credential."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    with serve() as server:
        session_for(server).get(server.url)

    assert ("", "") == tuple(capsys.readouterr())
