"""Where the old tokens of a rotation are kept, and which host goes on with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from issuer_house import IssuerHouse
from tokens_house import active, refresh, token, tokens_house

from mcpvault.cli.remove import take_out
from mcpvault.errors import ConfigurationError, LoginNeededError, PolicyError
from mcpvault.rotation import journal as journals
from mcpvault.rotation.tokens import FIELD, ROTATOR
from mcpvault.state.grants import BEFORE, withdraw
from mcpvault.state.tokens import TokenStore
from mcpvault.vault import stages


@pytest.fixture
def house(home: Path) -> Iterator[IssuerHouse]:
    """A vault with a machine's entry and a person's, the first with tokens."""
    with tokens_house(home) as made:
        yield made


def other_robot(house: IssuerHouse, name: str, credential: str | None = None) -> str:
    """Add another entry of the same client, with a token of its own; return that."""
    robot = house.open().entry("robot")
    auth = {"kind": "client_credentials", "client_id": "robot-1", "issuer": house.issuer.issuer}
    told = {"url": robot.url, "auth": auth} | ({"credential": credential} if credential else {})
    with house.open().change() as change:
        change.add_server(name, told)
        change.set_secret(name, "auth.client_secret", house.open().file.secret("robot", "auth.client_secret"))
    house.open().authorization(name).renew(expiring=None, adopt=False, timeout=10.0)
    return token(house, name)


@pytest.mark.parametrize("part", ["before", "given-up"])
def test_no_credential_has_the_name_of_what_is_kept_of_another(house: IssuerHouse, part: str) -> None:
    """An entry that is added in the grace, under whatever name, neither hides the old tokens nor loses its own."""
    old = token(house, "robot")
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    own = other_robot(house, f"robot-{part}")

    assert ("done", None) == (house.finish().step, house.robot.problem)

    assert (False, True) == (active(house, old), active(house, own))
    assert own == token(house, f"robot-{part}")


def test_names_that_begin_alike_keep_their_tokens_apart(house: IssuerHouse) -> None:
    """However long they are: each old token is revoked by its own rotation."""
    names = ["n" * 63 + end for end in "ab"]
    old = [other_robot(house, name) for name in names]
    for name in names:
        house.machine(name).start(FIELD, ROTATOR, grace="1h")
    house.shift = 3601

    assert ["done", "done"] == [house.machine(name).resume().step for name in names]
    assert [False, False] == [active(house, each) for each in old]


def test_entries_that_share_tokens_rotate_them_one_after_the_other(house: IssuerHouse) -> None:
    """A second rotation would put the tokens of the first in the place of the old ones, which nobody would revoke."""
    other_robot(house, "twin", credential="robot")
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")

    with pytest.raises(ConfigurationError, match="shares its tokens with robot, whose rotation is open"):
        house.machine("twin").start(FIELD, ROTATOR, grace="1h")
    assert "done" == house.finish().step
    assert "grace" == house.machine("twin").start(FIELD, ROTATOR, grace="1h").step


def test_old_tokens_that_are_gone_are_not_called_dead(house: IssuerHouse) -> None:
    """The journal says that nothing was revoked; who wanted to see them dead is refused."""
    old = token(house, "robot")
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    withdraw(house.open().authorization("robot").store.beside(BEFORE))
    house.shift = 3601

    with pytest.raises(PolicyError, match="the old tokens were not found, and not revoked"):
        house.machine("robot", require_dead=True).resume()
    journal = house.machine("robot").resume()

    assert ("done", "the old tokens were not found, and not revoked") == (journal.step, journal.problem)
    assert active(house, old)


@pytest.mark.parametrize(
    ("field", "value"), [("credential", "another"), ("auth.persist", "none"), ("auth.kind", "oauth")]
)
def test_where_tokens_are_kept_is_not_changed_while_they_are_rotated(
    house: IssuerHouse, field: str, value: str
) -> None:
    """The old ones would not be found any more; when the rotation has ended it may be."""
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")

    def change() -> None:
        with house.open().change() as change:
            change.set_plain("robot", field, value)
            if field == "auth.kind":
                change.unset("robot", "auth.registration_client_uri")
                change.unset("robot", "auth.registration_access_token")

    with pytest.raises(ConfigurationError, match="its rotation is open since"):
        change()
    assert "done" == house.finish().step
    if field != "auth.kind":
        change()


def test_old_tokens_of_an_entry_that_is_removed_are_revoked(house: IssuerHouse) -> None:
    """Nobody will end its rotation: what was set aside is given back with the grant, and forgotten."""
    old = token(house, "robot")
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    new, store = token(house, "robot"), house.open().authorization("robot").store

    told = take_out(house.open(), ["robot"], dry_run=True)
    assert ([("access_token", "would be revoked")], True) == (
        [(each["token"], each["outcome"]) for each in told], active(house, old),
    )  # fmt: skip
    take_out(house.open(), ["robot"], dry_run=False)

    assert (False, False) == (active(house, old), active(house, new))
    kept = store.beside(BEFORE).read()
    assert kept is not None and kept.tokens is None


def as_an_older_version(house: IssuerHouse) -> TokenStore:
    """Let the rotation be one that an older version has begun; return the store where that kept the old tokens."""
    with house.open().change() as change:
        told = journals.after(house.robot, "grace", by="ops@web-1", now=time.time(), host=None)
        stages.write_journal(change, "robot", told)
    [note] = Path(house.env["HOME"]).rglob("rotation-robot.id")
    note.unlink()
    store = house.open().authorization("robot").store
    old, former = withdraw(store.beside(BEFORE)), store.named("robot-before")
    assert old is not None
    with former.exclusive():
        former.write(old)
    return former


def test_what_an_older_version_has_set_aside_is_found(house: IssuerHouse) -> None:
    """Under the name that it had: it is revoked, and nothing stays there."""
    old = token(house, "robot")
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    former = as_an_older_version(house)

    assert ("done", None) == (house.finish().step, house.robot.problem)
    assert not active(house, old)
    kept = former.read()
    assert kept is not None and kept.tokens is None


def test_what_lies_there_of_another_entry_is_not_taken_for_it(house: IssuerHouse) -> None:
    """Whose it is, the record says: what another entry has written there stays, and the old tokens are missed."""
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    as_an_older_version(house)
    own = other_robot(house, "robot-before")
    house.shift = 3601

    with pytest.raises(ConfigurationError, match="its tokens are on web-1"):
        house.machine("robot").resume()
    assert (True, own) == (active(house, own), token(house, "robot-before"))


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
    as_an_older_version(house)
    house.shift = 3601

    with another_host(house):
        assert "grace" == house.machine("robot").resume(leave=True).step
    assert "done" == house.machine("robot").resume().step
