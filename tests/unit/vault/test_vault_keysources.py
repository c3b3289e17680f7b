"""Where the key is looked for: exactly one named source."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from key_samples import KEY_TEXT, Place, credentials, descriptor_with, key_file

from mcpvault.errors import ConfigurationError, PermissionsError, VaultLockedError

pytestmark = pytest.mark.usefixtures("ring")


def named_sources(tmp_path: Path) -> dict[str, dict[str, str]]:
    """Return one way each to name a key."""
    return {
        "MCPVAULT_KEY_FILE": {"MCPVAULT_KEY_FILE": key_file(tmp_path / "key")},
        "MCPVAULT_KEY_FD": {"MCPVAULT_KEY_FD": descriptor_with(KEY_TEXT + "\n")},
        "MCPVAULT_KEY": {"MCPVAULT_KEY": KEY_TEXT},
        "$CREDENTIALS_DIRECTORY/mcpvault.key": {"CREDENTIALS_DIRECTORY": credentials(tmp_path / "creds")},
    }


NAMED = ("MCPVAULT_KEY_FILE", "MCPVAULT_KEY_FD", "MCPVAULT_KEY", "$CREDENTIALS_DIRECTORY/mcpvault.key")


@pytest.mark.parametrize("source", NAMED)
def test_each_named_source_gives_its_key(place: Place, tmp_path: Path, source: str) -> None:
    """The key's text comes without its line end, and says where it came from."""
    key = place.find(**named_sources(tmp_path)[source])

    assert (KEY_TEXT, "text", source) == (key.secret.reveal(), key.kind, key.source)


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(NAMED, 2)])
def test_two_named_sources_are_exit_8(place: Place, tmp_path: Path, one: str, other: str) -> None:
    """Nobody shall wonder which key was used; both are named, neither is read."""
    sources = named_sources(tmp_path)

    with pytest.raises(ConfigurationError) as caught:
        place.find(**sources[one], **sources[other])

    assert 8 == caught.value.exit_code
    assert one in caught.value.message
    assert other in caught.value.message
    os.fstat(int(sources["MCPVAULT_KEY_FD"]["MCPVAULT_KEY_FD"]))


def test_all_four_are_named_at_once(place: Place, tmp_path: Path) -> None:
    """The hint tells what to unset."""
    env = {name: value for each in named_sources(tmp_path).values() for name, value in each.items()}

    with pytest.raises(ConfigurationError) as caught:
        place.find(**env)

    assert [] == [name for name in NAMED if name not in (caught.value.hint or "")]


@pytest.mark.parametrize("name", ["MCPVAULT_KEY_FILE", "MCPVAULT_KEY_FD", "MCPVAULT_KEY", "CREDENTIALS_DIRECTORY"])
def test_an_empty_variable_names_nothing(place: Place, name: str) -> None:
    """``MCPVAULT_KEY=`` in a unit file is no key."""
    with pytest.raises(VaultLockedError):
        place.find(**{name: ""})


def test_a_credentials_folder_without_our_key_names_nothing(place: Place, tmp_path: Path) -> None:
    """Units have credentials for other things."""
    with pytest.raises(VaultLockedError):
        place.find(CREDENTIALS_DIRECTORY=credentials(tmp_path / "creds", name="other.key"))


def test_a_key_file_below_systemds_folder_is_judged_like_a_credential(place: Place, tmp_path: Path) -> None:
    """``MCPVAULT_KEY_FILE=%d/another`` may be readable by a group, as systemd makes it."""
    folder = credentials(tmp_path / "creds", name="another")
    (tmp_path / "creds" / "another").chmod(0o440)

    key = place.find(CREDENTIALS_DIRECTORY=folder, MCPVAULT_KEY_FILE=f"{folder}/another")

    assert KEY_TEXT == key.secret.reveal()


@pytest.mark.parametrize("source", NAMED)
def test_a_blank_key_is_exit_8(place: Place, tmp_path: Path, source: str) -> None:
    """A source that is named and holds nothing is a mistake; no other source is tried."""
    env = {
        "MCPVAULT_KEY_FILE": lambda: {"MCPVAULT_KEY_FILE": key_file(tmp_path / "key", "\n")},
        "MCPVAULT_KEY_FD": lambda: {"MCPVAULT_KEY_FD": descriptor_with("")},
        "MCPVAULT_KEY": lambda: {"MCPVAULT_KEY": "  "},
        NAMED[3]: lambda: {"CREDENTIALS_DIRECTORY": str(Path(key_file(folder(tmp_path) / "mcpvault.key", " ")).parent)},
    }[source]()
    key_file(place.data_home / f"{place.header.id}.key")

    with pytest.raises(ConfigurationError, match="is blank") as caught:
        place.find(**env)

    assert caught.value.message.startswith(f"{source}: ")


def folder(tmp_path: Path) -> Path:
    """Return a new private folder."""
    (tmp_path / "creds").mkdir(mode=0o700)
    return tmp_path / "creds"


def test_an_open_key_file_is_exit_8(place: Place, tmp_path: Path) -> None:
    """A key that others can read is refused, with the command that closes it."""
    path = Path(key_file(tmp_path / "key"))
    path.chmod(0o644)

    with pytest.raises(PermissionsError, match="lets others at it") as caught:
        place.find(MCPVAULT_KEY_FILE=str(path))

    assert f"run: chmod 600 {path}" == caught.value.hint


# The descriptor


def test_a_descriptor_is_read_once_and_closed(place: Place) -> None:
    """A second look gives the same key although the descriptor is gone, so that no child can get it."""
    number = descriptor_with(KEY_TEXT)

    first, second = (place.find(MCPVAULT_KEY_FD=number) for _ in range(2))

    assert first.secret == second.secret
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(int(number))


@pytest.mark.parametrize("number", ["three", "-1", "3.5", "٣", " 3", "9" * 20])
def test_a_descriptor_is_a_number(place: Place, number: str) -> None:
    """Anything else is refused by its name."""
    with pytest.raises(ConfigurationError, match="MCPVAULT_KEY_FD: expected a number"):
        place.find(MCPVAULT_KEY_FD=number)


def test_a_descriptor_that_was_not_passed_on_is_exit_8(place: Place) -> None:
    """The hint tells how descriptors get lost."""
    with pytest.raises(ConfigurationError, match="descriptor 9999 cannot be read") as caught:
        place.find(MCPVAULT_KEY_FD="9999")

    assert "pass_fds" in (caught.value.hint or "")


@pytest.mark.parametrize("number", ["1", "2", "01"])
def test_no_key_comes_from_where_messages_go(place: Place, number: str) -> None:
    """A descriptor is closed when it was read, and then nothing could be said any more."""
    with pytest.raises(ConfigurationError, match="is where this program writes"):
        place.find(MCPVAULT_KEY_FD=number)

    os.fstat(int(number))
