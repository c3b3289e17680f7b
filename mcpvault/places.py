"""
Where things are: the vault file, the state and the data folders of this user.

Decides places from the environment and nothing else; opens nothing. Never the
current folder: a cron job's working directory must not choose its credentials.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from mcpvault.errors import ConfigurationError
from vault_schema.record import Record


class Places(Record):
    """
    The places of one run.

    ``vault_path`` is the vault file; ``state_home`` holds ``<vault-id>/`` folders of what runs
    produce; ``data_home`` holds ``<vault-id>.key`` files; ``credentials_dir`` is systemd's
    ``$CREDENTIALS_DIRECTORY`` or None.
    """

    vault_path: Path
    state_home: Path
    data_home: Path
    credentials_dir: Path | None


def locate(env: Mapping[str, str], vault: str | os.PathLike[str] | None = None) -> Places:
    """
    Return the places that *env* names, with *vault* instead of the default file if given.

    Raises:
        ConfigurationError: *vault* is empty, a variable that must be an absolute path is not, or there is no home.
    """
    if vault == "":
        raise ConfigurationError("the vault's path is empty", hint="name a file, or leave it out for the default one")
    chosen = vault or env.get("MCPVAULT_FILE")
    vault_path = _expanded(Path(chosen)).absolute() if chosen else _home(env, "config") / "vault.toml"
    state = env.get("MCPVAULT_STATE_DIR") or env.get("STATE_DIRECTORY", "").split(":")[0]
    state_home = _absolute("MCPVAULT_STATE_DIR or STATE_DIRECTORY", state) if state else _home(env, "state")
    credentials = env.get("CREDENTIALS_DIRECTORY")
    return Places(
        vault_path=vault_path,
        state_home=state_home,
        data_home=_home(env, "data"),
        credentials_dir=_absolute("CREDENTIALS_DIRECTORY", credentials) if credentials else None,
    )


_XDG = {
    "config": ("XDG_CONFIG_HOME", ".config"),
    "state": ("XDG_STATE_HOME", ".local/state"),
    "data": ("XDG_DATA_HOME", ".local/share"),
}


def _home(env: Mapping[str, str], kind: str) -> Path:
    variable, below_home = _XDG[kind]
    # "All paths set in these environment variables must be absolute. If an implementation encounters
    # a relative path … it should consider the path invalid and ignore it." -- XDG Base Directory
    if (value := env.get(variable)) and Path(value).is_absolute():
        return Path(value) / "mcpvault"
    if sys.platform in ("darwin", "win32"):
        import platformdirs

        return Path(getattr(platformdirs, f"user_{kind}_dir")("mcpvault", appauthor=False))
    if home := env.get("HOME"):
        return _absolute("HOME", home) / below_home / "mcpvault"
    raise ConfigurationError(
        f"neither {variable} nor HOME is set, so there is no place for mcpvault's {kind}",
        hint="set HOME, or MCPVAULT_FILE and MCPVAULT_STATE_DIR",
    )


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        pass
    raise ConfigurationError(f"{path}: there is no such home", hint="write the path in full")


def _absolute(name: str, value: str) -> Path:
    path = Path(value)
    if not path.is_absolute():
        raise ConfigurationError(f"{name}: expected an absolute path, got {value!r}")
    return path
