"""
Where the key of a vault is looked for, in one fixed order.

Decides which source is used and says which it was. Two sources named at once are an
error: nobody shall wonder which key was used. Leaves opening to ``vaultfile``.

Spec: house rule "exactly one of"; SPEC §6.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mcpvault.errors import ConfigurationError, VaultLockedError
from mcpvault.secret import Secret
from mcpvault.vault.permissions import read_secret_file
from vault_schema.record import Record

if TYPE_CHECKING:
    from vault_schema import Header, Slot

CREDENTIAL = "mcpvault.key"
_read_descriptors: dict[int, Secret] = {}
_descriptor_lock = threading.Lock()


class Key(Record):
    """
    What opens a slot.

    ``kind`` is ``text`` (``mvk1-…`` or ``mvx1-…``), ``passphrase`` or ``keyring``; ``source`` says
    in words where it came from.
    """

    kind: Literal["text", "passphrase", "keyring"]
    secret: Secret
    source: str


def find_key(
    header: Header,
    *,
    env: Mapping[str, str],
    data_home: Path,
    vault_path: Path,
    prompt: Callable[[str], Secret] | None = None,
) -> Key:
    """
    Return the key to try, from the first place that has one.

    Args:
        header: The vault's header; its id names the default key file, its slots the keyring's.
        env: The environment.
        data_home: The folder of ``<vault-id>.key``.
        vault_path: The vault file, for messages.
        prompt: Asks a person for a passphrase; None where nobody can be asked.

    Raises:
        ConfigurationError: Two sources are named, or the named one holds no key.
        PermissionsError: The key file is not private.
        VaultLockedError: There is no key anywhere; the hint lists the places.
    """
    named = _named(env)
    if len(named) > 1:
        raise ConfigurationError(
            f"{' and '.join(named)} name a key each, expected one", hint=f"unset all but one of {', '.join(named)}"
        )
    if named:
        [(source, fetch)] = named.items()
        return Key("text", _not_blank(fetch(), source), source)
    default = data_home / f"{header.id}.key"
    if _may_be_there(default):
        return Key("text", _not_blank(read_secret_file(default), str(default)), str(default))
    for slot in header.slots:
        if slot.kind == "keyring" and (secret := _from_keyring(slot)) is not None:
            return Key("keyring", secret, f"keyring entry {slot.service}/{slot.user or slot.id}")
    kinds = {slot.kind for slot in header.slots}
    if prompt is not None and not kinds.isdisjoint({"passphrase", "recovery"}):
        asked = "Passphrase" if "passphrase" in kinds else "Recovery phrase"
        typed = prompt(f"{asked} for {vault_path}: ")
        from mcpvault.vault import phrases

        words = "recovery" in kinds and phrases.spoken(typed.reveal()) is not None
        return Key("text" if words or "passphrase" not in kinds else "passphrase", typed, "the prompt")
    raise VaultLockedError(
        f"{vault_path}: no key at hand",
        hint=f"set MCPVAULT_KEY_FILE, MCPVAULT_KEY_FD or MCPVAULT_KEY, give the unit a credential {CREDENTIAL}, "
        f"put the key into {default} or a keyring slot's keyring, or run on a terminal",
    )


def passed_over(header: Header, *, env: Mapping[str, str], data_home: Path, used: Key) -> list[str]:
    """Return why each source but the one that was *used* gave no key, in the order in which they are looked at."""
    told = [
        f"{name} is not set" for name in ("MCPVAULT_KEY_FILE", "MCPVAULT_KEY_FD", "MCPVAULT_KEY") if not env.get(name)
    ]
    if (folder := _credentials(env)) is None:
        told.append("CREDENTIALS_DIRECTORY is not set")
    elif not (folder / CREDENTIAL).exists():
        told.append(f"{folder} holds no {CREDENTIAL}")
    default = data_home / f"{header.id}.key"
    if used.source != str(default):
        told.append(f"{default} {'comes later' if _may_be_there(default) else 'is not there'}")
    for slot in header.slots:
        entry = f"keyring entry {slot.service}/{slot.user or slot.id}"
        if slot.kind == "keyring" and used.source != entry:
            told.append(f"{entry} {'gave nothing' if used.kind == 'passphrase' else 'comes later'}")
    if used.source != "the prompt" and {"passphrase", "recovery"} & {slot.kind for slot in header.slots}:
        told.append("a prompt comes last")
    return told


def _named(env: Mapping[str, str]) -> dict[str, Callable[[], Secret]]:
    sources: dict[str, Callable[[], Secret]] = {}
    if path := env.get("MCPVAULT_KEY_FILE"):
        sources["MCPVAULT_KEY_FILE"] = lambda: read_secret_file(Path(path), credentials_dir=_credentials(env))
    if number := env.get("MCPVAULT_KEY_FD"):
        sources["MCPVAULT_KEY_FD"] = lambda: _from_descriptor(number)
    if env.get("MCPVAULT_KEY"):
        sources["MCPVAULT_KEY"] = lambda: Secret(env["MCPVAULT_KEY"])
    if (folder := _credentials(env)) and (folder / CREDENTIAL).exists():
        sources[f"$CREDENTIALS_DIRECTORY/{CREDENTIAL}"] = lambda: read_secret_file(
            folder / CREDENTIAL, credentials_dir=folder
        )
    return sources


def _may_be_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder that we may not look into: reading says so properly
        return True


def _credentials(env: Mapping[str, str]) -> Path | None:
    return Path(folder) if (folder := env.get("CREDENTIALS_DIRECTORY")) else None


def _from_descriptor(number: str) -> Secret:
    """Read an inherited descriptor once for this process, then close it, so that no child gets it."""
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise ConfigurationError(f"MCPVAULT_KEY_FD: expected a number, got {number!r}")
    descriptor = int(number)
    if descriptor in (1, 2):  # read and closed, they would take with them whatever is said afterwards
        raise ConfigurationError(
            f"MCPVAULT_KEY_FD: {descriptor} is where this program writes, not where a key comes from",
            hint="open another: MCPVAULT_KEY_FD=3 … 3<file",
        )
    with _descriptor_lock:
        if descriptor not in _read_descriptors:
            failed = False
            try:
                with os.fdopen(descriptor, "rb") as file:
                    _read_descriptors[descriptor] = Secret(file.read(4096).decode("utf-8", "replace"))
            except OSError:
                failed = True
            if failed:
                raise ConfigurationError(
                    f"MCPVAULT_KEY_FD: descriptor {descriptor} cannot be read",
                    hint="was it passed on to this process (pass_fds, or 3<file in a shell)?",
                )
        return _read_descriptors[descriptor]


def _not_blank(secret: Secret, source: str) -> Secret:
    stripped = Secret(secret.reveal().strip())
    if not stripped:
        raise ConfigurationError(
            f"{source}: is blank, expected one line of key text", hint="restore the key from its backup"
        )
    return stripped


def _from_keyring(slot: Slot) -> Secret | None:
    """Return the key that the OS keyring keeps for *slot*, or None where it has none or there is no keyring."""
    try:
        import keyring

        value = keyring.get_password(slot.service or "mcpvault", slot.user or slot.id)
    except Exception:  # any backend may fail in any way; the next source is tried
        return None
    return Secret(value) if value else None


def store_in_keyring(service: str, user: str, key: Secret) -> None:
    """
    Put a raw key into the OS keyring.

    Raises:
        ConfigurationError: There is no keyring that takes it.
    """
    problem: str | None = None
    try:
        import keyring

        keyring.set_password(service, user, key.reveal())
    except ImportError:
        problem = "the keyring package is not installed"
    except Exception as error:  # any backend may fail in any way
        problem = type(error).__name__
    if problem is not None:
        raise ConfigurationError(
            f"the OS keyring did not take the key: {problem}",
            hint="install mcpvault-sdk[keyring] and unlock the keyring, or use --new-key-file",
        )
