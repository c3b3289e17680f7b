"""A client that the authorization server has forgotten: the next login registers another, and not one each time."""

from __future__ import annotations

import time

import pytest
from library_house import Consenting, House

from mcpvault import Vault
from mcpvault.errors import AuthorizationFailedError, UsageError


class Leaving:
    """A person who goes away in the middle of a login."""

    redirect_uri = Consenting().redirect_uri

    def redirect(self, url: str) -> str:
        """Close the browser."""
        raise UsageError("went away")


@pytest.fixture
def disowned(house: House) -> House:
    """A house where somebody has logged in, with a client that the server has forgotten since."""
    house.log_in()
    house.age(3600)
    house.issuer.misbehave("oauth-error", on="refresh_token", error="invalid_client", status=401, times=1)
    with pytest.raises(AuthorizationFailedError):
        house.session().list_tools()
    assert house.record().disowned
    house.asked()
    return house


def leave(house: House) -> list[str]:
    """Begin a login and give it up; return what was registered for it."""
    with pytest.raises(UsageError):
        house.session(auth=Leaving()).authenticate()
    return [each for each in house.asked() if each == "register"]


def test_abandoned_logins_register_one_client(disowned: House) -> None:
    """The new one is kept beside the grant, which stays as it is, and the login that ends uses it."""
    before = disowned.record()

    assert [["register"], [], []] == [leave(disowned) for _ in range(3)]
    kept = disowned.record()
    assert (before.tokens, before.registration) == (kept.tokens, kept.registration)
    assert kept.successor is not None

    disowned.log_in()
    assert 2 == len(disowned.issuer.clients)
    record = disowned.record()
    assert (kept.successor.client_id, None) == (
        record.registration.client_id if record.registration else "",
        record.successor,
    )
    assert 6 == len(disowned.session().list_tools())


def test_the_successor_does_not_live_for_ever(disowned: House) -> None:
    """A server that forgets its clients may have forgotten this one, too: after an hour another is registered."""
    assert [["register"], []] == [leave(disowned) for _ in range(2)]
    store = Vault.open(env=disowned.env).authorization("x").store
    with store.exclusive():
        record = store.read()
        assert record is not None
        store.write(record.replaced(successor_since=int(time.time()) - 3601))

    assert ["register"] == leave(disowned)


def test_a_page_of_the_applications_own_registers_one_client(disowned: House) -> None:
    """``authorization_url`` that nobody comes back from asks with the same client the next time."""
    for _ in range(2):
        disowned.session().authorization_url(Consenting().redirect_uri)

    assert 1 == disowned.asked().count("register")


def test_a_logout_does_not_bring_the_forgotten_client_back(disowned: House) -> None:
    """What the server has forgotten is forgotten here as well; the successor is the client from then on."""
    leave(disowned)
    successor = disowned.record().successor
    Vault.open(env=disowned.env).authorization("x").logout(timeout=10)
    disowned.asked()

    assert [] == leave(disowned)
    assert successor == disowned.record().registration
