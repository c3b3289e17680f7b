"""A home whose vault names a server that wants OAuth, and the browser that its owner uses."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from house import Home, new_vault

from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

BROWSER = f"{sys.executable} -m mcpvault.testing.user_agent %s &"
SCOPE = "mcp:read mcp:write"
ECHO = ("call", "demo", "echo", '{"message": "hello"}')
_ADDRESS = r"https?://\S+/authorize\?\S+"


@dataclass
class OAuthHouse(Home):
    """A home, the server ``demo`` of its vault, and the authorization server of that."""

    issuer: FakeAuthorizationServer
    server: FakeMcpServer

    def log_in(self, name: str = "demo", *, scope: str | None = None) -> None:
        """Log in, in this process: the fake browser consents."""
        session = self.open().session(name, auth=_Consenting(self.issuer))
        session.authenticate(scope=scope)
        session.close()

    @property
    def record(self) -> Path:
        """The state file of ``demo``."""
        return self.state / "token-demo.toml"


class _Consenting:
    """A provider that goes where it is sent and consents."""

    redirect_uri = "http://127.0.0.1:8765/callback"

    def __init__(self, issuer: FakeAuthorizationServer) -> None:
        self.redirect: Callable[[str], str] = issuer.follow


@contextmanager
def oauth_house(home: Path, **policy: Any) -> Iterator[OAuthHouse]:
    """Make a vault in *home* whose entry ``demo`` is an OAuth server on loopback that nobody has logged in to."""
    with FakeAuthorizationServer(**policy) as issuer, FakeMcpServer(authorization_server=issuer) as server:
        server.protection.scopes = SCOPE.split()  # type: ignore[union-attr]
        made = new_vault(home, server.url)
        with made.open().change() as change:
            change.remove_server("demo")
            change.add_server("demo", {"url": server.url, "auth": {"kind": "oauth"}})
        yield OAuthHouse(made.home, issuer, server)


def address_in(shown: str) -> str:
    """Return the authorization URL that a terminal shows."""
    found = re.search(_ADDRESS, shown)
    assert found is not None, shown
    return found[0]
