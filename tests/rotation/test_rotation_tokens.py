"""Another grant in the place of an OAuth entry's tokens; the old one is revoked at the issuer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from issuer_house import IssuerHouse, issuer_house

from mcpvault.errors import AuthorizationRequiredError, ConfigurationError, LoginNeededError, PolicyError
from mcpvault.rotation.tokens import FIELD, ROTATOR


@pytest.fixture
def house(home: Path) -> Iterator[IssuerHouse]:
    """A vault with a machine's entry and a person's, both with tokens."""
    with issuer_house(home) as made:
        made.with_secret()
        assert made.works()
        with made.open().change() as change:
            change.add_server("person", {"url": made.server.url, "auth": {"kind": "oauth"}})
        yield made


class Consenting:
    """A way to log in that needs nobody."""

    redirect_uri = "http://127.0.0.1:8765/callback"

    def __init__(self, house: IssuerHouse) -> None:
        self.redirect: Callable[[str], str] = house.issuer.follow


def log_in(house: IssuerHouse) -> None:
    """Let the person consent."""
    session = house.open().session("person", auth=Consenting(house))
    session.authenticate()
    session.close()


def logged_in_before(house: IssuerHouse) -> None:
    """Let the person's login be a minute old: it is told from the next one by when it was."""
    store = house.open().authorization("person").store
    record = store.read()
    assert record is not None and record.lifetime is not None and record.lifetime.begun is not None
    with store.exclusive():
        store.write(record.replaced(lifetime=record.lifetime.replaced(begun=record.lifetime.begun - 60)))


def token(house: IssuerHouse, name: str) -> str:
    """Return the access token at hand."""
    return house.open().authorization(name).tokens().access_token.reveal()


def active(house: IssuerHouse, value: str) -> bool:
    """Tell whether the issuer still honours a token."""
    return bool(house.issuer.introspect(value)["active"])


def test_a_machine_gets_another_token_and_gives_the_old_one_back(house: IssuerHouse) -> None:
    """Old and new are good in the grace; then the old one is revoked, and forgotten here."""
    old = token(house, "robot")

    assert "grace" == house.machine("robot").start(FIELD, ROTATOR, grace="1h").step
    new = token(house, "robot")
    assert (True, True, True) == (old != new, active(house, old), active(house, new))

    assert "done" == house.finish().step
    assert (False, True) == (active(house, old), active(house, new))
    assert old not in "".join(p.read_text(errors="replace") for p in Path(house.env["HOME"]).rglob("*.toml"))


def test_a_client_that_is_deleted_leaves_its_tokens_to_the_new_one(house: IssuerHouse) -> None:
    """The tokens that scripts have of the old client may end with it: there are others before it is deleted."""

    def owner() -> object:
        return house.issuer.introspect(token(house, "robot"))["client_id"]

    house.begin("registration")
    assert "robot-1" == owner()
    assert "done" == house.finish().step
    assert house.client.client_id == owner() != "robot-1"


def test_rolling_back_brings_the_old_tokens_back(house: IssuerHouse) -> None:
    """The new ones are revoked, the old ones are in use again."""
    old = token(house, "robot")
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    new = token(house, "robot")

    house.machine("robot").roll_back()

    assert old == token(house, "robot")
    assert (True, False, "aborted") == (active(house, old), active(house, new), house.robot.step)


def test_a_person_logs_in_in_the_middle(house: IssuerHouse) -> None:
    """Without a terminal it ends with the command to run; after that login, resuming goes on with both grants."""
    log_in(house)
    logged_in_before(house)
    old = token(house, "person")
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    assert old == token(house, "person")

    log_in(house)
    assert "grace" == house.machine("person").resume().step
    assert active(house, old)
    house.shift = 3601
    assert "done" == house.machine("person").resume().step
    assert (False, True) == (active(house, old), active(house, token(house, "person")))


def test_a_refresh_while_a_person_is_awaited_is_no_login(house: IssuerHouse) -> None:
    """Resuming asks for the login again, and giving up leaves what scripts have refreshed meanwhile in use."""
    log_in(house)
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    house.open().authorization("person").renew(expiring=None, adopt=False, timeout=10.0)
    refreshed = token(house, "person")

    with pytest.raises(LoginNeededError):
        house.machine("person").resume()
    assert (refreshed, True) == (token(house, "person"), active(house, refreshed))

    house.open().authorization("person").renew(expiring=None, adopt=False, timeout=10.0)
    refreshed = token(house, "person")
    assert "aborted" == house.machine("person").abort().step
    assert (refreshed, True) == (token(house, "person"), active(house, refreshed))


def test_tokens_that_are_worth_less_are_rolled_back(house: IssuerHouse) -> None:
    """Fewer scopes than before: the old tokens come back, the new ones are revoked."""
    old = token(house, "robot")
    house.issuer.misbehave("members", on="client_credentials", times=1, scope="read")

    with pytest.raises(PolicyError, match="lack scope 'write'; rolled back"):
        house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    assert (old, True) == (token(house, "robot"), active(house, old))


def test_without_tokens_there_is_nothing_to_rotate(house: IssuerHouse) -> None:
    """Another host's tokens, or none yet: said, and nothing stays open."""
    with pytest.raises(ConfigurationError, match="no tokens on this host"):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    journal = house.open().entry("person").rotation
    assert journal is not None
    assert "aborted" == journal.step
    with pytest.raises(AuthorizationRequiredError):
        token(house, "person")
