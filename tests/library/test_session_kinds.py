"""Each static kind of credential, from the sealed vault to what an MCP server receives with every message."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from pool_house import vault_with
from requests.auth import AuthBase

from mcpvault import Secret, Vault
from mcpvault.testing import FakeMcpServer

SECRET = "s3cret-of-one-kind-Zq81"
BASIC = base64.b64encode(f"ada:{SECRET}".encode()).decode()
VERSION = {"X-API-Version": "2024-01-01"}
KINDS: list[tuple[dict[str, Any], str | None, dict[str, str]]] = [
    ({"auth": {"kind": "none"}}, None, {}),
    ({"auth": {"kind": "bearer"}}, "auth.token", {"authorization": f"Bearer {SECRET}"}),
    ({"auth": {"kind": "bearer", "header": "X-Key", "scheme": "Token"}}, "auth.token", {"x-key": f"Token {SECRET}"}),
    ({"auth": {"kind": "bearer", "header": "X-API-Key", "scheme": ""}}, "auth.token", {"x-api-key": SECRET}),
    ({"auth": {"kind": "header", "name": "X-Own"}}, "auth.value", {"x-own": SECRET}),
    ({"auth": {"kind": "basic", "username": "ada"}}, "auth.password", {"authorization": f"Basic {BASIC}"}),
    ({}, "headers.X-API-Key", {"x-api-key": SECRET}),
]


@pytest.mark.parametrize(("entry", "field", "expected"), KINDS)
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_each_kind_reaches_its_server(
    home: Path, fake_mcp_servers: Callable[..., FakeMcpServer], era: str, entry: dict[str, Any], field: str | None,
    expected: dict[str, str],
) -> None:  # fmt: skip
    """The credential and the entry's further headers stand in each request, and no other credential does."""
    server = fake_mcp_servers(era=era)
    vault, env = vault_with(home, {})
    with vault.change() as change:
        change.add_server("x", {"url": server.url, "headers": VERSION, **entry})
        if field is not None:
            change.set_secret("x", field, Secret(SECRET))

    with Vault.open(env=env).session("x") as session:
        assert "hi" == session.call_tool("echo", {"message": "hi"}).text()

    looked_at = {"authorization", "x-key", "x-own", "x-api-key", "x-api-version"}
    for request in server.requests:
        sent = {name: value for name, value in request.headers.items() if name.lower() in looked_at}
        assert {**expected, "x-api-version": "2024-01-01"} == {name.lower(): value for name, value in sent.items()}


def test_an_authentication_of_ones_own_replaces_the_entrys(
    home: Path, fake_mcp_servers: Callable[..., FakeMcpServer]
) -> None:
    """A caller's ``AuthBase`` signs each request of the session; the entry's token stays at home."""

    class Own(AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = "Own scheme"
            return request

    server = fake_mcp_servers()
    vault, env = vault_with(home, {})
    with vault.change() as change:
        change.add_server("x", {"url": server.url, "auth": {"kind": "bearer"}})
        change.set_secret("x", "auth.token", Secret(SECRET))

    with Vault.open(env=env).session("x", auth=Own()) as session:
        session.list_tools()

    assert {"Own scheme"} == {request.headers["authorization"] for request in server.requests}
