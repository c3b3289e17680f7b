"""A redemption without an answer: the error tells whether the token may have been redeemed, and nothing secret."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from http_servers import CANARY, Authority, Seen, serve
from redemptions import GRANTED, granting, redeemed
from test_http_secrecy import assert_clean

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    ConfigurationError,
    ConnectFailedError,
    DeadlineExceededError,
    HeaderRefusedError,
    McpVaultError,
    MessageTooLargeError,
    OriginMismatchError,
    RemoteProtocolError,
    RequestLostError,
)
from mcpvault.http import redeem, was_sent
from mcpvault.secret import Secret
from mcpvault.tokens import AuthorizationServer, Registration


def _lost(connection: socket.socket, seen: Seen) -> None:
    connection.close()


def _silent(connection: socket.socket, seen: Seen) -> None:
    connection.recv(1)


def _half(connection: socket.socket, seen: Seen) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + GRANTED + seen.body)
    connection.shutdown(socket.SHUT_RDWR)


def _rubbish(connection: socket.socket, seen: Seen) -> None:
    connection.sendall(seen.body + b"\r\n\r\n")
    connection.shutdown(socket.SHUT_RDWR)


def _endless(connection: socket.socket, seen: Seen) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(seen.body * 1000)


UNKNOWN = {
    _lost: RequestLostError,
    _half: RequestLostError,
    _silent: DeadlineExceededError,
    _rubbish: RemoteProtocolError,
    _endless: MessageTooLargeError,
}


@pytest.mark.parametrize("handle, kind", UNKNOWN.items(), ids=[handle.__name__.strip("_") for handle in UNKNOWN])
def test_when_it_may_have_been_redeemed_the_error_says_so(session_to: Any, handle: Any, kind: Any) -> None:
    """It was sent, once, and nobody knows what became of it; the error holds nothing of it."""
    with serve(handle) as server:
        with pytest.raises(kind) as caught:
            redeemed(session_to(server.origin), server.url, deadline=Deadline(1 if handle is _silent else 20))

        assert 1 == len(server.seen)
    assert was_sent(caught.value)
    assert_clean(caught.value)


def test_when_it_cannot_have_been_redeemed_the_error_says_so(session_to: Any, authority: Authority) -> None:
    """No connection, a foreign certificate, no time left, another origin, a bad header: nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with serve(context=authority.server_context()) as server, serve() as plain:
        cases: list[tuple[type[McpVaultError], str, str, dict[str, Any]]] = [
            (ConnectFailedError, nobody, f"{nobody}/token", {}),
            (ConnectFailedError, server.origin, server.url, {}),
            (DeadlineExceededError, plain.origin, plain.url, {"deadline": Deadline(0)}),
            (OriginMismatchError, plain.origin, "https://elsewhere.example/token", {}),
            (HeaderRefusedError, plain.origin, plain.url, {"headers": {"DPoP": "${x}"}}),
        ]
        for kind, origin, endpoint, changes in cases:
            with pytest.raises(kind) as caught:
                redeemed(session_to(origin), endpoint, form={"client_secret": Secret(CANARY)}, **changes)
            assert not was_sent(caught.value)
            assert_clean(caught.value)

        assert [] == server.seen + plain.seen


def test_what_was_given_in_clear_is_not_in_the_error(session_to: Any) -> None:
    """Secrets of the form and the head may be plain text; the traceback holds them no more than a ``Secret``."""
    with serve(_lost) as server, pytest.raises(RequestLostError) as caught:
        redeem(
            server=AuthorizationServer(issuer="https://as.example.com", token_endpoint=server.url),
            registration=Registration(issuer="https://as.example.com", client_id="c", source="dynamic"),
            refresh_token=Secret("rt"),
            resource=None,
            form={"client_assertion": CANARY},
            headers={"DPoP": CANARY},
            session=session_to(server.origin),
            deadline=Deadline(20),
        )

    assert_clean(caught.value)


def test_a_host_that_swallows_everything_was_not_reached(session_to: Any) -> None:
    """When the time ends while connecting, the token was not redeemed, and may be, later."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        clogs = [socket.socket() for _ in range(4)]
        for clog in clogs:
            clog.setblocking(False)
            clog.connect_ex(full.getsockname())
        origin = f"http://127.0.0.1:{full.getsockname()[1]}"
        with pytest.raises(DeadlineExceededError) as caught:
            redeemed(session_to(origin), f"{origin}/token", deadline=Deadline(0.5))
        for clog in clogs:
            clog.close()

    assert not was_sent(caught.value)


def test_a_discovered_endpoint_may_not_be_private(session_to: Any) -> None:
    """The guard is the session's; redeeming does not get around it."""
    with serve(granting) as server:
        with pytest.raises(ConfigurationError, match="a private address") as caught:
            redeemed(session_to(server.origin, discovered=True), server.url)

        assert ([], False) == (server.seen, was_sent(caught.value))
