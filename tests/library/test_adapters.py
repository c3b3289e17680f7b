"""The vault under libraries with an event loop of their own: their tokens are ours, and one refresh serves all."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from library_house import House

from mcpvault import Secret, Vault
from mcpvault.errors import ConfigurationError, OriginMismatchError
from mcpvault.interop.adapters.carried import Carried
from mcpvault.interop.adapters.fastmcp_storage import VaultStore

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "tests/peers/servers/adapter_client.py"
CLIENTS = pytest.mark.parametrize(
    ("peer", "adapter"),
    [
        ("mcp1", "async:httpx"),
        ("mcp1", "storage:httpx"),
        ("mcp2", "async:httpx2"),
        ("mcp2", "storage:httpx2"),
        ("fastmcp", "fastmcp"),
    ],
)
SYNC = [("mcp1", "sync:httpx"), ("mcp2", "sync:httpx2")]
Begin = Callable[[str, str], "subprocess.Popen[str]"]


@pytest.fixture
def begin(house: House, peer_path: Callable[[str], str]) -> Begin:
    """Start the program in the Python of a peer: ``begin(peer, adapter)``."""
    house.server.era = "legacy"  # what all three speak

    def started(peer: str, adapter: str) -> subprocess.Popen[str]:
        words = [peer_path(f"{peer}/bin/python"), str(PROGRAM), adapter, house.server.url]
        return subprocess.Popen(
            [*words, sysconfig.get_path("purelib"), str(ROOT)], env=house.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return started


def told(process: subprocess.Popen[str]) -> Any:
    """Return what a program printed."""
    out, err = process.communicate(timeout=120)
    assert (0, True) == (process.returncode, bool(out)), err
    return json.loads(out)


@pytest.mark.peer
@CLIENTS
def test_two_programs_with_an_expired_token_redeem_it_once(house: House, begin: Begin, peer: str, adapter: str) -> None:
    """Both find the token ended at the same time: one refreshes, both are served, and the grant is kept."""
    house.log_in()
    house.age(3600)

    programs = [begin(peer, adapter) for _ in range(2)]

    assert [6, 6] == [len(told(each)) for each in programs]
    assert 1 == house.issuer.redemptions
    assert 6 == len(house.session().list_tools())


@pytest.mark.peer
@CLIENTS
def test_without_a_grant_the_command_is_told(house: House, begin: Begin, peer: str, adapter: str) -> None:
    """Nobody has logged in: the program ends with our error, and nothing is registered or asked of a person."""
    assert {"error": "AuthorizationRequiredError", "hint": "run: mcpvault login x"} == told(begin(peer, adapter))
    assert not {"register", "authorize"} & set(house.asked())


@pytest.mark.peer
@pytest.mark.parametrize(("peer", "adapter"), SYNC)
def test_a_token_that_the_server_refuses_is_replaced(house: House, begin: Begin, peer: str, adapter: str) -> None:
    """A blocking client, too: a token that only the server knows to be over is refreshed after its 401."""
    house.log_in()
    house.issuer.advance(3600)

    assert 200 <= told(begin(peer, adapter)) < 500
    assert 1 == house.issuer.redemptions


@pytest.mark.parametrize(
    ("auth", "headers"), [({"kind": "header", "name": "X-Key"}, {}), ({"kind": "none"}, {"X-Api-Key": "${env:K}"})]
)
def test_a_header_that_may_go_astray_is_not_carried(
    house: House, auth: dict[str, str], headers: dict[str, str]
) -> None:
    """Other libraries take every header but ``Authorization`` along a redirect: such an entry is refused."""
    vault = Vault.open(env={**house.env, "K": "key-of-the-adapters"})
    with vault.change() as change:
        change.add_server("y", {"url": house.server.url, "auth": auth, "headers": headers})
        if auth["kind"] == "header":
            change.set_secret("y", "auth.value", Secret("value-of-the-adapters"))

    with pytest.raises(ConfigurationError, match="another host"):
        Carried(vault, "y")


class Request(NamedTuple):
    """As much of a request as is looked at."""

    url: str
    method: str = "GET"

    def read(self) -> None:
        """Have no body."""


def test_nothing_is_signed_for_another_origin(house: House) -> None:
    """The flow refuses before it looks for a token."""
    house.log_in()

    with pytest.raises(OriginMismatchError):
        next(Carried(house.vault, "x").sync_auth_flow(Request("https://elsewhere.example/mcp")))
    assert [] == house.asked()


def test_a_store_has_a_token_for_its_own_url_only(house: House) -> None:
    """Fastmcp asks by URL: for another one, on the same origin too, the answer is an error and no token."""
    with pytest.raises(OriginMismatchError):
        VaultStore(house.vault, "x").get(f"{house.server.url}2/tokens", collection="mcp-oauth-token").send(None)
