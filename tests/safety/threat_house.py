"""A user with a vault on the one side, and attackers of every kind on the other: what the threat tests begin with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from walking import windows

from mcpvault import Secret, Session, Vault
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer, user_agent
from mcpvault.testing.authorization_server import REDIRECT_URI
from mcpvault.testing.listener import Recorded
from mcpvault.vault.slots import NewSlot, RawKey

_KIND = re.compile(r"^[a-z]+-")


class Person:
    """Somebody who consents to whatever is asked; *twist* is what an attacker does to the address that comes back."""

    redirect_uri = REDIRECT_URI

    def __init__(self, twist: Callable[[str], str] = str) -> None:
        self.visited: list[str] = []
        self._twist = twist

    def redirect(self, url: str) -> str:
        """Visit *url*, and return where that led."""
        self.visited.append(url)
        return self._twist(user_agent.follow(url.replace("https://mcp.example.com", "http://127.0.0.1")))


class Victim:
    """A vault in a home; every session is that of another run."""

    def __init__(self, home: Path, env: Mapping[str, str] | None = None) -> None:
        key = RawKey.generate()
        place = home / "key"
        place.touch(0o600)
        place.write_text(key.text.reveal() + "\n")
        self.home = home
        self.env = {"HOME": str(home), "MCPVAULT_KEY_FILE": str(place), **(env or {})}
        self._closing = ExitStack()
        Vault.create(slots=[NewSlot.raw("me", key)], env=self.env)

    @property
    def vault(self) -> Vault:
        """The vault, opened anew."""
        return Vault.open(env=self.env)

    def add(
        self,
        url: str,
        *,
        name: str = "x",
        secrets: Mapping[str, str] | None = None,
        entry: Mapping[str, Any] | None = None,
        **auth: Any,
    ) -> None:
        """Add an OAuth entry; *secrets* are sealed into its ``auth``, *entry* stands beside it."""
        with self.vault.change() as change:
            change.add_server(name, {"url": url, **(entry or {}), "auth": {"kind": "oauth", **auth}})
            for field, secret in (secrets or {}).items():
                change.set_secret(name, f"auth.{field}", Secret(secret))

    def session(self, name: str = "x", **options: Any) -> Session:
        """Return a session of a new run."""
        session = self.vault.session(name, **options)
        self._closing.callback(session.close)
        return session

    def log_in(self, name: str = "x") -> None:
        """Let a person log in."""
        self.session(name, auth=Person()).authenticate()

    def token(self, name: str = "x") -> str:
        """Return the access token that is stored."""
        return self.vault.authorization(name).tokens().access_token.reveal()

    def files(self) -> Iterator[tuple[Path, str]]:
        """Yield every file of the home but the key, with its text."""
        for path in self.home.rglob("*"):
            if path.is_file() and path.name != "key":
                yield path, path.read_bytes().decode("utf-8", "replace")

    def close(self) -> None:
        """End every session."""
        self._closing.close()


@contextmanager
def victim_in(home: Path, env: Mapping[str, str] | None = None) -> Iterator[Victim]:
    """Give a victim a home."""
    victim = Victim(home, env)
    try:
        yield victim
    finally:
        victim.close()


def issued_by(*issuers: FakeAuthorizationServer) -> list[str]:
    """Return every token, code, verifier and secret that *issuers* gave out or were shown; they say how each begins."""
    found: list[str] = []
    for issuer in issuers:
        ledger = issuer.ledger
        found += [*ledger.access, *ledger.refresh, *ledger.codes]
        found += [text for client in issuer.clients for text in (client.secret, client.access_token) if text]
        found += [text for each in issuer.called("token") if (text := each.form.get("code_verifier"))]
    return [_KIND.sub("", text) for text in found]


def holding(requests: Sequence[Recorded], *secrets: str) -> list[str]:
    """Name the requests in which a window of a secret can be seen, in any of their parts."""
    sought = [window for secret in secrets for window in windows(secret)]

    def text(request: Recorded) -> str:
        return f"{request.path} {dict(request.headers)} {request.body.decode('latin-1')}"

    return [f"{each.method} {each.place}" for each in requests if any(window in text(each) for window in sought)]


def leaks(text: str, secrets: Sequence[str]) -> list[str]:
    """Name the secrets of which *text* holds a window."""
    return [secret for secret in secrets if any(window in text for window in windows(secret))]


def naming(server: FakeMcpServer, issuer: FakeAuthorizationServer, *issuers: str, **protection: Any) -> None:
    """Let the metadata of *server* name *issuers*; the tokens that it takes are those of *issuer*."""
    server.protect(issuer, authorization_servers=list(issuers), **protection)
