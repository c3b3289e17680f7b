"""What a person has consented to is not wasted: by a state that takes nothing, a server that fails, a wrong address."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from library_house import Consenting, House

from mcpvault.errors import (
    AuthorizationFailedError,
    BusyError,
    ConfigurationError,
    PermissionsError,
    ServerUnavailableError,
    UsageError,
)

PAGE = "http://127.0.0.1:8200/oauth/done"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def obstruct(house: House) -> None:
    """Let the state take nothing more, for its owner and for root alike."""
    lock = house.vault.state.path / "token-x.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir(parents=True)


def living(house: House) -> int:
    """Return how many grants live at the authorization server."""
    grants = {id(each.grant): each.grant for each in house.issuer.ledger.refresh.values()}
    return sum(not grant.revoked for grant in grants.values())


class Obstructed(Consenting):
    """A person in whose time the state takes nothing more."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self._house = house

    def redirect(self, url: str) -> str:
        """Consent."""
        obstruct(self._house)
        return super().redirect(url)


def test_nobody_is_asked_for_what_cannot_be_kept(house: House) -> None:
    """A state that cannot be written is told before a client is registered, and before anybody consents."""
    (house.vault.state.path).mkdir(parents=True, exist_ok=True, mode=0o700)
    obstruct(house)
    person = Consenting()

    with pytest.raises(PermissionsError, match="cannot be locked") as caught:
        house.session(auth=person).authenticate()
    assert f"make {house.vault.state.path} writable" == caught.value.hint
    with pytest.raises(PermissionsError, match="cannot be locked"):
        house.session().authorization_url(PAGE)

    assert [] == person.visited
    assert [] == house.issuer.called("register")


def test_nobody_is_asked_while_the_tokens_are_held(house: House) -> None:
    """A refresh that does not end in time is told before anybody consents."""
    person = Consenting()
    with house.vault.authorization("x").store.exclusive(), pytest.raises(BusyError):
        house.session(auth=person).authenticate(timeout=0.5)

    assert [] == person.visited


def test_what_cannot_be_kept_is_given_back(house: House) -> None:
    """The state fails after the consent: what was granted does not live on, and the error says so."""
    with pytest.raises(PermissionsError, match="refresh_token: revoked"):
        house.session(auth=Obstructed(house)).authenticate()

    assert 0 == living(house)


def test_an_older_grant_is_not_risked_for_that(house: House) -> None:
    """An issuer may end both at once: beside a grant that is kept the new one is left alone, and told."""
    house.log_in()

    with pytest.raises(PermissionsError, match="it can be ended at " + house.issuer.issuer):
        house.session(auth=Obstructed(house)).authenticate()

    assert [] == house.issuer.called("revoke")
    assert 6 == len(house.session().list_tools())


def test_another_address_leaves_the_login_waiting(house: House) -> None:
    """An application behind a proxy passes the address that it sees: refused; the right one ends the login."""
    session = house.session()
    redirected = house.issuer.follow(session.authorization_url(PAGE))

    with pytest.raises(UsageError, match="not the URL"):
        session.complete_authorization(redirected.replace("127.0.0.1:8200", "10.0.0.3:8000"))
    session.complete_authorization(redirected)

    assert 6 == len(session.list_tools())


@pytest.mark.parametrize("part", ["{query}", "?{query}", PAGE + "?{query}"])
def test_the_query_of_the_address_will_do(house: House, part: str) -> None:
    """Frameworks hand out the query alone, with its mark or without."""
    session = house.session()
    query = house.issuer.follow(session.authorization_url(PAGE)).partition("?")[2]

    session.complete_authorization(part.format(query=query))

    assert 6 == len(session.list_tools())


def test_an_outage_leaves_the_login_waiting(house: House) -> None:
    """A token endpoint that answers 502 has not looked at the code: the same address ends the login afterwards."""
    session = house.session()
    redirected = house.issuer.follow(session.authorization_url(PAGE))
    house.issuer.misbehave("bad-gateway", on="authorization_code", times=1)

    with pytest.raises(ServerUnavailableError) as caught:
        session.complete_authorization(redirected)
    assert "try again with the same address" == caught.value.hint
    session.complete_authorization(redirected)

    assert 6 == len(session.list_tools())
    with pytest.raises(AuthorizationFailedError, match="used before"):
        session.complete_authorization(redirected)


def test_a_machine_takes_no_persons_login(build: Callable[..., House]) -> None:
    """The entry of a machine would act as whoever logged in: refused before anything is asked."""
    house = build(policy={"grant_types": ("authorization_code", "refresh_token", "client_credentials")})
    made = house.issuer.register("robot", auth_method="client_secret_basic", grant_types=["client_credentials"])
    secrets = {"client_secret": str(made.secret)}
    house.add(kind="client_credentials", client_id="robot", issuer=house.issuer.issuer, secrets=secrets)
    session = house.session()

    with pytest.raises(ConfigurationError, match="takes no person's login"):
        session.authorization_url(PAGE)
    with pytest.raises(ConfigurationError, match="takes no person's login"):
        session.complete_authorization(f"{PAGE}?code=c&state=s")
    assert [] == house.asked()
