"""What a logout gives back: the grant that is kept, as the client that has it, whatever the entry says by now."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from library_house import Consenting, House

from mcpvault import Vault
from mcpvault.errors import BindingMismatchError, ConfigurationError
from mcpvault.giving_back import KINDS
from mcpvault.testing import FakeAuthorizationServer

REVOKED = [(kind, "revoked") for kind in KINDS]


def change(house: House, field: str, value: object) -> None:
    """Let an admin change *field* of ``x``."""
    with house.vault.change() as change:
        change.set_plain("x", field, value)
    house.vault = Vault.open(env=house.env)


def logged_out(house: House, name: str = "x", *, regardless: bool = False) -> list[tuple[str, str]]:
    """Log out; return what became of each token."""
    told = Vault.open(env=house.env).authorization(name).logout(timeout=10, regardless=regardless)
    return [(each.token, each.outcome) for each in told]


def living(house: House) -> int:
    """Return how many grants live at the authorization server."""
    grants = {id(each.grant): each.grant for each in house.issuer.ledger.refresh.values()}
    return sum(not grant.revoked for grant in grants.values())


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "/v2/mcp"), ("auth.client_id", "another"), ("auth.persist", "none")],
    ids=["url", "client", "persist"],
)
def test_a_grant_that_the_entry_no_longer_fits_is_given_back(house: House, field: str, value: str) -> None:
    """It lives on at its issuer: it is revoked there as the client that has it, and forgotten here."""
    house.log_in()
    change(house, field, house.server.url.replace("/mcp", value) if field == "url" else value)

    assert house.vault.authorization("x").keeps_grant()
    assert REVOKED == logged_out(house)
    assert 0 == living(house)
    assert [] == logged_out(house)
    assert not house.vault.authorization("x").keeps_grant()


def test_a_token_goes_back_to_the_issuer_that_gave_it(
    house: House, fake_authorization_servers: Callable[..., FakeAuthorizationServer]
) -> None:
    """An entry that names another issuer, with a client there, sends neither issuer what is the other's."""
    house.log_in()
    elsewhere = fake_authorization_servers()
    made = elsewhere.register("robot", auth_method="client_secret_post")
    with house.vault.change() as changed:
        changed.remove_server("x")
    house.add("x", client_id="robot", issuer=elsewhere.issuer, secrets={"client_secret": str(made.secret)})

    assert REVOKED == logged_out(house)
    assert [] == elsewhere.requests
    assert ["client_secret" in request.form for request in house.issuer.called("revoke")] == [False, False]


def test_a_token_is_given_back_by_the_machine_that_has_it(build: Callable[..., House]) -> None:
    """Its successor in the entry does not vouch for it: no secret of that client goes along, and it is told."""
    house = build(policy={"grant_types": ("client_credentials",)})
    secrets = {}
    for robot in ("a", "b"):
        made = house.issuer.register(robot, auth_method="client_secret_basic", grant_types=["client_credentials"])
        secrets[robot] = {"client_secret": str(made.secret)}
    about = {"kind": "client_credentials", "issuer": house.issuer.issuer}
    house.add(**about, client_id="a", secrets=secrets["a"])
    house.session().list_tools()
    with house.vault.change() as changed:
        changed.remove_server("x")
    house.add(**about, client_id="b", secrets=secrets["b"])

    told = dict(logged_out(house))

    assert "not revoked" in told["access_token"]
    asked = house.issuer.called("revoke")
    assert [("a", False)] == [(each.form["client_id"], "authorization" in each.headers) for each in asked]


def test_the_grant_of_another_entry_stays(house: House) -> None:
    """Entries with different paths may share a credential: whose grant it is not can neither end nor replace it."""
    house.add("y", credential="x", url=house.server.url.replace("/mcp", "/other/mcp"))
    house.log_in("x")

    with pytest.raises(BindingMismatchError, match="'x'"):
        logged_out(house, "y")
    with pytest.raises(BindingMismatchError, match="'x'"):
        house.session("y", auth=Consenting()).authenticate()

    assert (1, 6) == (living(house), len(house.session("x").list_tools()))


def test_what_cannot_be_revoked_for_a_mistake_is_kept(build: Callable[..., House]) -> None:
    """A client that cannot prove itself is told before anything is forgotten; mended, it gives the grant back."""
    house = build()
    made = house.issuer.register("conf", auth_method="client_secret_basic")
    house.add("x", client_id="conf", issuer=house.issuer.issuer, secrets={"client_secret": str(made.secret)})
    house.log_in()
    change(house, "auth.token_endpoint_auth_method", "private_key_jwt")

    with pytest.raises(ConfigurationError, match="x: nothing was forgotten.*private_key_jwt"):
        logged_out(house)
    assert house.vault.authorization("x").keeps_grant()

    change(house, "auth.token_endpoint_auth_method", "client_secret_basic")
    assert REVOKED == logged_out(house)


def test_what_a_removal_cannot_revoke_is_told(build: Callable[..., House]) -> None:
    """Without its entry nobody will mend the client: the tokens go, and it is said why they live on, and where."""
    house = build()
    made = house.issuer.register("conf", auth_method="client_secret_basic")
    house.add("x", client_id="conf", issuer=house.issuer.issuer, secrets={"client_secret": str(made.secret)})
    house.log_in()
    change(house, "auth.token_endpoint_auth_method", "private_key_jwt")

    told = dict(logged_out(house, regardless=True))

    assert "not revoked: " in told["refresh_token"]
    assert told["refresh_token"].endswith(f"it can be ended at {house.issuer.issuer}")
    assert not house.vault.authorization("x").keeps_grant()


def test_the_grant_of_another_host_is_not_ended(house: House) -> None:
    """State that was copied here belongs to the host that uses it: a logout here would end it there."""
    house.log_in()
    store = house.vault.authorization("x").store
    with store.exclusive():
        store.write(house.record().replaced(host="0" * 32, host_name="production"))

    with pytest.raises(ConfigurationError, match="belongs to production"):
        logged_out(house)
    assert house.vault.authorization("x").keeps_grant()

    assert [(kind, "forgotten here; production may use it") for kind in KINDS] == logged_out(house, regardless=True)
    assert 1 == living(house)


def test_an_abandoned_login_does_not_cost_a_grant_that_does_not_fit(house: House) -> None:
    """An admin pins another resource by mistake, somebody begins a login and leaves: put right, the grant is there."""

    class Leaving(Consenting):
        def redirect(self, url: str) -> str:
            raise KeyboardInterrupt

    house.log_in()
    above = house.server.url.removesuffix("/mcp")
    change(house, "auth.resource", above)
    house.issuer.resources.add(above)
    with pytest.raises(KeyboardInterrupt):
        house.session(auth=Leaving()).authenticate()
    with house.vault.change() as changed:
        changed.unset("x", "auth.resource")

    assert 6 == len(house.session().list_tools())
