"""
The rotator ``manual``: a person makes the new secret at the issuer, brings it, and ends the old one there.

Decides what that person is told. The secret comes from the command line's stdin, file or prompt.
"""

from __future__ import annotations

from mcpvault.deadline import Deadline
from mcpvault.errors import UsageError
from mcpvault.rotation.rotator import Case, Minted, Plan


class Manual:
    """Takes what it is given."""

    def plan(self, case: Case) -> Plan:
        """Say what the person does, and when."""
        book = case.entry.runbook
        return Plan(
            keeps_old=True,
            steps=(
                "a person makes a new secret at the issuer" + (f" (runbook: {book})" if book else ""),
                "a person ends the old one there, when the grace is over",
            ),
            needs=() if case.given is not None else ("the new secret: --stdin, --file PATH or --prompt",),
            by_hand=_order(case),
        )

    def mint(self, case: Case, deadline: Deadline) -> Minted:
        """
        Return what was given.

        Raises:
            UsageError: Nothing was.
        """
        if case.given is None:
            raise UsageError(
                f"{case.place}: the new secret is missing",
                hint=f"give it with --stdin, --file or --prompt: mcpvault rotate {case.entry.name} --resume --stdin",
                server=case.entry.name,
            )
        return Minted(secret=case.given)

    def publish(self, case: Case, deadline: Deadline) -> None:
        """Do nothing: the issuer knows it."""

    def revoke(self, case: Case, deadline: Deadline) -> str | None:
        """Tell the person to."""
        return _order(case)

    def withdraw(self, case: Case, deadline: Deadline) -> str | None:
        """Tell the person to."""
        return "end the new secret at its issuer, if it was made only for this"


def _order(case: Case) -> str:
    book = case.entry.runbook
    return f"end the old secret at its issuer{f' (runbook: {book})' if book else ''}"
