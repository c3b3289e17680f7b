"""
START HERE: one rotation, from its plan to the death of the old secret.

    planned ─► minted ─► stored ─► verified ─► promoted ─► grace ─► revoked ─► done
       └──────────┴────────┴──────────┴───────────┴──────────┴─► aborted

Decides which step comes next, and who may take it. Leaves the steps to ``steps``, making and ending secrets to a
``Rotator``, trying them to ``verification``.

Spec: SPEC §10.4.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mcpvault.errors import ConfigurationError, McpVaultError, UnknownFieldError, UsageError
from mcpvault.rotation import journal as journals
from mcpvault.rotation import steps, tokens, whereabouts
from mcpvault.rotation.ground import Conditions, Ground
from mcpvault.rotation.rotator import Case, Plan, rotator
from mcpvault.stages import version_of
from mcpvault.suggestion import did_you_mean
from mcpvault.vault import stages
from vault_schema import Rotation

if TYPE_CHECKING:
    from mcpvault.connect import Vault


class Machine:
    """
    The rotation of one entry of an open vault.

    Args:
        vault: Opened by an admin.
        name: The entry.
        conditions: What is allowed, and how long things may take.
        now: Unix seconds.

    Attributes:
        left: Whether ``resume`` has left the rotation to another host.
    """

    def __init__(
        self, vault: Vault, name: str, conditions: Conditions | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._on = Ground(vault, name, conditions or Conditions(), now)
        self.left = False

    @property
    def remarks(self) -> tuple[str, ...]:
        """What people are to be told."""
        return tuple(self._on.remarks)

    @property
    def journal(self) -> Rotation:
        """
        The journal of the entry's rotation that is open.

        Raises:
            ConfigurationError: None is.
        """
        name, found = self._on.name, self._on.entry.rotation
        if found is None or not found.open:
            raise ConfigurationError(
                f"{name}: no rotation is open", hint=f"begin one: mcpvault rotate {name}", server=name
            )
        return found

    def plan(self, field: str, how: str, command: tuple[str, ...] = ()) -> Plan:
        """
        Return what a rotation would do; nothing is asked or written.

        Raises:
            UnknownFieldError: *field* holds no sealed value.
        """
        on, given = self._on, self._on.conditions.given
        if how == tokens.ROTATOR:
            return tokens.plan(on)
        if version_of(on.entry, field, "current") is None:
            raise UnknownFieldError(
                f"servers.{on.name}.{field}: holds no sealed value",
                hint=did_you_mean(field, [*on.vault.file.sealed_fields(on.name)]) or f"run: mcpvault show {on.name}",
                server=on.name,
            )
        case = Case(id="", entry=on.entry, field=field, given=given, command=command, env=on.vault.env)
        return rotator(how).plan(case)

    def start(self, field: str, how: str, *, grace: str, command: tuple[str, ...] = ()) -> Rotation:
        """
        Begin a rotation and take it to its grace; return its journal.

        Raises:
            UsageError: The rotator needs something that was not given, or a program that can be run.
            ConfigurationError: One is open already, or the field holds no sealed value.
            PolicyError: The new secret is not good enough, or no other; the old one is in use as before.
            McpVaultError: It stays where it is, and can be resumed.
        """
        on, name = self._on, self._on.name
        if needs := self.plan(field, how, command).needs:
            raise UsageError(f"{name}: this needs {'; '.join(needs)}", server=name)
        with on.alone():
            found = on.entry.rotation
            if found is not None and found.open:
                or_else = "; with --force it ends as it is" if found.step == "revoked" else ", or --abort"
                raise ConfigurationError(
                    f"{name}: a rotation of {found.field} is open since {found.started}, at {found.step!r}",
                    hint=f"run: mcpvault rotate {name} --resume{or_else}",
                    server=name,
                )
            if on.conditions.given is not None:
                on.refuse_known(field, on.conditions.given)
            begun = journals.begin(field, rotator=how, by=on.by, now=on.now(), grace=grace, command=command)
            if how == tokens.ROTATOR:
                begun |= whereabouts.begun(on, begun["id"])
            with on.vault.change() as change:
                if how != tokens.ROTATOR:
                    stages.drop(change, name, field, "pending")
                stages.write_journal(change, name, begun)
            return self._go_on(to="grace")

    def resume(self, *, leave: bool = False) -> Rotation:
        """
        Take the open rotation as far as it goes now; return its journal.

        With *leave*, one whose tokens are on another host stays as it is, with a remark, and the death of an old
        secret is not waited for. Raises as ``start`` else.
        """
        self._on.patient = not leave
        with self._on.alone():
            if leave and (found := self.elsewhere()) is not None:
                self._on.remark(f"{found.where}: {found.hint}")
                self.left = True
                return self.journal
            self._check_here()
            return self._go_on()

    def abort(self, why: str = "given up by hand") -> Rotation:
        """
        Give the open rotation up: the old secret is, or comes again into, use.

        Raises:
            ConfigurationError: None is open, its tokens are elsewhere, or there is no way back: the old secret has
                been ended.
        """
        on = self._on
        with on.alone():
            journal = self.journal
            if on.conditions.force and self.elsewhere() is not None:
                return whereabouts.abandon(on, journal)
            self._check_here()
            of_tokens = journal.rotator == tokens.ROTATOR
            plan = None if of_tokens else rotator(journal.rotator).plan(on.case(journal, "current"))
            replaced = plan is not None and not plan.keeps_old and journal.step not in ("planned", "minted")
            lost = replaced and not on.conditions.force
            if lost or (journal.step == "revoked" and not self._lives_on(plan)):
                hint = f"run: mcpvault rotate {on.name} --resume"
                hint += ", or --abort --force" if lost else "; with --force it ends as it is"
                raise ConfigurationError(
                    f"{on.name}: the old secret has been ended: there is no way back",
                    hint=hint,
                    server=on.name,
                )
            with self._written_down():
                (tokens if of_tokens else steps).undo(on, journal, why)
            return on.journal()

    def _lives_on(self, plan: Plan | None) -> bool:
        """Tell whether the old secret, which a person is to end when the grace is over, is still good."""
        by_hand = plan is not None and plan.by_hand is not None
        return by_hand and not isinstance(self._on.look("previous"), McpVaultError)

    def elsewhere(self) -> whereabouts.Elsewhere | None:
        """Return where the open rotation can go on, where that is not here: its tokens are there."""
        journal = self.journal
        return whereabouts.elsewhere(self._on, journal) if journal.rotator == tokens.ROTATOR else None

    def roll_back(self) -> str:
        """
        Bring the previous secret back into use; return its field.

        Raises:
            ConfigurationError: There is none, or it has been ended.
        """
        on, field = self._on, self.previous_field()
        if on.entry.rotation is not None and on.entry.rotation.open:
            return self.abort("rolled back by hand").field
        with on.vault.change() as change:
            stages.demote(change, on.name, field, to="previous")
        return field

    def previous_field(self) -> str:
        """
        Return the field whose previous secret could come back.

        Raises:
            ConfigurationError: There is none, or several are.
        """
        on = self._on
        if on.entry.rotation is not None and on.entry.rotation.open:
            return on.entry.rotation.field
        held = on.vault.document.secrets(on.name)
        fields = [path for path, _, _ in held if version_of(on.entry, path, "previous") is not None]
        if len(fields) != 1:
            told = f"several have one: {', '.join(fields)}" if fields else "no secret has a previous version"
            raise ConfigurationError(f"{on.name}: {told}", hint=f"run: mcpvault history {on.name}", server=on.name)
        return fields[0]

    def _check_here(self) -> None:
        if (found := self.elsewhere()) is not None:
            raise ConfigurationError(f"{self._on.name}: {found.where}", hint=found.hint, server=self._on.name)

    def _go_on(self, to: str = "done") -> Rotation:
        on = self._on
        with self._written_down():
            while (journal := on.journal()).open and journal.step != to:
                way = tokens if journal.rotator == tokens.ROTATOR else steps
                step = way.give_up if journal.undo else way.STEPS[journal.step]
                if not step(on, journal):
                    break
        return on.journal()

    @contextmanager
    def _written_down(self) -> Iterator[None]:
        """Write into the audit log why the block stopped, where it fails; its steps are there."""
        on, failure = self._on, None
        try:
            yield
        except McpVaultError as error:
            failure = error
        if failure is None:
            return
        with suppress(McpVaultError):  # the failure is what is told, also where it is that nothing can be written
            journal = on.journal()
            wrong: dict[str, Any] = {"problem": journal.problem} if journal.problem else {}
            on.vault.audit(
                "rotate", server=on.name, field=journal.field, step=journal.step, rotation=journal.id,
                **wrong, ok=False, why=failure.kind,
            )  # fmt: skip
        raise failure
