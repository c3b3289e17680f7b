"""``invalid_client`` in the middle of a rotation: the client proves itself by its other secret, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from issuer_house import IssuerHouse, issuer_house

from mcpvault import Secret
from mcpvault.errors import AuthorizationFailedError, McpVaultError, TransportError
from mcpvault.state.fallbacks import counted


@pytest.fixture
def house(home: Path) -> Iterator[IssuerHouse]:
    """A vault with a client secret, at an issuer that ends the old one when it makes another."""
    with issuer_house(home, renew_secrets=True) as made:
        made.with_secret()
        yield made


def stuck_at_stored(house: IssuerHouse) -> None:
    """Let a rotation get its new secret, and be cut off before it is tried."""
    house.server.misbehave("bad-gateway")
    with pytest.raises(TransportError):
        house.begin(timeout=2.0)
    house.server.behave()
    assert "stored" == house.robot.step


def person_with_a_secret(house: IssuerHouse) -> None:
    """Add an entry whose client has a secret, and let its person log in."""
    house.issuer.register("web-1", auth_method="client_secret_basic", secret="secret-one-of-the-web-client")
    auth = {"kind": "oauth", "client_id": "web-1", "issuer": house.issuer.issuer}
    with house.open().change() as change:
        change.add_server("person", {"url": house.server.url, "auth": auth})
        change.set_secret("person", "auth.client_secret", Secret("secret-one-of-the-web-client"))
    session = house.open().session("person", auth=Consenting(house))
    session.authenticate()
    session.close()


def test_the_pending_secret_is_used_while_the_journal_is_open(house: IssuerHouse) -> None:
    """The issuer has ended the old secret, the new one is not promoted: a script gets its token all the same."""
    stuck_at_stored(house)

    assert house.works()

    assert (1, "pending") == counted(house.open().state, "robot", house.robot.id)[::2]
    assert "grace" == house.machine("robot").resume().step
    assert house.works()
    assert (1, "pending") == counted(house.open().state, "robot", house.robot.id)[::2]


def test_the_previous_secret_is_used_in_the_grace(house: IssuerHouse) -> None:
    """If the issuer goes back to the old secret in the grace, scripts do too."""
    old = house.client.secret
    house.begin()
    house.client.secret = old

    assert house.works()
    assert (1, "previous") == counted(house.open().state, "robot", house.robot.id)[::2]


def test_where_neither_is_good_the_first_refusal_stands(house: IssuerHouse) -> None:
    """Each secret is tried once, and the error is the issuer's."""
    stuck_at_stored(house)
    house.client.secret = "somebody-elses"
    before = len(house.issuer.called("token"))

    with pytest.raises(AuthorizationFailedError, match="invalid_client"):
        house.works()
    assert 2 == len(house.issuer.called("token")) - before


def test_without_a_rotation_nothing_else_is_tried(house: IssuerHouse) -> None:
    """A wrong secret is a wrong secret."""
    house.client.secret = "another"

    with pytest.raises(McpVaultError):
        house.works()
    assert 1 == len(house.issuer.called("token"))


def test_a_persons_refresh_goes_on_with_the_other_secret(house: IssuerHouse) -> None:
    """The refresh token of a confidential client is not spent by a refusal; the pending secret redeems it."""
    person_with_a_secret(house)
    house.issuer.clients["web-1"].secret = "secret-two-of-the-web-client"
    house.server.misbehave("bad-gateway")
    with pytest.raises(TransportError):
        house.machine("person", secret="secret-two-of-the-web-client", timeout=2.0).start(
            "auth.client_secret", "manual", grace="1h"
        )
    house.server.behave()

    done, _ = house.open().authorization("person").renew(expiring=None, adopt=False, timeout=10)

    assert (True, 0, 1) == (done, house.issuer.reuse_detected, house.issuer.redemptions)
    assert "grace" == house.machine("person").resume().step


def test_a_wrong_secret_of_a_persons_client_is_found_out_without_spending_anything(house: IssuerHouse) -> None:
    """The client proves itself with a refresh token that does not exist; the grant is as it was."""
    person_with_a_secret(house)

    with pytest.raises(McpVaultError, match="invalid_client.*rolled back"):
        house.machine("person", secret="wrong").start("auth.client_secret", "manual", grace="1h")

    assert (0, 0) == (house.issuer.redemptions, house.issuer.families_revoked)
    assert house.open().authorization("person").renew(expiring=None, adopt=False, timeout=10)[0]


class Consenting:
    """A way to log in that needs nobody."""

    redirect_uri = "http://127.0.0.1:8765/callback"

    def __init__(self, house: IssuerHouse) -> None:
        self.redirect: Callable[[str], str] = house.issuer.follow
