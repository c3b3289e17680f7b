"""
One field of an entry, opened: what is given to other programs by ``NAME`` or ``NAME.FIELD``.

Decides what a name without a field means, and that ``auth.token`` of an OAuth entry is a token that is good now.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from mcpvault import entries
from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, UnknownFieldError
from mcpvault.secret import Secret
from mcpvault.suggestion import did_you_mean
from vault_schema import is_secret
from vault_schema.fields import OAUTH_KINDS

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.entries import Concrete

LOG = logging.getLogger("mcpvault")
TOKEN = "auth.token"  # noqa: S105  a field
_CREDENTIAL = {"bearer": TOKEN, "header": "auth.value", "basic": "auth.password", **dict.fromkeys(OAUTH_KINDS, TOKEN)}


class Live(NamedTuple):
    """A value, and when it ends: Unix seconds, None where nobody says."""

    value: Secret
    expires_at: float | None = None
    kept: bool = False  # it ends sooner than was asked for, because no other was to be had


def credential_field(vault: Vault, name: str) -> str:
    """
    Return the field that holds what proves who we are to the server *name*.

    Raises:
        UnknownFieldError: The entry has no such field; one has to be named.
    """
    kind = vault.file.table(name).get("auth", {}).get("kind", "none")
    if kind in _CREDENTIAL:
        return _CREDENTIAL[kind]
    known = " ".join(secret_fields(vault, name))
    raise UnknownFieldError(
        f"servers.{name}: its credential is no single field",
        hint=f"name one: {known}" if known else f"run: mcpvault show {name}",
        server=name,
    )


def opened(vault: Vault, name: str, field: str | None = None, *, purpose: str, min_ttl: float | None = None) -> Live:
    """
    Return one field of the entry *name*, sealed or referred to or plain; that it was given is written down first.

    Args:
        vault: Unlocked.
        name: The entry.
        field: Such as ``env.DB_PASSWORD``; by default the entry's credential. ``auth.token`` of an OAuth entry is
            its access token.
        purpose: What it is for, for the audit log: ``token``, ``run``.
        min_ttl: Seconds that an access token has to be good for: one that ends sooner is replaced first.

    Raises:
        UnknownServerError, UnknownFieldError: There is none; the hint offers the nearest.
        UnresolvedReferenceError: What it refers to has no value.
        AuthorizationRequiredError: It is an OAuth token, and only a person's login helps.
    """
    field = credential_field(vault, name) if field is None else field
    with vault.audit.watching("give", server=name, field=field, purpose=purpose, durable=True) as told:
        live = _live(vault, name, field, min_ttl)
        told["secrets"] = {field: live.value}
    return live


def _live(vault: Vault, name: str, field: str, min_ttl: float | None) -> Live:
    if field == TOKEN and vault.file.table(name).get("auth", {}).get("kind") in OAUTH_KINDS:
        return _access_token(vault, entries.of_http(vault.resolve(name)), min_ttl)
    held = _held(vault, name, field)
    if isinstance(held, list):
        return Live(vault.file.secret(name, field), _ends(held))
    if not isinstance(held, str) or "${" not in held:
        return Live(Secret(held if isinstance(held, str) else str(held).lower()))
    resolver = entries.resolver_of(vault.file, name, env=vault.env, credentials_dir=vault.places.credentials_dir)()
    found = resolver.resolve(field, held, secret=is_secret(field))
    resolver.finish()
    if found is None:
        raise UnknownFieldError(f"servers.{name}.{field}: its optional reference has no value", server=name)
    return Live(found)


def secret_fields(vault: Vault, name: str) -> Iterator[str]:
    """Yield the fields of the entry *name* that hold secrets, an OAuth entry's token among them."""
    if vault.file.table(name).get("auth", {}).get("kind") in OAUTH_KINDS:
        yield TOKEN
    yield from (path for path, _, _ in vault.document.secrets(name))


def _held(vault: Vault, name: str, field: str) -> Any:
    held: Any = vault.file.table(name)
    head, _, leaf = field.partition(".")
    held = held.get(head)
    if leaf and isinstance(held, Mapping):
        held = held.get(leaf)
    elif leaf:
        held = None
    if isinstance(held, str | int) or (isinstance(held, list) and held and "sealed" in held[0]):
        return held
    known = [*secret_fields(vault, name), "url", "auth.username"]
    raise UnknownFieldError(
        f"servers.{name}.{field}: is not set" if held is None else f"servers.{name}.{field}: is no single value",
        hint=did_you_mean(field, known) or f"run: mcpvault get {name}",
        server=name,
    )


def headers_of(vault: Vault, name: str, *, min_ttl: float | None = None) -> Mapping[str, Secret]:
    """
    Return the headers that prove who we are to the server *name*: the credential's and the entry's own.

    Args:
        vault: Unlocked.
        name: The entry; its references are looked up once.
        min_ttl: As for ``opened``.

    Raises:
        UnknownFieldError: It is a stdio server.
        AuthorizationRequiredError: It is an OAuth entry, and only a person's login helps.
    """
    entry = entries.of_http(vault.resolve(name))
    if entry.oauth is None:
        return {**entry.headers, **entry.credential.headers}
    token = _access_token(vault, entry, min_ttl).value
    return {**entry.headers, "Authorization": Secret(f"Bearer {token.reveal()}")}


def token_of(vault: Vault, name: str) -> Secret:
    """
    Return the bearer token of the entry *name*; see ``Vault.token``.

    Raises:
        UnknownFieldError: The entry has none.
        AuthorizationRequiredError: It is an OAuth entry, and only a person's login helps.
    """
    entry = entries.of_http(vault.resolve(name))
    if entry.oauth is not None:
        from mcpvault.oauth_entry import entry_in

        return entry_in(vault, entry).authorization.access_token(Deadline(float(entry.timeout.total)))
    if entry.token is None:
        raise UnknownFieldError(f"servers.{name}.auth.token: the entry has no bearer token", server=name)
    return entry.token


def _access_token(vault: Vault, entry: Concrete, min_ttl: float | None) -> Live:
    from mcpvault.oauth_entry import entry_in

    authorization, total = entry_in(vault, entry).authorization, float(entry.timeout.total)
    token = authorization.access_token(Deadline(total))
    tokens = authorization.tokens() if authorization.has_grant() else None
    if min_ttl is not None and tokens is not None and not tokens.fresh(time.time(), skew=min_ttl):
        failure: McpVaultError | None = None
        try:
            _, tokens = authorization.renew(expiring=min_ttl, adopt=False, timeout=total)
        except McpVaultError as error:
            if not tokens.fresh(time.time()):
                raise
            failure = error
        if failure is not None:
            LOG.warning("%s; the token at hand still works", failure.message)
        return Live(tokens.access_token, tokens.expires_at, failure is not None)
    return Live(token, tokens.expires_at if tokens is not None and tokens.access_token == token else None)


def _ends(versions: list[dict[str, Any]]) -> float | None:
    """Return when the issuer ends the current version, where the vault says so."""
    from datetime import datetime

    moment = next((each.get("not_after") for each in versions if each["stage"] == "current"), None)
    return datetime.fromisoformat(moment).timestamp() if moment else None
