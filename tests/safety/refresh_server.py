"""
A strict authorization server on loopback: it rotates refresh tokens, and a reuse revokes the whole family.

It writes down who redeemed what, may lose answers after it has rotated, and may be held in the middle of one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True)
class Redemption:
    """A redemption that arrived: the token, the process that sent it, what became of it, and the next token."""

    token: str
    pid: int
    outcome: str  # granted, forgiven, refused
    answered: bool
    successor: str | None


@dataclass
class StrictIssuer:
    """
    The server's mind.

    Args:
        life: Seconds that an access token lives.
        grace: Forgive one reuse of a token, as long as its successor was not used.
        loses: Every so many answers to a redemption are lost, 0: none.
        slow: Seconds between a rotation and its answer.
    """

    life: int = 3600
    grace: bool = False
    loses: int = 0
    slow: float = 0.0
    redemptions: list[Redemption] = field(default_factory=list)
    logins: int = 0
    issued: set[str] = field(default_factory=set)
    arrived: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    _serial: int = 0
    _families: dict[str, int] = field(default_factory=dict)  # refresh token -> family
    _valid: dict[int, str] = field(default_factory=dict)  # family -> its valid token
    _before: dict[int, str] = field(default_factory=dict)  # family -> the token before
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.go_on.set()

    def login(self) -> dict[str, Any]:
        """Begin a family."""
        with self._lock:
            self.logins += 1
            return self._grant(self.logins)

    def redeem(self, token: str, pid: int) -> dict[str, Any] | None:
        """Rotate *token*; None: the answer is lost."""
        self.arrived.set()
        self.go_on.wait(60)
        with self._lock:
            family = self._families.get(token, 0)
            forgiven = self.grace and token == self._before.pop(family, None)
            if token == self._valid.get(family) or forgiven:
                outcome, body = "forgiven" if forgiven else "granted", self._grant(family)
                if not forgiven:
                    self._before[family] = token
            else:
                outcome, body = "refused", {"error": "invalid_grant"}
                self._valid.pop(family, None)
            answered = not self.loses or (len(self.redemptions) + 1) % self.loses != 0
            self.redemptions.append(Redemption(token, pid, outcome, answered, body.get("refresh_token")))
        threading.Event().wait(self.slow)
        return body if answered else None

    def _grant(self, family: int) -> dict[str, Any]:
        self._serial += 1
        refresh, access = f"refresh-{self._serial:06d}", f"access-{self._serial:06d}"
        self._families[refresh], self._valid[family] = family, refresh
        self.issued.add(access)
        return {"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": self.life}

    def by_token(self) -> dict[str, list[Redemption]]:
        """Return the redemptions of each token, in order."""
        told: dict[str, list[Redemption]] = {}
        for each in self.redemptions:
            told.setdefault(each.token, []).append(each)
        return told


@contextmanager
def serving(issuer: StrictIssuer) -> Iterator[str]:
    """Serve *issuer*; the block is given the URL, to which ``/login`` and ``/token`` are added."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if self.path == "/login":
                body = issuer.login()
            else:
                body = issuer.redeem(form["refresh_token"][0], int(self.headers["X-Pid"]))
            if body is None:
                self.close_connection = True
                return
            data = json.dumps(body).encode()
            try:
                self.send_response(400 if "error" in body else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                pass  # whoever asked is dead

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
