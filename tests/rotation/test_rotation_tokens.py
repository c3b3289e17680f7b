"""Another grant in the place of an OAuth entry's tokens; the old one is revoked at the issuer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from issuer_house import IssuerHouse
from tokens_house import active, refresh, token, tokens_house

from mcpvault.errors import AuthorizationRequiredError, ConfigurationError, LoginNeededError, PolicyError
from mcpvault.rotation.tokens import FIELD, ROTATOR


@pytest.fixture
def house(home: Path) -> Iterator[IssuerHouse]:
    """A vault with a machine's entry and a person's, the first with tokens."""
    with tokens_house(home) as made:
        yield made


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


@pytest.mark.parametrize("known", [True, False])
def test_what_is_refreshed_before_a_login_is_what_comes_back(known: bool, house: IssuerHouse) -> None:
    """The refresh token that was there at the beginning is spent: an issuer that sees it again would end the grant."""
    house.log_in()
    house.age_login(known=known)
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    refresh(house)
    with pytest.raises(LoginNeededError):
        house.machine("person").resume()
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


# whether the old token is dead


def test_an_old_token_that_is_bound_to_a_key_is_asked_for(home: Path) -> None:
    """With a proof, and the nonce that the server wants in it: what is still accepted is not called dead."""
    with tokens_house(home, dpop="accepted", dpop_nonce=True) as house:
        house.server.protection.dpop_nonce = True  # type: ignore[union-attr]
        with house.open().change() as change:
            change.set_plain("robot", "auth.dpop", True)
        assert house.works()
        old = token(house, "robot")
        house.issuer.misbehave("bad-gateway", on="revoke")
        house.machine("robot").start(FIELD, ROTATOR, grace="1h")
        house.shift = 3601
        assert "revoked" == house.machine("robot").resume().step

        with pytest.raises(PolicyError, match="the old access token is still accepted"):
            house.machine("robot", require_dead=True).resume()
        assert active(house, old)

        house.issuer.behave()
        assert ("done", None) == (house.machine("robot").resume().step, house.robot.problem)


def test_what_could_not_be_revoked_is_tried_again(house: IssuerHouse) -> None:
    """The rotation stays open; a person's refresh token would outlive the access token, whose end is seen."""
    house.log_in()
    house.age_login()
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    old = house.open().authorization("person").tokens().refresh_token
    house.log_in()
    house.machine("person").resume()
    house.issuer.misbehave("bad-gateway", on="revoke")
    house.shift = 3601

    journal = house.machine("person").resume()
    assert "revoked" == journal.step
    assert "the old refresh token: forgotten here, but not revoked" in str(journal.problem)
    with pytest.raises(PolicyError, match="the old"):
        house.machine("person", require_dead=True).resume()

    house.issuer.behave()
    assert ("done", None) == (house.machine("person").resume().step, house.journal_of("person").problem)
    assert old is not None
    assert old.reveal() in [request.form["token"] for request in house.issuer.called("revoke")]


def in_grace(house: IssuerHouse) -> str:
    """Rotate the machine's token, and let the grace pass; return the old one."""
    old = token(house, "robot")
    house.machine("robot").start(FIELD, ROTATOR, grace="1h")
    house.shift = 3601
    return old


def test_a_server_that_revokes_no_access_tokens_is_looked_at(house: IssuerHouse) -> None:
    """What it has refused for good is not asked for again; the token is dead when it is seen refused."""
    house.issuer.misbehave("oauth-error", on="revoke", error="unsupported_token_type")
    in_grace(house)

    with pytest.raises(PolicyError, match="the old access token is still accepted"):
        house.machine("robot", require_dead=True).resume()
    house.issuer.advance(4000)
    assert ("done", None) == (house.machine("robot", require_dead=True).resume().step, house.robot.problem)


def test_a_timer_does_not_wait_for_a_token_to_die(house: IssuerHouse) -> None:
    """It looks, leaves the rotation open, and looks again when it comes next."""
    house.issuer.misbehave("oauth-error", on="revoke", status=200)
    old = in_grace(house)

    assert "revoked" == house.machine("robot", dead_within=3600.0).resume(leave=True).step
    assert active(house, old)
    house.issuer.advance(4000)
    assert "done" == house.machine("robot", dead_within=3600.0).resume(leave=True).step


def test_force_ends_what_cannot_be_revoked(house: IssuerHouse) -> None:
    """Also where somebody wanted it dead; the journal says what is still good."""
    house.issuer.misbehave("bad-gateway", on="revoke")
    in_grace(house)
    assert "revoked" == house.machine("robot").resume().step

    journal = house.machine("robot", require_dead=True, force=True).resume()

    assert ("done", True) == (journal.step, "the old access token is still accepted" in str(journal.problem))


def test_an_old_token_that_is_kept_nowhere_is_not_called_dead(house: IssuerHouse) -> None:
    """With ``persist = "refresh"`` only the process that got it had it: nobody can see it refused, which is said."""
    with house.open().change() as change:
        change.set_plain("person", "auth.persist", "refresh")
    house.log_in()
    house.age_login()
    with pytest.raises(LoginNeededError):
        house.machine("person").start(FIELD, ROTATOR, grace="1h")
    house.log_in()
    house.machine("person").resume()
    house.shift = 3601

    journal = house.machine("person").resume()

    assert "done" == journal.step
    assert "the old access token is kept nowhere, and nobody has seen it refused" == journal.problem


def test_an_issuer_that_gives_the_same_token_again_rotates_nothing(house: IssuerHouse) -> None:
    """To revoke the old one would be to revoke the one in use: it stays as it is, exit 9."""
    old = token(house, "robot")
    house.issuer.misbehave("members", on="client_credentials", access_token=old)

    with pytest.raises(PolicyError, match="gave the same access token again; nothing was rotated"):
        house.machine("robot").start(FIELD, ROTATOR, grace="1h")

    assert ("aborted", True) == (house.robot.step, active(house, old))
    assert house.open().session("robot").list_tools()
