"""Without a named source: the key file of ``init``, the keyring, a person, then exit 6 that names all places."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from key_samples import KEY_TEXT, Place, key_file
from vault_samples import MemoryKeyring, not_root

from mcpvault.errors import ConfigurationError, PermissionsError, VaultLockedError
from mcpvault.secret import Secret
from mcpvault.vault.documents import read_document
from mcpvault.vault.keysources import Key, find_key, store_in_keyring
from mcpvault.vault.slots import NewSlot, RawKey
from mcpvault.vault.vaultfile import VaultFile

pytestmark = pytest.mark.usefixtures("ring")


def test_the_key_file_of_init_comes_next(place: Place, ring: MemoryKeyring) -> None:
    """``<data home>/<vault id>.key`` is used before the keyring and the prompt."""
    default = place.data_home / f"{place.header.id}.key"
    key_file(default)
    ring.held["mcpvault", "me"] = "from the keyring"

    key = place.find(prompt=lambda _: Secret("typed"))

    assert (KEY_TEXT, "text", str(default)) == (key.secret.reveal(), key.kind, key.source)


def test_a_key_file_of_init_that_is_blank_is_exit_8(place: Place) -> None:
    """An emptied file is a mistake, not an absence."""
    key_file(place.data_home / f"{place.header.id}.key", "")

    with pytest.raises(ConfigurationError, match="is blank"):
        place.find()


def test_then_the_keyring_of_a_keyring_slot(place: Place, ring: MemoryKeyring) -> None:
    """It is asked for the slot's service and user, before anybody is."""
    ring.held["mcpvault", "me"] = KEY_TEXT

    key = place.find(prompt=lambda _: Secret("typed"))

    assert (KEY_TEXT, "keyring", "keyring entry mcpvault/me") == (key.secret.reveal(), key.kind, key.source)


@pytest.mark.parametrize("locked", [False, True], ids=["without it", "locked"])
def test_a_keyring_that_gives_nothing_is_passed_over(place: Place, ring: MemoryKeyring, locked: bool) -> None:
    """A cron job has no session bus: the next place is tried."""
    ring.locked = locked

    key = place.find(prompt=lambda _: Secret("typed"))

    assert ("typed", "passphrase") == (key.secret.reveal(), key.kind)


def test_then_a_prompt_that_names_the_vault(place: Place) -> None:
    """A person is asked last, and told for which file."""
    asked: list[str] = []

    def prompt(question: str) -> Secret:
        asked.append(question)
        return Secret("typed")

    assert "the prompt" == place.find(prompt=prompt).source
    assert [f"Passphrase for {place.path}: "] == asked


def test_nobody_is_asked_for_a_passphrase_that_opens_nothing(tmp_path: Path) -> None:
    """A vault without a passphrase slot does not prompt."""
    path = tmp_path / "vault.toml"
    VaultFile.create(path, new_slots=[NewSlot.raw("raw", RawKey.generate())])

    def prompt(_: str) -> Secret:
        raise AssertionError("somebody was asked")

    with pytest.raises(VaultLockedError):
        find_key(read_document(path).header, env={}, data_home=tmp_path, vault_path=path, prompt=prompt)


def test_no_key_anywhere_is_exit_6_and_names_every_place(place: Place) -> None:
    """The hint lists all places where a key is looked for."""
    with pytest.raises(VaultLockedError) as caught:
        place.find()

    hint = caught.value.hint or ""
    places = ["MCPVAULT_KEY_FILE", "MCPVAULT_KEY_FD", "MCPVAULT_KEY,", "mcpvault.key", f"{place.header.id}.key"]
    assert 6 == caught.value.exit_code
    assert [] == [each for each in (*places, "keyring", "terminal") if each not in hint]


# Storing


def test_what_is_stored_in_the_keyring_is_found_again(place: Place) -> None:
    """``init --keyring`` and the next run agree on service and user."""
    store_in_keyring("mcpvault", "me", Secret(KEY_TEXT))

    assert KEY_TEXT == place.find().secret.reveal()


def test_a_slot_without_user_is_looked_up_by_its_id(tmp_path: Path, ring: MemoryKeyring) -> None:
    """SPEC §6.3: where there is no ``user``, the slot's ``id`` stands in."""
    path = tmp_path / "vault.toml"
    VaultFile.create(path, new_slots=[NewSlot.keyring("ring", RawKey.generate(), service="mcpvault", user="x")])
    path.write_text(path.read_text().replace('user = "x"\n', ""))
    ring.held["mcpvault", "ring"] = KEY_TEXT

    key = find_key(read_document(path).header, env={}, data_home=tmp_path, vault_path=path)

    assert (KEY_TEXT, "keyring entry mcpvault/ring") == (key.secret.reveal(), key.source)


def test_a_keyring_that_refuses_is_exit_8(ring: MemoryKeyring) -> None:
    """The kind of failure is named, what the backend said is not: it may quote."""
    ring.locked = True

    with pytest.raises(ConfigurationError) as caught:
        store_in_keyring("mcpvault", "me", Secret(KEY_TEXT))

    assert "PasswordSetError" in caught.value.message
    assert "dbus" not in caught.value.message
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_a_key_shows_nothing() -> None:
    """Its repr names the source and hides the secret."""
    shown = repr(Key(kind="text", secret=Secret(KEY_TEXT), source="MCPVAULT_KEY"))

    assert "MCPVAULT_KEY" in shown
    assert KEY_TEXT not in shown


def test_without_the_keyring_package_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint names the extra; looking a key up passes over it."""
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(ConfigurationError, match="the keyring package is not installed") as caught:
        store_in_keyring("mcpvault", "me", Secret(KEY_TEXT))

    assert "mcpvault-sdk[keyring]" in (caught.value.hint or "")


def test_a_data_folder_that_we_may_not_look_into_is_told(place: Place, ground: Path) -> None:
    """Nobody can say whether the key of ``init`` is there, so no other source is used instead."""
    (ground / "data").mkdir(mode=0o700 if os.geteuid() == 0 else 0)

    with not_root(), pytest.raises(PermissionsError, match="Permission denied"):
        place._replace(data_home=ground / "data").find(prompt=lambda _: Secret("typed"))
