"""
One entry, made concrete: references filled in, secrets open, credential built.

Decides what each kind of entry becomes. Leaves where the values come from to
``mcpvault.vault``, and what carries requests to it to ``carriers``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, cast

from mcpvault import credentials
from mcpvault.credentials import Credential, check_header
from mcpvault.errors import BindingMismatchError, ConfigurationError, NotApprovedError, UnknownFieldError
from mcpvault.secret import Secret
from vault_schema import ServerEntry, Timeout, Tls, binding_for, is_secret, origin_of, spec_for
from vault_schema.fields import OAUTH_KINDS
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.http import AuthBase
    from mcpvault.login import OAuthProvider
    from mcpvault.stages import Stage
    from mcpvault.tokens import Settings
    from mcpvault.vault.references import Resolver
    from mcpvault.vault.vaultfile import VaultFile


class Concrete(Record):
    """An entry that can be used: every value is known, every secret is a ``Secret``."""

    name: str
    kind: Literal["http", "stdio"]
    credential: Credential
    url: str = ""
    headers: Mapping[str, Secret] = MappingProxyType({})
    token: Secret | None = None
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, Secret] = MappingProxyType({})
    cwd: str | None = None
    timeout: Timeout = Timeout()
    retries: int = 2
    rate_limit: str | None = None
    max_message: int = 64  # MiB
    proxies: Mapping[str, str] = MappingProxyType({})
    tls: Tls = Tls()
    allow_http: bool = False
    allow_private_hosts: tuple[str, ...] = ()
    era: str = "auto"
    transport: str = "http"
    approved: bool = True
    custom: bool = False
    oauth: Settings | None = None


def resolve(
    vault: VaultFile,
    name: str,
    *,
    env: Mapping[str, str],
    credentials_dir: Path | None,
    stage: Stage = "current",
    opened: dict[str, Secret] | None = None,
    without: Collection[str] = (),
) -> Concrete:
    """
    Return the entry *name* of an open vault, made concrete: the secret that is rotated at *stage*.

    *opened* gets what was unsealed for it, by field; the fields of ``auth`` in *without* are neither opened nor looked
    up.

    Raises:
        UnresolvedReferenceError: References have no value; all of the entry's are named at once.
        ConfigurationError: A value cannot be used where it stands.
        VaultError: A seal does not hold.
    """
    resolver = resolver_of(vault, name, env=env, credentials_dir=credentials_dir)
    entry = vault.entry(name)
    if without:
        entry = entry.replaced(auth=entry.auth.replaced(**dict.fromkeys(without)))
    seen = {} if opened is None else opened
    rotated = entry.rotation.field if entry.rotation is not None else None
    if stage != "current":
        from mcpvault.stages import at_stage

        entry = at_stage(entry, stage)

    def unseal(path: str) -> Secret:
        return seen.setdefault(path, vault.secret(name, path, stage=stage if path == rotated else "current"))

    return concrete(entry, resolver, unseal=unseal)


def resolver_of(
    vault: VaultFile, name: str, *, env: Mapping[str, str], credentials_dir: Path | None
) -> Callable[[], Resolver]:
    """Return what gives the resolver for the references of the entry *name*: always the same one, made when asked."""
    entry = vault.entry(name)

    def run(words: list[str]) -> Secret:
        from mcpvault.transports.environment import IDENTITY, child_environment
        from mcpvault.vault.commands import run_command

        wanted = IDENTITY if entry.auth.kind == "jwt_bearer" else ()
        own = {each: Secret(env[each]) for each in wanted if each in env}
        return run_command(words, env=child_environment(env, own, windows=os.name == "nt"))

    def sealed_elsewhere(server: str, path: str) -> Secret:
        """Open a ``${vault:server.field}``, if it is bound to the same origin as what refers to it."""
        spec = spec_for(path)
        if spec is None or entry.url is None or spec.bound_to != "url.origin":
            raise ConfigurationError(f"${{vault:{server}.{path}}} is no sealed value for an origin")
        if binding_for(vault.table(server), spec) != ("url.origin", origin_of(entry.url)):
            raise BindingMismatchError(
                f"servers.{name}: ${{vault:{server}.{path}}} is for another origin than this entry's", server=name
            )
        return vault.secret(server, path)

    @cache
    def resolver() -> Resolver:
        from mcpvault.vault.references import Resolver, Surroundings

        surroundings = Surroundings(
            env=env,
            credentials_dir=credentials_dir,
            allow_commands=vault.document.header.allow_commands,
            run=run,
            sealed=sealed_elsewhere,
        )
        return Resolver(server=name, surroundings=surroundings)

    return resolver


def concrete(entry: ServerEntry, resolver: Callable[[], Resolver], *, unseal: Callable[[str], Secret]) -> Concrete:
    """
    Return *entry* with every value known.

    Args:
        entry: As written.
        resolver: Gives what fills in references, always the same one; most entries have none.
        unseal: Opens the sealed value at a field path.

    Raises:
        UnresolvedReferenceError: See ``resolve``.
    """
    asked: list[Resolver] = []

    def value(path: str, held: object) -> Secret | None:
        if not isinstance(held, str):
            return unseal(path) if held is not None else None
        if "${" not in held:
            return Secret(held)
        asked[:] = [resolver()]
        return asked[0].resolve(path, held, secret=is_secret(path))

    def finish() -> None:
        for each in asked:
            each.finish()

    def plain(path: str, text: str | None) -> str | None:
        found = value(path, text)
        return None if found is None else found.reveal()

    def table(path: str, held: Mapping[str, object]) -> dict[str, Secret]:
        found = ((key, value(f"{path}.{key}", each)) for key, each in held.items())
        return {key: each for key, each in found if each is not None}

    if entry.command is not None:
        args = tuple(plain(f"args[{index}]", arg) or "" for index, arg in enumerate(entry.args))
        stdio = Concrete(
            name=entry.name,
            kind="stdio",
            credential=Credential(kind="none", origin=""),
            command=entry.command,
            args=args,
            env=table("env", entry.env),
            cwd=plain("cwd", entry.cwd),
            timeout=entry.timeout,
            era=entry.era,
            max_message=entry.max_message,
            approved=entry.approved,
        )
        finish()
        return stdio
    url = plain("url", entry.url) or ""
    auth = entry.auth
    secret = value("auth.token", auth.token) or value("auth.value", auth.value) or value("auth.password", auth.password)
    opened = {field: value(f"auth.{field}", getattr(auth, field)) for field in _OAUTH_SECRETS}
    username = plain("auth.username", auth.username)
    headers = table("headers", entry.headers)
    proxies = {key: plain(f"proxies.{key}", text) or "" for key, text in entry.proxies.items()}
    tls = Tls(
        ca_file=plain("tls.ca_file", entry.tls.ca_file),
        client_cert_file=plain("tls.client_cert_file", entry.tls.client_cert_file),
        client_key_file=plain("tls.client_key_file", entry.tls.client_key_file),
    )
    finish()
    # The origin is that of the text in the vault: references cannot stand before the path.
    origin = origin_of(entry.url or "")
    if origin_of(url) != origin:
        raise ConfigurationError(f"servers.{entry.name}.url: a reference changed where it leads", server=entry.name)
    for header, held in headers.items():
        check_header(header, held)
    return Concrete(
        name=entry.name,
        kind="http",
        credential=_credential(entry, secret, username, origin),
        url=url,
        headers=headers,
        token=secret if auth.kind == "bearer" else None,
        timeout=entry.timeout,
        retries=entry.retries,
        rate_limit=entry.rate_limit,
        max_message=entry.max_message,
        proxies=proxies,
        tls=tls,
        allow_http=entry.allow_http,
        allow_private_hosts=entry.allow_private_hosts,
        era=entry.era,
        transport=entry.transport,
        custom=auth.kind == "custom",
        oauth=_settings(entry, url, opened) if auth.kind in OAUTH_KINDS else None,
    )


PRESENTED = ("assertion", "subject_token", "idp_client_secret")  # what a grant is asked for with, and for nothing else
_OAUTH_SECRETS = ("client_secret", "private_key", "assertion", "idp_client_secret", "subject_token")


def _settings(entry: ServerEntry, url: str, opened: Mapping[str, Secret | None]) -> Settings:
    from mcpvault.tokens import Settings

    plain = {name: held for name, held in entry.auth.fields().items() if name in Settings.names()}
    named = {"server": entry.name, "credential": entry.credential or entry.name, "url": url}
    clients: dict[str, tuple[str, ...]] = {}
    if entry.rotation is not None:
        from mcpvault.stages import other_clients

        clients["other_clients"] = other_clients(entry)
    return Settings(**{**plain, **opened, **named, **clients})


def _credential(entry: ServerEntry, secret: Secret | None, username: str | None, origin: str) -> Credential:
    auth = entry.auth
    if secret is None or auth.kind in ("none", "custom", *OAUTH_KINDS):
        return Credential(kind=auth.kind, origin=origin)
    if auth.kind == "bearer":
        return credentials.bearer(secret, origin=origin, header=auth.header, scheme=auth.scheme)
    if auth.kind == "header":
        return credentials.header(secret, origin=origin, name=auth.name or "")
    return credentials.basic(username or "", secret, origin=origin)


def approved(entry: Concrete) -> Concrete:
    """
    Return *entry* unless it is a command that nobody has looked at.

    Raises:
        NotApprovedError: It was imported and has not been approved.
    """
    if not entry.approved:
        raise NotApprovedError(
            f"{entry.name}: its command was imported and has not been approved",
            hint=f"run: mcpvault approve {entry.name}",
            server=entry.name,
        )
    return entry


def remedy(entry: ServerEntry) -> str:
    """Return what helps where the server refuses the static credential of *entry*, as a hint."""
    held = {field: getattr(entry.auth, field) for field in ("token", "value", "password")}
    found = {f"auth.{field}": value for field, value in held.items() if value is not None}
    found = found or {f"headers.{name}": value for name, value in entry.headers.items() if is_secret(f"headers.{name}")}
    for field, value in found.items():
        if isinstance(value, str):
            from mcpvault.vault.references import references_in

            named = " ".join(each.shown for each in references_in(value))
            return f"{field} is what {named} says: put a fresh one there"
        return f"put in a fresh one: mcpvault set {entry.name} {field} --stdin"
    if entry.url is None or entry.auth.kind == "custom":
        return f"look at what it sends: mcpvault explain {entry.name}"
    return f"its entry sends no credential; ask the server which one it wants: mcpvault probe {entry.url}"


def of_http(entry: Concrete) -> Concrete:
    """
    Return *entry* if it is an HTTP server.

    Raises:
        UnknownFieldError: It is a stdio server.
    """
    if entry.kind != "http":
        where = f"servers.{entry.name}"
        raise UnknownFieldError(f"{where}: is a stdio server and has no HTTP credential", server=entry.name)
    return entry


def told_apart(auth: AuthBase | OAuthProvider | None) -> tuple[AuthBase | None, OAuthProvider | None]:
    """Return *auth* as what it is: something that signs requests, or a way through a login."""
    if auth is not None and hasattr(auth, "redirect_uri"):
        return None, cast("OAuthProvider", auth)
    return auth, None
