"""What ``rotate`` says: of a plan, of rotations that went on, and what people still have to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcpvault.cli import output
from mcpvault.errors import McpVaultError

if TYPE_CHECKING:
    from mcpvault.rotation.machine import Machine
    from vault_schema import Rotation


def tell_plan(
    machine: Machine, server: str, field: str, how: str, words: Sequence[str], *, as_json: bool, given: bool
) -> None:
    """Say what a rotation would do; *given*: what the rotator needs has been brought."""
    plan = machine.plan(field, how, tuple(words))
    needs = () if given else plan.needs
    back = "until the old one is ended" if plan.keeps_old else "none once the issuer was asked: it replaces the old one"
    facts = {
        "server": server, "field": field, "rotator": how, "keeps_old": plan.keeps_old, "steps": [*plan.steps],
        "needs": [*needs],
    }  # fmt: skip
    lines = [f"{server}.{field}, by {how}:", *(f"  {step}" for step in plan.steps), f"  a way back: {back}"]
    lines += [f"  needs {need}" for need in needs]
    output.say("\n".join(lines), as_json=as_json, json=facts)


def tell(
    done: Sequence[tuple[str, Machine, Rotation]],
    failures: Sequence[McpVaultError],
    *,
    as_json: bool,
    forced: bool = False,
) -> None:
    """Say how far each rotation has come, and which went wrong; *forced*: somebody ended them as they are."""
    if as_json:
        told = [
            {
                "server": name, "field": journal.field, "rotator": journal.rotator, "id": journal.id,
                "step": journal.step, "until": journal.until, "problem": journal.problem,
                "remarks": [*machine.remarks],
            }
            for name, machine, journal in done
        ]  # fmt: skip
        told += [{"server": each.server, "error": each.kind, "message": each.message} for each in failures]
        output.json(told)
        return
    for name, machine, journal in done:
        output.raw(f"{name}.{journal.field}: {_said(journal, forced=forced)}")
        note_remarks(name, machine)
    for error in failures:
        output.note(error.message)


def note_remarks(name: str, machine: Machine) -> None:
    """Show what people are to be told of the rotation of *name*."""
    for remark in machine.remarks:
        output.note(f"{name}: {remark}")


def _said(journal: Rotation, *, forced: bool) -> str:
    if journal.step == "grace":
        return f"the new one is in use, the old one good until {journal.until}"
    if journal.step == "done":
        return f"done{f': {journal.problem}' if journal.problem else ', the old one is dead'}"
    if journal.step == "aborted":
        return f"given up ({journal.problem})" + ("" if forced else "; the old one is in use")
    return f"open, at {journal.step!r}"
