"""A user with a vault, and servers that ask for OAuth: what the tests of the library's OAuth surface begin with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mcpvault import AuthState, Secret, Session, Vault
from mcpvault.state.record import TokenRecord
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer, user_agent
from mcpvault.testing.authorization_server import REDIRECT_URI
from mcpvault.testing.listener import Recorded
from mcpvault.vault.slots import NewSlot, RawKey


class Consenting:
    """A person who consents to everything; an ``OAuthProvider``."""

    def __init__(self, allow: bool = True, redirect_uri: str = REDIRECT_URI) -> None:
        self.redirect_uri = redirect_uri
        self.visited: list[str] = []
        self._allow = allow

    def redirect(self, url: str) -> str:
        """Follow the URL to where it redirects."""
        self.visited.append(url)
        return user_agent.follow(url, allow=self._allow)


class House:
    """
    A vault in the home of this test, an authorization server and an MCP server that trusts it.

    Args:
        home: The home.
        issuer: The authorization server.
        server: The MCP server; the entry ``x`` is for it.
        env: What is in the environment besides HOME and the key.
    """

    def __init__(
        self, home: Path, issuer: FakeAuthorizationServer, server: FakeMcpServer, env: Mapping[str, str] | None = None
    ) -> None:
        self.issuer = issuer
        self.server = server
        key = home / "key"
        if not key.exists():
            key.touch(0o600)
            key.write_text((raw := RawKey.generate()).text.reveal() + "\n")
        self.env = {"HOME": str(home), "MCPVAULT_KEY_FILE": str(key), **(env or {})}
        self.vault = Vault.create(slots=[NewSlot.raw("me", raw)], env=self.env)
        self.events: list[AuthState] = []
        self.closing = ExitStack()

    def add(
        self, name: str = "x", *, url: str | None = None, secrets: Mapping[str, str] | None = None, **auth: Any
    ) -> None:
        """Add an OAuth entry; *secrets* are sealed into it, a ``credential`` goes to the entry itself."""
        entry = {
            "url": url or self.server.url,
            **({"credential": auth.pop("credential")} if "credential" in auth else {}),
        }
        with self.vault.change() as change:
            change.add_server(name, {**entry, "auth": {"kind": "oauth", **auth}})
            for field, secret in (secrets or {}).items():
                change.set_secret(name, f"auth.{field}", Secret(secret))
        self.vault = Vault.open(env=self.env)

    def allow_commands(self) -> None:
        """Let ``${cmd:}`` references run."""
        with self.vault.change() as change:
            change.set_allow_commands(True)
        self.vault = Vault.open(env=self.env)

    def session(self, name: str = "x", **options: Any) -> Session:
        """Return a session of another run of the program, whose states are collected in ``events``."""
        options.setdefault("on_event", self.events.append)
        session = Vault.open(env=self.env).session(name, **options)
        self.closing.callback(session.close)
        return session

    def log_in(self, name: str = "x", scope: str | None = None) -> None:
        """Let a person log in, and forget what that took."""
        self.session(name, auth=Consenting()).authenticate(scope=scope)
        self.asked()
        self.events.clear()

    def age(self, seconds: float, name: str = "x", *, at_server: bool = True) -> None:
        """Let the stored tokens be older than they are, and the server's."""
        self.issuer.advance(seconds if at_server else 0)
        store = self.vault.authorization(name).store
        with store.exclusive():
            record = store.read()
            assert record is not None
            held = record.tokens
            assert held is not None
            ends = None if held.expires_at is None else held.expires_at - seconds
            store.write(record.replaced(tokens=held.replaced(issued_at=held.issued_at - seconds, expires_at=ends)))

    def move_token_endpoint(self, url: str, name: str = "x") -> None:
        """Let what is remembered of the authorization server have its token endpoint at *url*."""
        store = self.vault.authorization(name).store
        with store.exclusive():
            record = store.read()
            assert record is not None
            assert record.server is not None
            store.write(record.replaced(server=record.server.replaced(token_endpoint=url)))

    def asked(self) -> list[str]:
        """Return what was asked of the authorization server so far, in order, and forget it."""
        paths = [_what(request) for request in self.issuer.requests]
        self.issuer.requests.clear()
        return paths

    def record(self, name: str = "x") -> TokenRecord:
        """Return what is stored of the entry's grant."""
        record = self.vault.authorization(name).store.read()
        assert record is not None
        return record

    def withdraw(self, name: str = "x") -> None:
        """Let the person revoke the grant at the authorization server."""
        held = self.record(name).registration
        assert held is not None
        self.issuer.withdraw(held.client_id)


def _what(request: Recorded) -> str:
    return request.form.get("grant_type") or request.place.rpartition("/")[2]


def until(condition: Callable[[], object], *, patience: float = 20.0) -> None:
    """Wait for *condition*; it is another thread's doing."""
    ends = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.005)
