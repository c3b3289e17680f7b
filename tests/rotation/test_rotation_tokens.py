"""Another grant in the place of an OAuth entry's tokens; the old one is revoked at the issuer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from issuer_house import IssuerHouse, issuer_house

from mcpvault.errors import AuthorizationRequiredError, ConfigurationError, LoginNeededError, PolicyError
from mcpvault.rotation import journal as journals
from mcpvault.rotation.tokens import FIELD, ROTATOR
from mcpvault.state.grants import BEFORE
from mcpvault.vault import stages


@pytest.fixture
def house(home: Path) -> Iterator[IssuerHouse]:
    """A vault with a machine's entry and a person's, both with tokens."""
    with issuer_house(home) as made:
        made.with_secret()
        assert made.works()
        with made.open().change() as change:
            change.add_server("person", {"url": made.server.url, "auth": {"kind": "oauth"}})
        yield made


def refresh(house: IssuerHouse) -> str:
    """Refresh the person's tokens as a script does; return the access token."""
    house.open().authorization("person").renew(expiring=None, adopt=False, timeout=10.0)
    return token(house, "person")


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
    house.log_in()
    house.age_login()
    old = token(house, "person")
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    assert old == token(house, "person")

    house.log_in()
    assert "grace" == house.machine("person").resume().step
    assert active(house, old)
    house.shift = 3601
    assert "done" == house.machine("person").resume().step
    assert (False, True) == (active(house, old), active(house, token(house, "person")))


def test_a_refresh_while_a_person_is_awaited_is_no_login(house: IssuerHouse) -> None:
    """Resuming asks for the login again, and giving up leaves what scripts have refreshed meanwhile in use."""
    house.log_in()
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    refreshed = refresh(house)

    with pytest.raises(LoginNeededError):
        house.machine("person").resume()
    assert (refreshed, True) == (token(house, "person"), active(house, refreshed))

    refreshed = refresh(house)
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


def test_what_is_refreshed_before_a_login_is_what_comes_back(house: IssuerHouse) -> None:
    """The refresh token that was there at the beginning is spent: an issuer that sees it again would end the grant."""
    house.log_in()
    house.age_login()
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    refresh(house)
    refresh(house)
    house.log_in()
    assert "grace" == house.machine("person").resume().step
    new = refresh(house)

    house.machine("person").roll_back()

    assert ("aborted", False) == (house.journal_of("person").step, active(house, new))
    assert active(house, refresh(house))
    assert (0, 0) == (house.issuer.reuse_detected, house.issuer.families_revoked)


def test_an_issuer_that_ends_the_old_grant_leaves_no_way_back(house: IssuerHouse) -> None:
    """Found out before the new tokens are touched: they stay in use, which is said, and the rotation can end."""
    house.issuer.policy.one_grant = True
    house.log_in()
    house.age_login()
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    house.log_in()
    assert "grace" == house.machine("person").resume().step

    with pytest.raises(PolicyError, match="given up by hand; not rolled back: the old tokens have ended"):
        house.machine("person").abort()
    journal = house.journal_of("person")
    assert ("grace", False) == (journal.step, journal.undo)
    assert active(house, refresh(house))

    house.shift = 3601
    assert "done" == house.machine("person").resume().step
    assert active(house, refresh(house))


def test_tokens_are_kept_in_no_place_of_another_entry(house: IssuerHouse) -> None:
    """An entry whose credential has the name under which the old tokens would lie loses nothing."""
    with house.open().change() as change:
        change.add_server("robot-before", {"url": house.server.url, "auth": {"kind": "oauth"}})
    with pytest.raises(ConfigurationError, match="would lie where those of robot-before are"):
        house.machine("robot").start(FIELD, ROTATOR, grace="1h")


# other hosts


@contextmanager
def another_host(house: IssuerHouse) -> Iterator[None]:
    """Let the block be done on a host, or by a user, whose state is another."""
    house.env["MCPVAULT_STATE_DIR"] = house.env["HOME"] + "/another-host"
    try:
        yield
    finally:
        del house.env["MCPVAULT_STATE_DIR"]


def test_another_host_leaves_a_rotation_to_the_one_that_has_its_tokens(house: IssuerHouse) -> None:
    """It neither ends nor aborts it, though it has a grant of its own; where the tokens are, it goes on."""
    old = token(house, "robot")
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    new, journal = token(house, "robot"), house.robot
    house.shift = 3601

    with another_host(house):
        assert house.works()
        own = token(house, "robot")
        for act in ("resume", "abort", "roll_back"):
            with pytest.raises(ConfigurationError, match="its tokens are on .*, in another state folder"):
                getattr(house.machine("robot"), act)()
        machine = house.machine("robot", require_dead=True)
        assert journal == machine.resume(leave=True)
        assert ["run it there"] == [remark[remark.index("run it") :][:12] for remark in machine.remarks]
    assert (journal, [True] * 3) == (house.robot, [active(house, each) for each in (old, new, own)])

    assert "done" == house.machine("robot").resume().step
    assert [False, True, True] == [active(house, each) for each in (old, new, own)]


@pytest.mark.parametrize("logged_in", [False, True])
def test_another_host_does_not_abort_what_waits_for_a_login(house: IssuerHouse, logged_in: bool) -> None:
    """Whether somebody has logged in there or not, it is not the login that is awaited."""
    house.log_in()
    house.age_login()
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    with another_host(house):
        if logged_in:
            house.log_in()
        assert "minted" == house.machine("person").resume(leave=True).step

    house.log_in()
    assert "grace" == house.machine("person").resume().step


def test_a_host_that_is_gone_leaves_tokens_that_nobody_revokes(house: IssuerHouse) -> None:
    """Giving up by force on another host ends the journal, which tells what is still good."""
    old = token(house, "robot")
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    new = token(house, "robot")
    with another_host(house):
        journal = house.machine("robot", force=True).abort()

    assert "aborted" == journal.step
    assert f"its old tokens and its new ones were not revoked: end them at {house.issuer.issuer}" in str(
        journal.problem
    )
    assert (True, True) == (active(house, old), active(house, new))
    assert "grace" == house.machine("robot").start(FIELD, ROTATOR, grace="1h").step


def test_a_copy_of_the_state_goes_on_when_its_host_has_taken_the_grant_over(house: IssuerHouse) -> None:
    """As with a refresh: until then it is the other host's, and giving up brings the old tokens back here."""
    house.log_in()
    house.age_login()
    old = token(house, "person")
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    house.log_in()
    house.machine("person").resume()
    store = house.open().authorization("person").store
    for each in (store, store.beside(BEFORE)):  # as if this host were another than the one that wrote them
        with each.exclusive():
            record = each.read()
            assert record is not None
            each.write(record.replaced(host="0" * 32, host_name="web-1"))
    with pytest.raises(ConfigurationError, match="its tokens belong to web-1"):
        house.machine("person").abort()

    house.open().authorization("person").renew(expiring=None, adopt=True, timeout=10.0)
    assert "aborted" == house.machine("person").abort().step
    assert old != refresh(house)


def test_a_journal_without_a_host_belongs_to_where_the_old_tokens_are(house: IssuerHouse) -> None:
    """An older version wrote neither the host nor the note in the state: its rotation goes on, and only there."""
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    with house.open().change() as change:
        told = journals.after(house.robot, "grace", by="ops@web-1", now=time.time(), host=None)
        stages.write_journal(change, "robot", told)
    [note] = Path(house.env["HOME"]).rglob("rotation-robot.id")
    note.unlink()
    house.shift = 3601

    with another_host(house):
        assert "grace" == house.machine("robot").resume(leave=True).step
    assert "done" == house.machine("robot").resume().step
