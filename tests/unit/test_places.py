"""Where things are."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcpvault.errors import ConfigurationError
from mcpvault.places import Places, locate


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (
            {"HOME": "/h"},
            ("/h/.config/mcpvault/vault.toml", "/h/.local/state/mcpvault", "/h/.local/share/mcpvault", None),
        ),
        (
            {"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s", "XDG_DATA_HOME": "/d"},
            ("/c/mcpvault/vault.toml", "/s/mcpvault", "/d/mcpvault", None),
        ),
        (
            {"HOME": "/h", "XDG_CONFIG_HOME": "relative"},
            ("/h/.config/mcpvault/vault.toml", "/h/.local/state/mcpvault", "/h/.local/share/mcpvault", None),
        ),
        (
            {
                "HOME": "/h",
                "MCPVAULT_FILE": "/v/x.toml",
                "MCPVAULT_STATE_DIR": "/st",
                "STATE_DIRECTORY": "/no",
                "CREDENTIALS_DIRECTORY": "/run/c",
            },
            ("/v/x.toml", "/st", "/h/.local/share/mcpvault", "/run/c"),
        ),
        (
            {"HOME": "/h", "STATE_DIRECTORY": "/a:/b"},
            ("/h/.config/mcpvault/vault.toml", "/a", "/h/.local/share/mcpvault", None),
        ),
    ],
    ids=["home", "xdg", "relative-xdg-ignored", "mcpvault-variables", "systemd"],
)
def test_places_follow_the_environment(
    env: dict[str, str], expected: tuple[str, str, str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place comes from the first variable that names it."""
    monkeypatch.setattr("sys.platform", "linux")
    vault, state, data, credentials = expected

    assert Places(Path(vault), Path(state), Path(data), Path(credentials) if credentials else None) == locate(env)


def test_a_path_given_wins_and_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--vault`` beats the environment, and a relative one is meant from where the command runs."""
    monkeypatch.chdir(tmp_path)
    env = {"HOME": "/h", "MCPVAULT_FILE": "/other.toml"}

    assert tmp_path / "v.toml" == locate(env, "v.toml").vault_path


@pytest.mark.parametrize("variable", ["MCPVAULT_STATE_DIR", "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"])
def test_a_relative_folder_is_refused(variable: str) -> None:
    """A folder that depends on the working directory is a configuration error."""
    with pytest.raises(ConfigurationError, match="expected an absolute path"):
        locate({"HOME": "/h", variable: "here"})


def test_no_home_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cron job without HOME is told what to set."""
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ConfigurationError) as caught:
        locate({})
    assert "MCPVAULT_FILE" in (caught.value.hint or "")


def test_an_empty_path_is_not_the_default_vault() -> None:
    """An unset variable of a script must not lead to another vault than it names."""
    with pytest.raises(ConfigurationError, match="is empty"):
        locate({"HOME": "/h"}, "")


@pytest.mark.parametrize("vault", ["~nobody-of-that-name/v.toml", None])
def test_a_home_that_nobody_has_is_refused(vault: str | None) -> None:
    """However the path was given."""
    with pytest.raises(ConfigurationError, match="~nobody-of-that-name/v.toml: there is no such home"):
        locate({"HOME": "/h", "MCPVAULT_FILE": "~nobody-of-that-name/v.toml"}, vault)
