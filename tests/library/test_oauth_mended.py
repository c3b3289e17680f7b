"""What an error says that one can do about it, done: the next run sees it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from library_house import House

from mcpvault import Vault
from mcpvault.errors import AuthorizationFailedError, ServerUnavailableError

SECRET = "s3cret-s3cret"


def test_another_scope_is_asked_for_at_once(build: Callable[..., House]) -> None:
    """The pause after ``invalid_scope`` is for the scope that was refused, and not for what the hint advises."""
    house = build(policy={"grant_types": ("client_credentials",)})
    house.issuer.register("m", auth_method="client_secret_basic", secret=SECRET, grant_types=["client_credentials"])
    told = {"kind": "client_credentials", "client_id": "m", "issuer": house.issuer.issuer, "scope": "wrong"}
    house.add(**told, secrets={"client_secret": SECRET})
    house.issuer.misbehave("oauth-error", on="client_credentials", error="invalid_scope")
    for _ in range(5):
        with pytest.raises(AuthorizationFailedError) as caught:
            house.vault.authorization("x").renew(expiring=None, adopt=False, timeout=20)
    assert "auth.scope of the entry" in (caught.value.hint or "")
    house.issuer.behave()
    house.asked()
    with pytest.raises(AuthorizationFailedError, match="no token request for another"):
        house.session().list_tools()
    assert [] == house.asked()

    with house.vault.change() as change:
        change.set_plain("x", "auth.scope", "mcp:read")
    house.vault = Vault.open(env=house.env)

    assert 6 == len(house.session().list_tools())
    assert "client_credentials" == house.asked()[-1]


def test_a_lost_beginning_is_tried_later(house: House) -> None:
    """Nothing is carried out by a look at metadata, or by the first request to a server: exit 4, and no warning."""
    house.issuer.misbehave("close-before-answer", on="metadata")
    with pytest.raises(ServerUnavailableError) as caught:
        house.vault.authorization("x").plan(scope=None, timeout=20)
    assert "try again later" == caught.value.hint
    house.issuer.behave()
    house.log_in()

    house.server.misbehave("close-before-answer")
    with pytest.raises(ServerUnavailableError) as caught:
        house.session().list_tools()
    assert "try again later" == caught.value.hint
    house.server.behave()
    assert 6 == len(house.session().list_tools())
