"""A source of tokens, a server that accepts one of them, and two ways to post there."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

import pytest
from http_servers import CANARY, Seen, answer

from mcpvault.deadline import Deadline
from mcpvault.http import GuardedSession, RequestsExchange
from mcpvault.secret import Secret


class Source:
    """Tokens ``canary-0``, ``canary-1``, …: each rejection brings the next one."""

    def __init__(self, *, gives_up: bool = False) -> None:
        self.number = 0
        self.gives_up = gives_up
        self.asked: list[tuple[str, str]] = []
        self.deadlines: list[Deadline] = []
        self.given: list[Mapping[str, Secret]] = []
        self.rejections: list[tuple[Mapping[str, Secret], int, str | None]] = []
        self.nonces: list[str] = []

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Give the token that is current."""
        self.asked.append((method, url))
        self.deadlines.append(deadline)
        self.given.append({"Authorization": Secret(f"Bearer {CANARY}-{self.number}")})
        return self.given[-1]

    def rejected(self, sent: Mapping[str, Secret], status: int, headers: Mapping[str, str], deadline: Deadline) -> bool:
        """Go on to the next token, or give up."""
        self.rejections.append((sent, status, headers.get("www-authenticate")))
        self.deadlines.append(deadline)
        if self.gives_up:
            return False
        self.number += 1
        return True

    def answered(self, headers: Mapping[str, str]) -> None:
        """Keep the nonce."""
        self.nonces.append(headers["DPoP-Nonce"])


def accepts(number: int, status: str = "401 Unauthorized") -> Callable[[socket.socket, Seen], None]:
    """Answer 200 to token *number* and *status* to any other."""

    def handle(connection: socket.socket, seen: Seen) -> None:
        if seen.header("Authorization") == f"Bearer {CANARY}-{number}":
            answer(connection)
        else:
            answer(connection, b"no", status, ('WWW-Authenticate: Bearer error="invalid_token"',))

    return handle


def through_session(session: GuardedSession, url: str, body: bytes = b"body") -> int:
    """Post over the session and return the status."""
    return session.post(url, data=body).status_code


def through_exchange(session: GuardedSession, url: str, body: bytes = b"body") -> int:
    """Post through an exchange and return the status."""
    got = RequestsExchange(session, url).send("POST", {}, body, Deadline(20))
    while got.read1(100):
        pass
    return got.status


both = pytest.mark.parametrize("post", [through_session, through_exchange])
