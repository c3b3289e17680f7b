"""A vault that gets a new key while its grants are in use: no login is lost, and none that must end goes on."""

from __future__ import annotations

import time
from typing import Any

import pytest
from library_house import House

from mcpvault import Vault
from mcpvault.errors import AuthorizationRequiredError, WrongKeyError
from mcpvault.state.tokens import peek
from mcpvault.upkeep.keys import change_keys
from mcpvault.upkeep.standing import standing
from mcpvault.vault.slots import NewSlot, RawKey


def rekey(house: House, **how: Any) -> None:
    """Give the vault a new key and take the state over."""
    change_keys(Vault.open(env=house.env), lambda change: change.rekey(**how), **how)


def another_process_rekeys(house: House) -> None:
    """Give the vault a new key on another host: the state here stays as it was."""
    with Vault.open(env=house.env).change() as change:
        change.rekey()


def test_grants_are_taken_over(house: House) -> None:
    """The state of this host is sealed anew at once; a run after it uses and refreshes the same grant."""
    house.log_in()
    before = house.vault.state.read("token-x.toml")

    rekey(house)

    assert before != house.vault.state.read("token-x.toml")
    assert 6 == len(house.session().list_tools())
    house.vault = Vault.open(env=house.env)
    house.age(3600)
    assert 6 == len(house.session().list_tools())
    assert (1, 3) == (house.issuer.redemptions, house.record().generation)


def test_state_of_an_earlier_epoch_opens_with_a_retired_key(house: House) -> None:
    """A host where nobody ran rekey reads its old state three epochs later, and seals the next under the new key."""
    house.log_in()
    for _ in range(3):
        another_process_rekeys(house)

    assert 6 == len(house.session().list_tools())
    house.vault = Vault.open(env=house.env)
    house.age(3600)
    house.session().list_tools()
    assert 1 == house.issuer.redemptions


def test_a_session_from_before_goes_on(house: House) -> None:
    """A process that holds the old key meets a token refreshed under the new one, and opens the vault again."""
    house.log_in()
    old = house.session()
    old.list_tools()
    rekey(house)
    house.vault = Vault.open(env=house.env)
    house.age(3600)

    house.session().list_tools()
    assert 6 == len(old.list_tools())
    house.age(3600)
    assert 6 == len(old.list_tools())
    assert 6 == len(house.session().list_tools())
    assert 2 == house.issuer.redemptions


def test_what_the_old_key_seals_after_a_new_one_is_read(house: House) -> None:
    """A refresh that began under the old key and ended after the rekey is nobody's loss."""
    house.log_in()
    old = Vault.open(env=house.env).authorization("x").store
    record = old.read()
    assert record is not None
    another_process_rekeys(house)

    with old.exclusive():
        old.write(record.replaced(generation=7))

    assert 7 == Vault.open(env=house.env).authorization("x").store.read().generation  # type: ignore[union-attr]
    assert 6 == len(house.session().list_tools())


def test_a_compromised_key_ends_the_grants(house: House) -> None:
    """No run uses the tokens any more, a logout can still revoke them, and a login begins anew."""
    house.log_in()
    old = house.session()
    old.list_tools()

    rekey(house, compromised=True)

    facts = peek(house.vault.state, "x")
    assert facts is not None
    assert ("dead", "key_compromised") == (facts.status, facts.trouble.reason if facts.trouble else None)
    house.issuer.advance(3600)  # a process that has the access token in memory keeps it for as long as it lives
    for session in (house.session(), old):
        with pytest.raises(AuthorizationRequiredError, match="under a vault key that others may know"):
            session.list_tools()
    house.vault = Vault.open(env=house.env)
    assert ["revoked"] == [each.outcome for each in house.vault.authorization("x").logout(timeout=10)]
    house.log_in()
    assert 6 == len(house.session().list_tools())


def test_state_without_a_key_is_a_grant_that_has_ended(house: House) -> None:
    """On another host of a compromised vault the state stays as it is, and only a login helps (exit 3)."""
    house.log_in()
    before = house.vault.state.read("token-x.toml")
    with Vault.open(env=house.env).change() as change:
        change.rekey(compromised=True)

    with pytest.raises(AuthorizationRequiredError, match="others may know"):
        house.session().list_tools()
    assert before == house.vault.state.read("token-x.toml")
    told = standing(Vault.peek(env=house.env), "x", house.vault.state, time.time())
    assert ("dead", True, "mcpvault login x") == (told.state, told.needs_login, told.login_command)
    house.log_in()
    assert 6 == len(house.session().list_tools())


def test_a_reader_goes_on_and_a_removed_one_does_not(house: House) -> None:
    """Whose slot is still there uses the same grant; whose slot was removed meets state that it cannot open."""
    keys = {name: RawKey.generate() for name in ("stays", "goes")}
    with Vault.open(env=house.env).change() as change:
        for name, key in keys.items():
            change.add_slot(NewSlot.raw(name, key, role="reader"))
    house.log_in()
    envs = {}
    for name, key in keys.items():
        envs[name] = {"HOME": house.env["HOME"], "MCPVAULT_KEY": key.text.reveal()}
    sessions = {name: Vault.open(env=env).session("x") for name, env in envs.items()}
    for session in sessions.values():
        session.list_tools()

    change_keys(Vault.open(env=house.env), lambda change: change.remove_slots(["goes"]))
    house.vault = Vault.open(env=house.env)
    house.age(3600)

    assert 6 == len(sessions["stays"].list_tools())
    with pytest.raises(WrongKeyError, match="slot 'goes' was removed"):
        sessions["goes"].list_tools()
    with pytest.raises(WrongKeyError):
        Vault.open(env=envs["goes"])
    for session in sessions.values():
        session.close()
