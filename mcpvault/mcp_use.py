"""
mcp-use's configuration: how a file of it is read, which of its texts are secrets, and what its OAuth keys mean.

Decides the ``Settings`` of a server without a vault: the keys of an entry's ``auth`` table (SPEC §10.3), in both
spellings (``clientId``, ``client_id``), with mcp-use's own words for some. Their values are judged as in a vault.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcpvault.errors import ConfigurationError
from mcpvault.secret import Secret
from mcpvault.suggestion import did_you_mean
from mcpvault.tokens import Settings
from mcpvault.vault.references import Resolver
from vault_schema import spec_for
from vault_schema.check import servers as judge
from vault_schema.values import Fault

BESIDE = ("callback_url", "callback_port", "use_redirect_flow", "prevent_auto_auth", "client_metadata_url")
_OWN = ("callback_url", "callback_port", "use_redirect_flow", "prevent_auto_auth", "scopes")
_NOT_HERE = frozenset({"server", "credential", "url", "persist"})
_KNOWN = frozenset(Settings.names()) - _NOT_HERE | {*_OWN}
_SECRET = frozenset(name for name in _KNOWN if (spec := spec_for(f"auth.{name}")) is not None and spec.always_secret)
_SHELTERED = frozenset({"auth_token", "headers", "env"}) | _SECRET


def snake(key: str) -> str:
    """Return ``client_id`` for ``clientId``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower()


def camel(key: str) -> str:
    """Return ``clientId`` for ``client_id``."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), key)


def loaded(path: Path) -> Mapping[str, Any]:
    """
    Return the object in a JSON file, its secrets sheltered.

    Raises:
        ConfigurationError: It cannot be read, or is something else.
    """
    read = _read(path)
    if isinstance(read, str):
        raise ConfigurationError(f"{path}: {read}")
    return read


def _read(path: Path) -> Mapping[str, Any] | str:
    """Return the object, or what is wrong instead of raising, for the frames here hold the text."""
    try:
        shape = json.loads(path.read_text("utf-8"))
        return sheltered(shape) if isinstance(shape, dict) else "expected an object"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except json.JSONDecodeError as error:
        return f"is not JSON (line {error.lineno})"
    except UnicodeDecodeError:
        return "is not UTF-8"
    except ValueError:
        return "holds a number that is too long"
    except RecursionError:
        return "is nested too deeply"


def sheltered(value: Any, *, secret: bool = False) -> Any:
    """Return a copy in which every text that may be a secret is a ``Secret``, so that no traceback shows it."""
    if isinstance(value, Mapping):
        return {
            key: sheltered(held, secret=secret or (isinstance(key, str) and snake(key) in _SHELTERED))
            for key, held in value.items()
        }
    return Secret(value) if secret and isinstance(value, str) else value


def said_of_oauth(name: str, entry: Mapping[str, Any], resolver: Resolver) -> dict[str, Any] | None:
    """
    Return the OAuth keys of *entry* in one spelling, references filled in; None where it wants no OAuth.

    Args:
        name: The server.
        entry: As configured, secrets sheltered.
        resolver: Fills in references; whoever made it calls ``finish``.

    Raises:
        ConfigurationError: A key is unknown, or does not go with another one.
    """
    auth, said = entry.get("auth"), entry.get("oauth")
    where = f"{resolver.where}.oauth"
    beside = {key: value for key, value in entry.items() if snake(key) in BESIDE}
    if isinstance(auth, Mapping):
        if said is not None:
            raise ConfigurationError(f"{where}: auth is a table as well", hint="keep one of them", server=name)
        auth, said = None, auth
    static = [key for key in ("authToken", "auth_token") if entry.get(key) is not None]
    if auth is not None and not hasattr(auth, "redirect_uri"):
        static.append("auth")
    if said is False or (said is None and (static or (auth is None and not beside))):
        return None
    if static:
        raise ConfigurationError(f"{where}: does not go with {static[0]}", hint="keep one of them", server=name)
    if said not in (None, True) and not isinstance(said, Mapping):
        raise ConfigurationError(f"{where}: expected a table, true or false", server=name)
    told = _known([*beside.items(), *(said.items() if isinstance(said, Mapping) else ())], where, name)
    return {
        key: _filled(resolver, f"oauth.{camel(key)}", held) if isinstance(held, str | Secret) else held
        for key, held in told.items()
    }


def settings(name: str, told: Mapping[str, Any], *, url: str, origin: str, where: str) -> Settings:
    """
    Return what *told* means for the server *name*.

    Args:
        name: The server.
        told: From ``said_of_oauth``.
        url: Its URL.
        origin: Of the URL.
        where: For messages.

    Raises:
        ConfigurationError: A value cannot be used; the message names the place.
    """
    table = _in_our_words(told, f"{where}.oauth", name)
    _judge(table, origin, f"{where}.oauth", name)
    credential = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:32]
    return Settings(server=name, credential=credential, url=url, **table)


def _known(items: list[tuple[str, Any]], where: str, name: str) -> dict[str, Any]:
    """Return the keys in one spelling."""
    told: dict[str, Any] = {}
    for key, value in items:
        short = snake(key)
        if short not in _KNOWN:
            known = [*_KNOWN, *map(camel, _KNOWN)]
            raise ConfigurationError(f"{where}.{key}: unknown key", hint=did_you_mean(key, known), server=name)
        if value is not None and told.setdefault(short, value) != value:
            raise ConfigurationError(f"{where}: {camel(short)} is said twice, and differs", server=name)
    return told


def _filled(resolver: Resolver, path: str, held: str | Secret) -> str | Secret | None:
    text = held.reveal() if isinstance(held, Secret) else held
    if "${" not in text:
        return held
    found = resolver.resolve(path, text, secret=False)
    return found if isinstance(held, Secret) or found is None else found.reveal()


def _in_our_words(told: Mapping[str, Any], where: str, name: str) -> dict[str, Any]:
    table = {"kind": "oauth", **{key: value for key, value in told.items() if key not in _OWN and value is not None}}
    port, callback, scopes = told.get("callback_port"), told.get("callback_url"), told.get("scopes")
    if port is not None:
        if type(port) is not int or not 0 < port < 65_536:
            raise ConfigurationError(f"{where}.callbackPort: expected a port", server=name)
        callback = callback or f"http://127.0.0.1:{port}/callback"
    if callback is not None:
        table.setdefault("redirect_uri", callback)
    if scopes is not None:
        words = scopes if isinstance(scopes, list | tuple) else [scopes]
        table.setdefault("scope", " ".join(str(word) for word in words))
    for key in ("use_redirect_flow", "prevent_auto_auth"):
        if not isinstance(told.get(key, True), bool):
            raise ConfigurationError(f"{where}.{camel(key)}: expected true or false", server=name)
    if told.get("use_redirect_flow"):
        table.setdefault("login_method", "paste")
    if told.get("prevent_auto_auth") is False:
        table.setdefault("interactive", "tty")
    return table


def _judge(table: Mapping[str, Any], origin: str, where: str, name: str) -> None:
    """Judge the table as a vault's, with a reference in the place of each secret."""
    problem: ConfigurationError | None = None
    for key in sorted(_SECRET & table.keys()):
        if not table[key]:
            raise ConfigurationError(f"{where}.{camel(key)}: is empty", hint="leave it out, or fill it in", server=name)
    shown = {key: "${env:SECRET}" if key in _SECRET else value for key, value in table.items()}
    try:
        judge({"server": {"url": f"{origin}/", "auth": shown}}, 1)
    except Fault as fault:
        place = fault.path().removeprefix("server.auth").removeprefix("server").lstrip(".")
        problem = ConfigurationError(
            f"{where}{f'.{camel(place)}' if place else ''}: {fault.what}", hint=fault.hint, server=name
        )
    if problem is not None:
        raise problem
