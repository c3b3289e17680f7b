"""The rotator ``client-secret`` (RFC 7592), and answers that leave open whether a secret was made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from issuer_house import IssuerHouse, issuer_house

from mcpvault import Secret
from mcpvault.errors import ConfigurationError, PolicyError, RequestLostError


@pytest.fixture
def at_issuer(home: Path) -> Iterator[IssuerHouse]:
    """A vault, and an authorization server that renews secrets and lets the old one live."""
    with issuer_house(home, renew_secrets=True, old_secret_lifetime=10_000.0) as made:
        yield made


def test_a_client_secret_is_renewed(at_issuer: IssuerHouse) -> None:
    """The registration is updated; its new secret and access token are kept, and used."""
    at_issuer.with_secret()
    old = at_issuer.client.secret

    assert ("grace", "client-secret") == (at_issuer.begin().step, at_issuer.robot.rotator)

    assert old != at_issuer.client.secret
    assert {"current": at_issuer.client.secret, "previous": old} == at_issuer.stages("robot", "auth.client_secret")
    token = at_issuer.open().file.secret("robot", "auth.registration_access_token").reveal()
    assert at_issuer.client.access_token == token
    assert at_issuer.works()
    at_issuer.issuer.advance(20_000)
    assert "done" == at_issuer.finish().step


def test_a_lost_answer_is_found_again(at_issuer: IssuerHouse) -> None:
    """Where the access token stays, reading the registration tells the secret whose answer did not come."""
    at_issuer.with_secret()
    token = at_issuer.client.access_token
    at_issuer.issuer.misbehave("close-before-answer", on="PUT", times=1, carried_out=True)
    with pytest.raises(Exception, match=r".") as told:
        at_issuer.begin()
    assert told.value.exit_code in (4, 5)  # type: ignore[attr-defined]
    at_issuer.client.access_token = token

    assert "grace" == at_issuer.machine("robot").resume().step
    assert at_issuer.client.secret == at_issuer.stages("robot", "auth.client_secret")["current"]


def test_a_lost_answer_that_takes_the_access_token_along_is_explained(at_issuer: IssuerHouse) -> None:
    """Where the token was renewed too, nothing can be read: the error says what was lost and what helps."""
    at_issuer.with_secret()
    at_issuer.issuer.misbehave("close-before-answer", on="PUT", times=1, carried_out=True)
    with pytest.raises(Exception, match=r"."):
        at_issuer.begin()

    with pytest.raises(ConfigurationError, match="the answer to an earlier update was lost") as told:
        at_issuer.machine("robot").resume()
    assert "--rotator registration" in str(told.value.hint)


def test_a_server_that_renews_nothing(at_issuer: IssuerHouse) -> None:
    """Many servers only update: that is said, and nothing has changed."""
    at_issuer.with_secret()
    at_issuer.issuer.policy.renew_secrets = False

    with pytest.raises(PolicyError, match="gives no other secret"):
        at_issuer.begin()
    assert ("aborted", True) == (at_issuer.robot.step, at_issuer.works())


@pytest.mark.parametrize("wrong", ["html", "not-json", "empty-body"])
def test_an_answer_that_says_nothing_leaves_it_open(at_issuer: IssuerHouse, wrong: str) -> None:
    """Success without a JSON object may have replaced the secret: the journal waits, and the registration is read."""
    at_issuer.with_secret()
    at_issuer.issuer.misbehave(wrong, on="PUT", times=1, carried_out=True)
    with pytest.raises(RequestLostError, match="the secret may have been replaced") as told:
        at_issuer.begin()
    assert ("minted", True) == (at_issuer.robot.step, "rotate robot --resume" in str(told.value.hint))

    at_issuer.client.access_token = "registration-of-robot-1"  # a server that renews only the secret
    at_issuer.issuer.misbehave(wrong, on="registration", times=1)
    with pytest.raises(RequestLostError, match="GET was answered with 200 and no registration"):
        at_issuer.machine("robot").resume()
    assert "grace" == at_issuer.machine("robot").resume().step
    assert at_issuer.client.secret == at_issuer.stages("robot", "auth.client_secret")["current"]


def test_an_access_token_that_each_request_replaces_is_kept(at_issuer: IssuerHouse) -> None:
    """The update goes out with the token of the reading; where no secret comes of it, the last token is not lost."""
    at_issuer.with_secret()
    at_issuer.issuer.policy.renew_secrets = False
    at_issuer.issuer.misbehave("members", on="PUT", times=1, registration_access_token="from-the-update")
    with pytest.raises(PolicyError, match="gives no other secret"):
        at_issuer.begin()
    assert "from-the-update" == at_issuer.stages("robot", "auth.registration_access_token")["current"]

    at_issuer.client.access_token = "from-the-update"
    at_issuer.issuer.misbehave("members", on="registration", times=1, registration_access_token="from-the-reading")
    with pytest.raises(ConfigurationError, match="registration access token is refused"):
        at_issuer.begin()
    [*_, update] = [each for each in at_issuer.issuer.requests if each.method == "PUT"]
    assert "Bearer from-the-reading" == update.headers["authorization"]


def test_a_secret_that_nobody_can_use_makes_way_for_one_by_hand(at_issuer: IssuerHouse) -> None:
    """The issuer has replaced the old one, and the new one does not work: by ``force`` a person can bring another."""
    at_issuer.with_secret()
    at_issuer.issuer.policy.old_secret_lifetime = 0.0
    at_issuer.issuer.misbehave("members", on="PUT", times=1, client_secret="nobody-takes-this")
    with pytest.raises(PolicyError, match="not rolled back: the issuer has replaced the old one"):
        at_issuer.begin()
    with pytest.raises(ConfigurationError, match="no way back") as told:
        at_issuer.machine("robot").abort()
    assert str(told.value.hint).endswith("mcpvault rotate robot --resume, or --abort --force")

    assert "aborted" == at_issuer.machine("robot", force=True).abort().step
    with at_issuer.open().change() as change:
        change.set_secret("robot", "auth.client_secret", Secret(at_issuer.client.secret or ""))
    assert at_issuer.works()


def test_an_access_token_that_came_with_a_known_secret_is_kept(at_issuer: IssuerHouse) -> None:
    """The vault has a wrong secret, and the one before it is the issuer's: refused, and the registration stays ours."""
    at_issuer.with_secret()
    with at_issuer.open().change() as change:
        change.set_secret("robot", "auth.client_secret", Secret("typed-wrongly"))
    at_issuer.issuer.misbehave("members", on="registration", times=1, registration_access_token="from-the-reading")

    with pytest.raises(PolicyError, match="is the previous one"):
        at_issuer.begin()
    assert "from-the-reading" == at_issuer.stages("robot", "auth.registration_access_token")["current"]
