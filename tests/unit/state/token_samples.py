"""
A clock, a key, and an authorization server of a few lines that rotates refresh tokens and revokes on reuse.

The server lives in this process and is asked without a network; what it answers is read by ``mcpvault.oauth``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    ConfigurationError,
    ConnectFailedError,
    DeadlineExceededError,
    RemoteProtocolError,
    RequestLostError,
)
from mcpvault.http.failures import was_sent
from mcpvault.oauth.token_response import read_token
from mcpvault.oauth.wire import Answer
from mcpvault.secret import Secret
from mcpvault.state.files import StateDirectory
from mcpvault.state.grants import grant
from mcpvault.state.record import KeptAnswer, TokenRecord
from mcpvault.state.redemption import Exchange
from mcpvault.state.refresh import current
from mcpvault.state.store import StateStore
from mcpvault.state.tokens import TokenStore
from mcpvault.tokens import AuthorizationServer, Registration, TokenSet
from mcpvault.vault.state_sealing import seal_state, unseal_state

VAULT, HOST, OTHER_HOST = "AAECAwQFBgcICQoLDA0ODw", "h" * 32, "o" * 32
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
NOON = 1_790_000_000.0
LIFE = 3600
SERVER = AuthorizationServer(issuer="https://as.example", token_endpoint="https://as.example/token")
CLIENT = Registration(issuer="https://as.example", client_id="client-1", source="dynamic")


def seal(data: bytes, associated: bytes) -> str:
    """Seal as a vault of epoch 1 does."""
    return seal_state(KEY, 1, data, associated)


def unseal(line: str, associated: bytes) -> bytes:
    """Open what ``seal`` sealed."""
    return unseal_state(KEY, line, associated)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def move(self, seconds: float) -> None:
        """Let time pass, or run back."""
        self.now += seconds


def store_of(place: Path | StateStore, *, credential: str = "linear", host: str = HOST, **more: Any) -> TokenStore:
    """Return the store of a credential in the folder *place*, or in a ``StateStore``."""
    directory = StateDirectory(place) if isinstance(place, Path) else place
    return TokenStore(
        directory, credential, vault_id=VAULT, seal=seal, unseal=unseal, host=host, host_name="web01", **more
    )


@dataclass(repr=False)  # it would show the tokens that it has issued
class StrictServer:
    """
    An authorization server: every redemption rotates, a second one of the same token revokes the family.

    ``script`` says what happens to the next redemptions; after its end all are granted:
    ``grant``; ``lose``, the answer after rotating; ``drop``, the request; ``unreachable``; ``forbidden`` by us;
    ``hang``, for 21 s; ``http <status>``; ``html``; ``error <code>``; ``garbage``; ``keep``, without a new refresh
    token; ``cut``, half an answer after rotating; ``gateway``, a 504 after rotating; ``unsent``, the endpoint is none
    to ask; ``misread``, the answer is met by an entry that is wrong meanwhile; or a callable.
    """

    clock: Clock
    script: list[str | Callable[[], None]] = field(default_factory=list)
    grace: bool = False  # forgives one reuse of the token before
    life: float | None = LIFE
    redeemed: Counter[str] = field(default_factory=Counter)  # refresh token -> redemptions that arrived
    asked: int = 0
    revoked: bool = False
    serial: int = 0
    valid: str = ""
    before: str = ""
    left: bool = False  # whether the last request did
    misread: bool = False

    def login(self) -> TokenSet:
        """Return a new grant."""
        self.revoked, self.before = False, ""
        body = self._grant()
        return TokenSet(
            access_token=Secret(body["access_token"]),
            refresh_token=Secret(body["refresh_token"]),
            issued_at=self.clock(),
            expires_at=None if self.life is None else self.clock() + self.life,
            scope="read write",
            requested_scope="read write",
        )

    def _grant(self) -> dict[str, Any]:
        self.serial += 1
        self.valid = f"refresh-{self.serial:04d}-token"
        body = {"access_token": f"access-{self.serial:04d}-token", "token_type": "Bearer", "refresh_token": self.valid}
        return body if self.life is None else {**body, "expires_in": self.life}

    def _redeem(self, token: str) -> Answer:
        self.redeemed[token] += 1
        known = token == self.valid or (self.grace and token == self.before and self.before)
        if self.revoked or not known:
            self.revoked = True
            return _json(400, {"error": "invalid_grant", "error_description": "unknown"})
        self.before = token
        return _json(200, self._grant())

    def answer(self, record: TokenRecord, deadline: Deadline) -> Answer:
        """Redeem the refresh token of *record*, as the script says."""
        assert record.tokens is not None and record.tokens.refresh_token is not None
        token = record.tokens.refresh_token.reveal()
        self.asked += 1
        act = self.script.pop(0) if self.script else "grant"
        self.left = act != "unsent"
        if callable(act):
            act()
            act = "grant"
        if act == "unsent":
            raise RemoteProtocolError("linear: plain http, which would show secrets to the network")
        if act == "unreachable":
            raise ConnectFailedError("https://as.example: refused")
        if act == "forbidden":
            raise ConfigurationError("https://as.example: a private address")
        if act == "drop":
            raise RequestLostError("https://as.example: reset")
        if act == "hang":
            self.clock.move(21)
            raise DeadlineExceededError("https://as.example: no answer within 20 s")
        if act.startswith("http "):
            return Answer(status=int(act[5:]), headers={"retry-after": "7"}, body=b"busy")
        if act.startswith("error "):
            return _json(400, {"error": act[6:]})
        if act == "html":
            return Answer(status=200, headers={"content-type": "text/html"}, body=b"<html>please log in to the wifi")
        if act == "garbage":
            return _json(200, {"access_token": "a b", "token_type": "Bearer", "refresh_token": "next-refresh-token"})
        answer = self._redeem(token)
        self.misread = act == "misread"
        if act == "lose":
            raise RequestLostError("https://as.example: reset")
        if act == "cut" and answer.status == 200:
            return answer.replaced(body=answer.body[: len(answer.body) // 2])
        if act == "gateway":
            return Answer(status=504, headers={"content-type": "text/html"}, body=b"<html>gateway timeout")
        if act == "keep":
            body = json.loads(answer.body)
            del body["refresh_token"]
            self.valid = token
            return _json(200, body)
        return answer

    def exchange(self) -> Exchange:
        """Return what a refresh asks this server through."""

        def read(kept: KeptAnswer, record: TokenRecord) -> TokenSet:
            if self.misread:
                self.misread = False
                raise ConfigurationError("linear: private_key_jwt needs a private key")
            answer = Answer(status=kept.status, headers=kept.headers, body=kept.body)
            return read_token(
                answer, requested_scope=None, now=kept.asked_at, server_name="linear", previous=record.tokens, once=True
            )

        return Exchange(redeem=self.answer, was_sent=lambda error: self.left and was_sent(error), read=read)


def _json(status: int, told: dict[str, Any]) -> Answer:
    return Answer(status=status, headers={"content-type": "application/json"}, body=json.dumps(told).encode())


@dataclass
class House:
    """A logged-in credential, its server and the clock of both."""

    place: Path | StateStore
    clock: Clock = field(default_factory=Clock)
    life: float | None = LIFE
    kind: type[StrictServer] = StrictServer
    server: StrictServer = field(init=False)
    store: TokenStore = field(init=False)

    def __post_init__(self) -> None:
        self.server = self.kind(self.clock, life=self.life)
        self.store = store_of(self.place)
        self.login()

    def login(self) -> TokenRecord:
        """Log in."""
        return grant(self.store, self.server.login(), server=SERVER, registration=CLIENT, resource="https://h.example")

    def current(self, *, store: TokenStore | None = None, deadline: float | None = None, **how: Any) -> TokenRecord:
        """Ask for the token to send."""
        how.setdefault("clock", self.clock)
        return current(store or self.store, self.server.exchange(), deadline=Deadline(deadline), **how)

    def again(self) -> TokenStore:
        """Return the store as another process sees it."""
        return store_of(self.place)

    def record(self) -> TokenRecord:
        """Return what is on disk."""
        record = self.again().read()
        assert record is not None
        return record


def access(record: TokenRecord) -> str:
    """Return the access token of a record, in clear."""
    assert record.tokens is not None
    return record.tokens.access_token.reveal()
