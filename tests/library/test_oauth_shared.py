"""One grant for several users of it: entries that share a credential, other HTTP APIs, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from library_house import Consenting, House

from mcpvault import Vault
from mcpvault.errors import (
    AuthorizationRequiredError,
    BindingMismatchError,
    ConfigurationError,
    InsufficientScopeError,
    McpVaultError,
    OriginMismatchError,
)
from mcpvault.testing import FakeMcpServer

# Entries that share a credential


def test_entries_that_share_a_credential_share_its_tokens(house: House) -> None:
    """One login serves both, one refresh too; the record names both."""
    house.add("one", credential="team")
    house.add("other", credential="team")
    house.log_in("one")

    house.session("other").list_tools()
    house.age(3600, "one")
    for name in ("other", "one", "other"):
        house.session(name).list_tools()

    assert 1 == house.issuer.redemptions
    assert house.record("one") == house.record("other")


def test_an_entry_may_share_the_credential_of_another_by_its_name(house: House) -> None:
    """The default credential is the entry's name, and another may name it."""
    house.add("beside", credential="x")
    house.log_in("x")

    assert 6 == len(house.session("beside").list_tools())


@pytest.mark.parametrize(
    ("difference", "named"),
    [
        ({"url": "https://elsewhere.example/mcp"}, "origin"),
        ({"client_id": "another"}, "client_id"),
        ({"dpop": True}, "dpop"),
    ],
    ids=["origin", "client", "dpop"],
)
def test_entries_for_different_things_cannot_share(house: House, difference: dict[str, str], named: str) -> None:
    """A token would go where it is not for: both entries are refused before anything is sent."""
    house.add("y", credential="x", **difference)

    for name in ("x", "y"):
        with pytest.raises(BindingMismatchError, match=f"their {named} differs"):
            house.session(name)
    assert [] == house.server.requests


def test_a_token_stays_where_it_was_granted(house: House, fake_mcp_servers: Callable[..., FakeMcpServer]) -> None:
    """An entry whose URL now leads elsewhere has no grant; nothing of the old one is sent there, or refreshed."""
    house.log_in()
    elsewhere = fake_mcp_servers(token="another")
    with house.vault.change() as change:
        change.set_plain("x", "url", elsewhere.url)

    with pytest.raises(AuthorizationRequiredError, match="wants a login"):
        house.session().list_tools()

    assert elsewhere.requests
    assert not any("authorization" in request.headers for request in elsewhere.requests)
    assert [] == house.asked()


def test_a_token_of_one_tenant_is_not_for_another(house: House) -> None:
    """Many MCP servers of different people may share an origin: a URL whose path changes has no grant either."""
    house.log_in()
    with house.vault.change() as change:
        change.set_plain("x", "url", house.server.url.replace("/mcp", "/another/mcp"))
    house.server.requests.clear()

    with pytest.raises(McpVaultError):
        house.session().list_tools()

    assert house.server.requests
    assert not any("authorization" in request.headers for request in house.server.requests)
    assert [] == house.asked()


@pytest.mark.parametrize("field", ["issuer", "client_id", "resource"])
def test_a_grant_ends_where_the_entry_names_another(house: House, field: str) -> None:
    """A pinned issuer, resource or client that is not the grant's makes it one for something else."""
    house.log_in()
    with house.vault.change() as change:
        change.set_plain("x", f"auth.{field}", "https://another.example/")

    with pytest.raises(AuthorizationRequiredError, match="wants a login"):
        house.session().list_tools()

    assert [] == house.asked()


# Other users of the token


def test_any_api_at_the_origin_gets_the_token(house: House) -> None:
    """``requests_session`` signs requests, refreshes on 401, and sends nothing to another origin."""
    house.log_in()
    url = house.server.url
    with house.vault.requests_session("x") as session:
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
        headers = {"Accept": "application/json, text/event-stream"}
        assert 200 == session.post(url, json=message, headers=headers).status_code
        house.age(3600)
        assert 200 == session.post(url, json=message, headers=headers).status_code
        with pytest.raises(OriginMismatchError):
            session.get(house.issuer.url("jwks"))

    assert 1 == house.issuer.redemptions


def test_the_token_and_the_headers_for_other_programs(house: House) -> None:
    """``token`` and ``headers`` refresh what is due; without a grant they name the command."""
    with pytest.raises(AuthorizationRequiredError, match="nobody has logged in") as caught:
        house.vault.token("x")
    assert "mcpvault login x" == caught.value.login_command
    house.log_in()
    house.age(3600)

    token = house.vault.token("x")

    assert {"Authorization": f"Bearer {token.reveal()}"} == {k: v.reveal() for k, v in house.vault.headers("x").items()}
    assert (1, True) == (house.issuer.redemptions, house.issuer.introspect(token.reveal())["active"])


def test_bound_tokens_are_not_handed_out(build: Callable[..., House]) -> None:
    """With DPoP a token alone is of no use: ``token`` and ``headers`` say so, ``requests_session`` makes the proofs."""
    house = build(policy={"dpop": "required"})
    house.add(dpop=True)
    house.log_in()

    for ask in (house.vault.token, house.vault.headers):
        with pytest.raises(ConfigurationError, match=r"bound to a key.*DPoP") as caught:
            ask("x")
        assert "requests_session" in str(caught.value.hint)
    with house.vault.requests_session("x") as session:
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
        headers = {"Accept": "application/json, text/event-stream"}
        assert 200 == session.post(house.server.url, json=message, headers=headers).status_code


def test_a_403_of_another_api_is_the_callers_unless_it_wants_scope(build: Callable[..., House]) -> None:
    """``insufficient_scope`` becomes the error with the command; any other 403 is an answer."""
    house = build(scopes=["read"], required_scope="admin")
    house.add()
    house.log_in()
    with house.vault.requests_session("x") as session:
        with pytest.raises(InsufficientScopeError) as caught:
            session.post(house.server.url, json={})
        house.server.protection.challenge = 'Bearer error="access_denied"'  # type: ignore[union-attr]
        assert 403 == session.post(house.server.url, json={}).status_code
    assert 'mcpvault login x --scope "read admin"' == caught.value.login_command


# What is kept


def test_persist_refresh_keeps_no_access_token(build: Callable[..., House]) -> None:
    """The next run refreshes first: an access token is in no file, whatever process asks."""
    house = build()
    house.add(persist="refresh")
    house.log_in()
    session = house.session()
    session.list_tools()
    session.list_tools()
    assert 1 == house.issuer.redemptions

    house.session().list_tools()

    assert (2, 0) == (house.issuer.redemptions, house.issuer.reuse_detected)
    assert "" == house.record().tokens.access_token.reveal()  # type: ignore[union-attr]


def test_persist_none_leaves_nothing(build: Callable[..., House]) -> None:
    """The grant lives as long as the ``Vault`` object, for all of its sessions, and is in no file."""
    house = build()
    house.add(persist="none")
    vault = Vault.open(env=house.env)
    with vault.session("x", auth=Consenting()) as session:
        session.list_tools()
    with vault.session("x") as session:
        session.list_tools()

    assert vault.token("x")
    assert 1 == len(house.issuer.called("authorize"))
    assert not [path for path in house.vault.state.path.iterdir() if path.name.startswith(("token-", "pending-"))]
    with pytest.raises(AuthorizationRequiredError):
        house.session().list_tools()
