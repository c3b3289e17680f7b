"""
A parsed vault: its tree as TOML gave it, and typed views of its parts, made when asked for.

Decides the shapes. Leaves the judgement of the text to ``parse``, keys and seals to ``mcpvault.vault``.

Spec: SPEC §5, §6, §9.5, §10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal

from vault_schema.fields import FIELDS, is_sensitive_name
from vault_schema.forms import FieldSpec
from vault_schema.record import Record


class Slot(Record):
    """One key that opens the vault (SPEC §6)."""

    id: str
    kind: Literal["raw", "passphrase", "keyring", "recipient", "recovery"]
    role: Literal["admin", "reader"]
    pub: str
    box: str
    sbox: str | None = None
    pin: str | None = None
    salt: str | None = None
    kdf: str | None = None
    m: int | None = None  # KiB
    t: int | None = None
    p: int | None = None
    service: str | None = None
    user: str | None = None
    created: str | None = None


class Retired(Record):
    """The vault key of an earlier epoch, sealed under the present one (SPEC §5.1)."""

    epoch: int
    key: str
    until: str


class DefaultPolicy(Record):
    """What holds for entries that do not say it themselves (SPEC §5)."""

    max_age: str | None = None
    warn: str | None = None
    grace: str | None = None
    owner: str | None = None
    runbook: str | None = None


class Header(Record):
    """The ``[vault]`` table (SPEC §5)."""

    format: int
    id: str
    serial: int
    epoch: int
    suite: str
    mac: str
    root: str
    sig: str
    slots: tuple[Slot, ...]
    allow_commands: bool = False
    audit: Literal["on", "required", "off"] = "on"
    retired: tuple[Retired, ...] = ()
    policy: DefaultPolicy = DefaultPolicy()


class Version(Record):
    """One sealed version of a secret (SPEC §9.5)."""

    v: int
    stage: Literal["current", "pending", "previous"]
    created: str
    bound: tuple[str, ...]
    sealed: str
    not_after: str | None = None
    due: str | None = None


class Auth(Record):
    """How requests of an entry are authenticated (SPEC §10.2)."""

    kind: str = "none"  # one of fields.AUTH_KINDS
    token: str | tuple[Version, ...] | None = None
    value: str | tuple[Version, ...] | None = None
    username: str | None = None
    password: str | tuple[Version, ...] | None = None
    header: str = "Authorization"
    scheme: str = "Bearer"
    name: str | None = None
    issuer: str | None = None
    resource: str | None = None
    strict_resource: bool = False
    scope: str | None = None
    client_id: str | None = None
    client_secret: str | tuple[Version, ...] | None = None
    private_key: str | tuple[Version, ...] | None = None
    key_id: str | None = None
    signing_alg: str | None = None
    registration_client_uri: str | None = None
    registration_access_token: str | tuple[Version, ...] | None = None
    token_endpoint_auth_method: str | None = None
    assertion_audience: str | None = None
    client_metadata_url: str | None = None
    redirect_uri: str | None = None
    login_method: str | None = None
    interactive: str = "never"
    assume_pkce_s256: bool = False
    dpop: bool = False
    persist: str = "all"
    assertion: str | tuple[Version, ...] | None = None
    idp_issuer: str | None = None
    idp_token_endpoint: str | None = None
    idp_client_id: str | None = None
    idp_client_secret: str | tuple[Version, ...] | None = None
    subject_token: str | tuple[Version, ...] | None = None
    subject_token_type: str = "id_token"  # noqa: S105  a kind of token


class Timeout(Record):
    """Limits of time, in seconds."""

    connect: int = 10
    read: int = 60
    total: int = 300


class Tls(Record):
    """Paths of PEM files."""

    ca_file: str | None = None
    client_cert_file: str | None = None
    client_key_file: str | None = None


class Policy(Record):
    """When a secret of the entry is due, as durations (``90d``), and how it is rotated."""

    max_age: str | None = None
    warn: str | None = None
    grace: str | None = None
    rotator: str | None = None
    command: tuple[str, ...] = ()
    probe_tool: str | None = None
    jwks_file: str | None = None


class Rotation(Record):
    """The journal of the last rotation of the entry (SPEC §10.4)."""

    id: str
    field: str
    rotator: str
    step: str  # one of fields.STEPS
    attempt: int
    started: str
    updated: str
    by: str
    host: str | None = None
    grace: str | None = None
    until: str | None = None
    ended: str | None = None
    undo: bool = False
    problem: str | None = None
    command: tuple[str, ...] = ()
    pending_client_id: str | None = None
    previous_client_id: str | None = None
    pending_client_uri: str | None = None
    previous_client_uri: str | None = None
    pending_key_id: str | None = None
    previous_key_id: str | None = None

    @property
    def open(self) -> bool:
        """Whether it is neither done nor aborted."""
        return self.step not in ("done", "aborted")


class ServerEntry(Record):
    """One server (SPEC §10). References stand as written, secrets as versions or references."""

    name: str
    url: str | None = None
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str | tuple[Version, ...]] = MappingProxyType({})
    cwd: str | None = None
    headers: Mapping[str, str | tuple[Version, ...]] = MappingProxyType({})
    auth: Auth = Auth()
    timeout: Timeout = Timeout()
    retries: int = 2
    rate_limit: str | None = None
    max_message: int = 64  # MiB
    proxies: Mapping[str, str] = MappingProxyType({})
    tls: Tls = Tls()
    allow_http: bool = False
    allow_private_hosts: tuple[str, ...] = ()
    transport: Literal["http", "sse", "auto"] = "http"
    era: Literal["auto", "modern", "legacy"] = "auto"
    approved: bool = True
    credential: str | None = None
    run_env: Mapping[str, str] = MappingProxyType({})
    note: str | None = None
    owner: str | None = None
    runbook: str | None = None
    policy: Policy = Policy()
    rotation: Rotation | None = None

    @property
    def kind(self) -> Literal["http", "stdio"]:
        """``http`` for an entry with a URL, ``stdio`` for one with a command."""
        return "http" if self.url is not None else "stdio"


class Document:
    """
    A vault's text, judged good by ``parse``.

    ``tree`` is the plain tree of dicts and lists; never change it, copy it first.
    """

    __slots__ = ("__dict__", "text", "tree")

    def __init__(self, tree: dict[str, Any], text: str) -> None:
        self.tree = tree
        self.text = text

    @cached_property
    def header(self) -> Header:
        """The typed ``[vault]`` table."""
        head = self.tree["vault"]
        made: dict[str, Any] = {"slots": tuple(Slot(**slot) for slot in head["slots"])}
        made["retired"] = tuple(Retired(**row) for row in head.get("retired", ()))
        return Header(**{**head, **made, "policy": DefaultPolicy(**head.get("policy", {}))})

    @cached_property
    def server_names(self) -> tuple[str, ...]:
        """The names of all entries, in the order of the file."""
        return tuple(self.tree.get("servers", ()))

    def server(self, name: str) -> ServerEntry:
        """
        Return the typed entry *name*.

        Raises:
            KeyError: There is none of exactly that name.
        """
        entry = self.tree.get("servers", {})[name]
        told = {key: _READERS.get(key, _as_it_is)(value) for key, value in entry.items() if not key.startswith("x-")}
        return ServerEntry(name=name, **told)

    def secrets(self, name: str) -> Iterator[tuple[str, FieldSpec, tuple[Version, ...] | str]]:
        """
        Yield every secret of the entry *name*: field path, row of ``FIELDS``, versions or reference text.

        Raises:
            KeyError: There is no entry of exactly that name.
        """
        entry = self.tree.get("servers", {})[name]
        for spec in FIELDS:
            if not spec.may_be_secret:
                continue
            table, _, leaf = spec.path.partition(".")
            values: Mapping[str, Any] = entry.get(table, {})
            for key in values if leaf == "*" else (leaf,):
                value = values.get(key)
                if isinstance(value, list):
                    yield f"{table}.{key}", spec, _versions(value)
                elif value is not None and (spec.always_secret or is_sensitive_name(key)):
                    yield f"{table}.{key}", spec, value


def _as_it_is(value: Any) -> Any:
    return value


def _versions(value: Any) -> Any:
    return tuple(Version(**{**version, "bound": tuple(version["bound"])}) for version in value)


def _values(table: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: _versions(value) if isinstance(value, list) else value for key, value in table.items()}


def _texts(table: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


# What the judge has let pass needs no second judgement, only its shape.
_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "args": tuple,
    "allow_private_hosts": tuple,
    "env": _values,
    "headers": _values,
    "auth": lambda table: Auth(**_values(table)),
    "timeout": lambda table: Timeout(**table),
    "tls": lambda table: Tls(**table),
    "policy": lambda table: Policy(**_texts(table)),
    "rotation": lambda table: Rotation(**_texts(table)),
}
