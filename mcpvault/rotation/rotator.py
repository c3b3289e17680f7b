"""
What makes a new secret and ends the old one: the protocol that every rotator keeps, and where they are found.

A rotator is an object with the five methods of ``Rotator``. Other packages bring theirs as entry points of the group
``mcpvault.rotators``: a callable without arguments that returns one, under the name that ``policy.rotator`` says.

Each method is called after the journal says that it will be, and again if nobody knows how the last call ended: with
the same ``Case.id``, and a higher ``Case.attempt``. It does its work once, or once more without harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn, Protocol, cast, runtime_checkable

from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError
from mcpvault.secret import Secret
from mcpvault.suggestion import did_you_mean
from vault_schema.fields import OAUTH_KINDS
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.http.asking import Asker
    from mcpvault.tokens import AuthorizationServer, Settings
    from vault_schema import ServerEntry

GROUP = "mcpvault.rotators"


def _nothing(*_: object, **__: object) -> NoReturn:
    raise ConfigurationError("this entry has no such thing")


class Case(Record):
    """
    One rotation, as its rotator sees it.

    Args:
        id: Made once for each rotation; the same in every attempt.
        entry: As the vault says it now, secrets sealed.
        field: The secret's path below the entry.
        attempt: 1 in the first call of a method, more where the end of an earlier call is not known.
        settings: The OAuth settings at the stage that the method is about, secrets open; None for other kinds.
        secrets: The versions that there are, by stage.
        given: What a person has brought, or None.
        command: Of the rotator ``exec``.
        env: The environment.
        reach: Who carries out requests to the authorization server, within a deadline.
        open: Opens another sealed field of the entry, at a stage.
        keep: Seals another field's new secret at once, where asking has replaced that one only.
        discover: Returns what the authorization server says of itself.
    """

    id: str
    entry: ServerEntry
    field: str
    attempt: int = 1
    settings: Settings | None = None
    secrets: Mapping[str, Secret] = MappingProxyType({})
    given: Secret | None = None
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = MappingProxyType({})
    reach: Callable[[Deadline], Asker] | None = None
    open: Callable[..., Secret] = _nothing
    keep: Callable[[str, Secret], None] = _nothing
    discover: Callable[[Deadline], AuthorizationServer] = _nothing

    @property
    def place(self) -> str:
        """The secret's dotted path, for messages."""
        return f"servers.{self.entry.name}.{self.field}"


class Plan(Record):
    """
    What a rotator would do, in sentences for people.

    ``keeps_old``: the old secret stays good until it is ended, so that a rotation can be rolled back at any step.
    ``settles``: the issuer learns of the new one by itself, and may take a while: it is asked again.
    ``by_hand``: what a person is to do to end the old one, as an order, where nobody does that for them.
    """

    keeps_old: bool
    steps: tuple[str, ...]
    needs: tuple[str, ...] = ()
    settles: bool = False
    by_hand: str | None = None


class Minted(Record):
    """
    A new secret, and what the vault is to keep with it.

    ``client_id``, ``key_id`` and ``client_uri`` (``registration_client_uri``) come into use with the secret, and so
    does what is in ``staged``, by field; what is in ``secrets`` has replaced the old in this moment.
    """

    secret: Secret
    not_after: str | None = None
    client_id: str | None = None
    key_id: str | None = None
    client_uri: str | None = None
    staged: Mapping[str, Secret] = MappingProxyType({})
    secrets: Mapping[str, Secret] = MappingProxyType({})


@runtime_checkable
class Rotator(Protocol):
    """A maker of new secrets. What it raises is a ``McpVaultError``; the rotation stays where it is."""

    def plan(self, case: Case) -> Plan:
        """Say what would be done; ask nobody."""

    def mint(self, case: Case, deadline: Deadline) -> Minted:
        """Return a new secret; it is kept as ``pending`` before anything else happens."""

    def publish(self, case: Case, deadline: Deadline) -> None:
        """Make the pending secret good, where minting has not; called before it is tried."""

    def revoke(self, case: Case, deadline: Deadline) -> str | None:
        """End the previous secret; return what a person still has to do, or None. That keeps the rotation open."""

    def withdraw(self, case: Case, deadline: Deadline) -> str | None:
        """End the secret that did not come into use, the rotation being given up; return as ``revoke``."""


_OWN = {
    "manual": ("mcpvault.rotation.manual", "Manual"),
    "exec": ("mcpvault.rotation.program", "Program"),
    "client-secret": ("mcpvault.rotation.client_secret", "ClientSecret"),
    "registration": ("mcpvault.rotation.new_registration", "NewRegistration"),
    "private-key": ("mcpvault.rotation.private_key", "PrivateKey"),
}


def usual(entry: ServerEntry, field: str) -> str:
    """Return the name of the rotator that fits *field* where the policy names none."""
    if entry.policy.rotator is not None:
        return entry.policy.rotator
    if entry.auth.kind in OAUTH_KINDS:
        if field == "auth.private_key":
            return "private-key"
        if field == "auth.client_secret" and entry.auth.registration_access_token is not None:
            return "client-secret"
    return "exec" if entry.policy.command else "manual"


def rotator(name: str) -> Rotator:
    """
    Return the rotator *name*: one of ours, or an entry point's.

    Raises:
        ConfigurationError: There is none, or what is installed is no rotator.
    """
    from importlib import import_module

    if name in _OWN:
        module, maker = _OWN[name]
        return cast("Rotator", getattr(import_module(module), maker)())
    from importlib.metadata import entry_points

    found = [*entry_points(group=GROUP, name=name)]
    if len(found) != 1:
        told = f"{len(found)} packages bring one" if found else "there is none of that name"
        hint = did_you_mean(name, [*_OWN, *entry_points(group=GROUP).names])
        raise ConfigurationError(f"rotator {name!r}: {told}", hint=hint or f"ours: {', '.join(_OWN)}")
    made = found[0].load()()
    if not isinstance(made, Rotator):
        raise ConfigurationError(f"{GROUP}: {name}: expected a Rotator, got {type(made).__name__}")
    return made
