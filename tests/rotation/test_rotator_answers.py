"""The rotator ``client-secret`` (RFC 7592), and answers that leave open whether a secret was made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from issuer_house import IssuerHouse, issuer_house

from mcpvault.errors import ConfigurationError, PolicyError, RequestLostError


@pytest.fixture
def at_issuer(home: Path) -> Iterator[IssuerHouse]:
    """A vault, and an authorization server that renews secrets and lets the old one live."""
    with issuer_house(home, renew_secrets=True, old_secret_lifetime=10_000.0) as made:
        yield made


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
