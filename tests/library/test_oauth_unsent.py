"""A refresh token is spent by what reached its endpoint, and by nothing else; an answer is lost by nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from library_house import House

from mcpvault import Vault, refresh_exchange
from mcpvault.errors import McpVaultError, RemoteProtocolError, RequestLostError

KEY = "auth.token_endpoint_auth_method"


def test_an_endpoint_that_is_none_to_ask_costs_nothing(house: House) -> None:
    """Plain http elsewhere is refused before anything is sent: no run of it counts as a lost answer."""
    house.log_in()
    house.age(3600)
    house.move_token_endpoint("http://192.0.2.1/token")
    before = house.record()

    for _ in range(3):
        with pytest.raises(RemoteProtocolError, match="plain http"):
            house.session().list_tools()
        assert before == house.record()

    house.move_token_endpoint(house.issuer.url("token"))
    assert 6 == len(house.session().list_tools())
    assert (1, 0) == (house.issuer.redemptions, house.issuer.families_revoked)


def test_lost_metadata_are_no_lost_tokens(house: House) -> None:
    """A token endpoint that is 404 has answered: what is lost when its issuer is asked where it is now is not that."""
    house.log_in()
    house.age(3600)
    house.move_token_endpoint(f"{house.issuer.origin}/formerly/token")
    house.issuer.misbehave("close-before-answer", on="metadata")

    for _ in range(3):
        with pytest.raises(McpVaultError) as caught:
            house.session().list_tools()
        assert isinstance(caught.value, RequestLostError) or 4 == caught.value.exit_code
        assert ("ok", None) == (house.record().status, house.record().intent)

    house.issuer.behave()
    house.move_token_endpoint(house.issuer.url("token"))
    assert 1 == house.vault.authorization("x").renew(expiring=None, adopt=False, timeout=20)[0]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_kept_answer_outlives_a_mistake_in_the_entry(build: Callable[..., House]) -> None:
    """
    The process that redeemed was killed before it read; then the entry says how the client proves itself, wrongly.

    The answer is read all the same, and what was spent is not redeemed again when the mistake is mended.
    """
    house = build()
    client = house.issuer.register("conf", auth_method="client_secret_basic")
    house.add(client_id="conf", issuer=house.issuer.issuer, secrets={"client_secret": str(client.secret)})
    house.log_in()
    house.age(3600)
    killed_before_reading(house)
    assert ("refreshing", True) == (house.record().status, house.record().answer is not None)

    say(house, "private_key_jwt")
    assert 6 == len(house.session().list_tools())

    say(house, None)
    house.age(3600)
    assert 6 == len(house.session().list_tools())
    assert (2, 0, 0) == (house.issuer.redemptions, house.issuer.reuse_detected, house.issuer.families_revoked)


def killed_before_reading(house: House) -> None:
    """Let another process refresh, and be killed when the answer is on disk."""
    if (pid := os.fork()) == 0:
        refresh_exchange.read_token = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        try:
            Vault.open(env=house.env).authorization("x").renew(expiring=None, adopt=False, timeout=20)
        finally:
            os._exit(0)
    assert signal.SIGKILL == os.WTERMSIG(os.waitpid(pid, 0)[1])


def say(house: House, method: str | None) -> None:
    """Set how the client proves itself, or let the entry say nothing about it."""
    with house.vault.change() as change:
        change.unset("x", KEY) if method is None else change.set_plain("x", KEY, method)
    house.vault = Vault.open(env=house.env)
