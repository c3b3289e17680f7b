"""
What the steps of a rotation stand on: the entry, its journal, its secrets, and one edit at a time.

Decides how a step is written: only where the journal is still as it was read. Leaves what the steps are to ``steps``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, PolicyError, VaultChangedError
from mcpvault.rotation import journal as journals
from mcpvault.rotation import verification
from mcpvault.rotation.rotator import Case
from mcpvault.secret import Secret
from mcpvault.stages import Stage, version_of
from mcpvault.state.host import host_name
from mcpvault.state.memory import MemoryState
from mcpvault.vault import stages
from vault_schema import Rotation, ServerEntry
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.tokens import AuthorizationServer
    from mcpvault.vault.change import Change


# What comes into use with a secret: the journal's word, and the entry's.
COMPANIONS = {"client_id": "client_id", "key_id": "key_id", "client_uri": "registration_client_uri"}
STAGED = ("auth.registration_access_token",)


PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds between looks at what an issuer is yet to learn; then the last again


def _nobody_listens(text: str) -> None:
    return None


class Conditions(Record):
    """
    What a person allows, and how long things may take; seconds.

    ``dead_within``: how long after it was ended the old secret may still be accepted; ``require_dead``: what is
    accepted for longer keeps the rotation open; ``force``: it ends, whatever cannot be ended or brought back.
    ``known_within``: how long an issuer may take to know a key that was published; ``tell`` is called with what people
    should know meanwhile.
    """

    timeout: float = 60.0
    accept_changes: bool = False
    require_dead: bool = False
    force: bool = False
    dead_within: float = 300.0
    known_within: float = 300.0
    tell: Callable[[str], None] = _nobody_listens
    given: Secret | None = None


class Ground:
    """
    One entry of an open vault, in the middle of a rotation.

    Attributes:
        remarks: What people are to be told at the end.
        patient: Whether the death of an old secret is waited for; else whoever comes next looks again.
    """

    def __init__(self, vault: Vault, name: str, conditions: Conditions, now: Callable[[], float]) -> None:
        self.vault = vault
        self.name = name
        self.conditions = conditions
        self.now = now
        self.remarks: list[str] = []
        self.patient = True

    @property
    def entry(self) -> ServerEntry:
        """The entry as it is now."""
        return self.vault.entry(self.name)

    def journal(self) -> Rotation:
        """Return the journal of the entry: somebody has begun a rotation."""
        found = self.entry.rotation
        assert found is not None  # noqa: S101  start wrote one, resume and abort looked
        return found

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes of this host from the same rotation; other hosts meet the vault's own check."""
        with self.vault.state.lock(f"rotation-{self.name}", timeout=2.0):
            self.vault.file.reread()
            yield

    def look(self, stage: Stage) -> verification.Seen | McpVaultError:
        """Use the secret of *stage*; return what it sees, or why it does not."""
        policy = self.entry.policy
        try:
            return verification.look(
                self.vault, self.name, stage, deadline=self.deadline(), probe_tool=policy.probe_tool
            )
        except McpVaultError as error:
            return error.with_traceback(None)

    def case(self, journal: Rotation, stage: Stage) -> Case:
        """Return what the rotator is to know, its settings with the secret of *stage*."""
        entry = self.entry
        there = [each for each in ("current", "pending", "previous") if version_of(entry, journal.field, each)]
        concrete = self.vault.resolve(self.name, stage=stage if stage in there else "current")
        oauth: dict[str, Any] = {}
        if concrete.oauth is not None:
            from mcpvault.oauth_entry import entry_of, unsealed
            from mcpvault.oauth_parts import reach_of

            def discover(deadline: Deadline) -> AuthorizationServer:
                grant = entry_of(concrete, state=MemoryState(), sealing=unsealed(), env=self.vault.env).authorization
                return grant.grants.discover(None, deadline).server

            oauth = {"reach": reach_of(concrete, concrete.oauth, self.vault.env), "discover": discover}
        return Case(
            id=journal.id,
            entry=entry,
            field=journal.field,
            attempt=max(1, journal.attempt),
            settings=concrete.oauth,
            secrets={each: self.vault.file.secret(self.name, journal.field, stage=each) for each in there},
            given=self.conditions.given,
            command=journal.command,
            env=self.vault.env,
            open=partial(self.vault.file.secret, self.name),
            keep=self._keep,
            **oauth,
        )

    def _keep(self, field: str, secret: Secret) -> None:
        self.vault.file.reread()
        with self.vault.change() as change:
            change.set_secret(self.name, field, secret)

    def refuse_known(self, field: str, secret: Secret, client_id: str | None = None) -> None:
        """
        Refuse a new *secret* that the entry has already: ending the old one would end it too.

        Raises:
            PolicyError: It is one of the versions of *field*, for the same client.
        """
        if client_id not in (None, self.entry.auth.client_id):
            return
        for stage in ("current", "previous", "pending"):
            if version_of(self.entry, field, stage) and self.vault.file.secret(self.name, field, stage=stage) == secret:
                another = f"let another be made, then run: mcpvault rotate {self.name} {field}"
                raise PolicyError(
                    f"servers.{self.name}.{field}: the new secret is the {stage} one, and no other",
                    hint=f"bring it back with: mcpvault rollback {self.name}" if stage == "previous" else another,
                    server=self.name,
                )

    def write(
        self, journal: Rotation, step: str, edit: Callable[[Change], None] | None = None, **members: Any
    ) -> Rotation:
        """
        Write the journal at *step*, and with it what *edit* does; return it.

        Raises:
            VaultChangedError: Somebody else has gone on with the rotation meanwhile.
        """
        self.vault.file.reread()
        if self.journal() != journal:
            raise VaultChangedError(
                f"{self.name}: somebody else has gone on with this rotation",
                hint=f"run: mcpvault due, then perhaps: mcpvault rotate {self.name} --resume",
                server=self.name,
            )
        with self.vault.change() as change:
            if edit is not None:
                edit(change)
            told = journals.after(journal, step, by=self.by, now=self.now(), **members)
            stages.write_journal(change, self.name, told)
        wrong = {"problem": told["problem"]} if told["problem"] else {}
        self.vault.audit("rotate", server=self.name, field=journal.field, step=step, rotation=journal.id, **wrong)
        return self.journal()

    def keep_companions(self, change: Change, journal: Rotation, stage: str) -> None:
        """Put what belongs to the secret that comes into use into the entry: the journal's members of *stage*."""
        for ours, theirs in COMPANIONS.items():
            value = getattr(journal, f"{stage}_{ours}")
            if value:
                change.set_plain(self.name, f"auth.{theirs}", value)
            elif value is not None and getattr(self.entry.auth, theirs) is not None:
                change.unset(self.name, f"auth.{theirs}")

    def moved(self, journal: Rotation, stage: str, to: str) -> dict[str, str | None]:
        """Return the journal's members after what is at *stage* has come into use, and what was in use is at *to*."""
        told: dict[str, str | None] = {}
        for ours, theirs in COMPANIONS.items():
            known = getattr(journal, f"{stage}_{ours}") is not None
            told[f"{stage}_{ours}"] = None
            told[f"{to}_{ours}"] = (getattr(self.entry.auth, theirs) or "") if known else None
        return {name: value for name, value in told.items() if value or name.endswith("key_id") or value is None}

    def fields(self, journal: Rotation, stage: str) -> list[str]:
        """Return the fields that are rotated together: the secret's, and what is staged beside it."""
        beside = [each for each in STAGED if version_of(self.entry, each, stage) and each != journal.field]
        return [journal.field, *beside] if version_of(self.entry, journal.field, stage) else beside

    @property
    def by(self) -> str:
        """Who writes the journal."""
        return f"{self.vault.file.slot.id}@{host_name()}"

    def deadline(self) -> Deadline:
        """Return the time that one act may take."""
        return Deadline(self.conditions.timeout)

    def remark(self, text: str | None) -> None:
        """Keep what people are to be told."""
        if text and text not in self.remarks:
            self.remarks.append(text)
