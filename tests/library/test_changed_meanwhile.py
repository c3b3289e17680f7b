"""An entry that is changed while a session goes on: what is there now is for another server, and is not sent by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from library_house import House

from mcpvault import Secret, Vault
from mcpvault.errors import BindingMismatchError
from mcpvault.interop.adapters.carried import Carried
from mcpvault.testing import FakeAuthorizationServer, FakeMcpServer

OLD, NEW = "old-token-9fXk21mQ", "new-token-4tRb77zL"


@pytest.fixture
def static(home: Path, fake_mcp_servers: Callable[..., FakeMcpServer]) -> Iterator[House]:
    """A house whose entry ``x`` has a sealed token for its server."""
    with FakeAuthorizationServer() as nobody:
        house = House(home, nobody, fake_mcp_servers(token=OLD))
        with house.closing:
            with house.vault.change() as change:
                change.add_server("x", {"url": house.server.url, "auth": {"kind": "bearer"}})
                change.set_secret("x", "auth.token", Secret(OLD))
            yield house


def by_session(vault: Vault, url: str) -> Callable[[], object]:
    """Open an MCP session; return a call on it."""
    return vault.session("x").list_tools


def by_requests(vault: Vault, url: str) -> Callable[[], object]:
    """Open a session for any API; return a call on it."""
    session = vault.requests_session("x")
    return lambda: session.get(url)


def by_another_library(vault: Vault, url: str) -> Callable[[], object]:
    """Let another library carry the credential; return a call."""
    carried = Carried(vault, "x")

    def call() -> None:
        request = SimpleNamespace(method="POST", url=url, headers={}, read=bytes)
        flow = carried.sync_auth_flow(request)
        next(flow)
        while True:
            flow.send(requests.post(url, headers=request.headers, timeout=10))

    return call


@pytest.mark.parametrize("path", ["", "/another/mcp"], ids=["origin", "path"])
@pytest.mark.parametrize("carry", [by_session, by_requests, by_another_library])
def test_a_token_for_a_new_place_is_not_sent_to_the_old_one(
    static: House,
    fake_mcp_servers: Callable[..., FakeMcpServer],
    carry: Callable[[Vault, str], Callable[[], object]],
    path: str,
) -> None:
    """The old server refuses what it knows, to be sent what has come into the vault for another origin, or path."""
    old = static.server
    call = carry(Vault.open(env=static.env), old.url)
    new = old.url.replace("/mcp", path) if path else fake_mcp_servers(token=NEW).url
    with static.vault.change() as change:
        change.set_plain("x", "url", new, rebind=True)
        change.set_secret("x", "auth.token", Secret(NEW))
    old.misbehave("unauthorized")

    with pytest.raises(BindingMismatchError, match="its url was changed"):
        call()

    assert {f"Bearer {OLD}"} == {request.headers["authorization"] for request in old.requests}
