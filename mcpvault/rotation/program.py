"""
The rotator ``exec``: a program of the team's makes the new secret and ends the old one.

The program is run once for each act, without a shell and with a small environment. On stdin it gets one JSON object,
``{"version": 1, "action", "id", "attempt", "server", "field", "url", "current", "pending", "previous"}``: *action* is
``mint``, ``revoke`` (end *previous*) or ``withdraw`` (end *pending*); *id* is the same in every attempt at one
rotation. On stdout it answers with one JSON object: ``{"secret", "not_after"}`` to ``mint``, to the others nothing, or
``{"remark"}``, what a person still has to do. It ends with 0; 75 (EX_TEMPFAIL) means that it is worth trying again.
Secrets are never among its words or variables; what it writes to stderr is not shown.
"""

from __future__ import annotations

import json
import os
from typing import Any

from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError, McpVaultError, PolicyError, ServerUnavailableError
from mcpvault.rotation.rotator import Case, Minted, Plan
from mcpvault.secret import Secret
from mcpvault.transports.environment import child_environment

_TEMPORARY = 75  # sysexits.h, EX_TEMPFAIL
_LARGEST = 256 * 1024  # bytes of an answer
_TIME = r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"


class Program:
    """Runs the program that the rotation, or the policy, names."""

    def plan(self, case: Case) -> Plan:
        """Name the program."""
        named = case.command[0] if case.command else "the program"
        return Plan(
            keeps_old=True,
            steps=(f"{named!r} makes a new secret", f"{named!r} ends the old one, when the grace is over"),
            needs=needs(case) if case.command else ("a program: --exec -- PROGRAM ARG…, or policy.command",),
        )

    def mint(self, case: Case, deadline: Deadline) -> Minted:
        """
        Return what the program made.

        Raises:
            PolicyError: It made none.
        """
        answer = _minted(case, deadline)
        if isinstance(answer, McpVaultError):
            raise answer
        return answer

    def publish(self, case: Case, deadline: Deadline) -> None:
        """Do nothing: minting has made it good."""

    def revoke(self, case: Case, deadline: Deadline) -> str | None:
        """Let the program end the previous secret."""
        return _remark(run(case, "revoke", deadline))

    def withdraw(self, case: Case, deadline: Deadline) -> str | None:
        """Let the program end the pending secret."""
        return _remark(run(case, "withdraw", deadline))


def needs(case: Case) -> tuple[str, ...]:
    """Return what is missing where the program cannot be run: nothing is begun that it would leave open."""
    import shutil

    path = child_environment(case.env, {}, windows=os.name == "nt").get("PATH", os.defpath)
    if shutil.which(case.command[0], path=path) is not None:
        return ()
    return (f"a program that can be run: {case.command[0]!r} is none",)


def _minted(case: Case, deadline: Deadline) -> Minted | McpVaultError:
    import re

    told = _answer(case, "mint", {}, deadline)
    if isinstance(told, McpVaultError):
        return told
    secret, end = told.get("secret"), told.get("not_after")
    if not isinstance(secret, str) or not secret:
        return PolicyError(f"{case.place}: the program answered without a secret", server=case.entry.name)
    if end is not None and not (isinstance(end, str) and re.fullmatch(_TIME, end)):
        return PolicyError(f"{case.place}: the program's not_after is no time", server=case.entry.name)
    return Minted(secret=Secret(secret), not_after=end)


def run(case: Case, action: str, deadline: Deadline, **more: Any) -> dict[str, Any]:
    """
    Run the program for *action* and return its answer, which holds no secret.

    Raises:
        ServerUnavailableError: It says that trying again helps, or took too long.
        PolicyError: It failed.
        ConfigurationError: It cannot be run.
    """
    told = _answer(case, action, more, deadline)
    if isinstance(told, McpVaultError):
        raise told
    return told


def _answer(case: Case, action: str, more: dict[str, Any], deadline: Deadline) -> dict[str, Any] | McpVaultError:
    """Return the answer or what went wrong: an error that is raised here would carry this frame, and the secrets."""
    import subprocess

    name, place = case.entry.name, f"{case.place}: {case.command[0]!r}"
    said = {
        "version": 1, "action": action, "id": case.id, "attempt": case.attempt, "server": name, "field": case.field,
        "url": case.entry.url, **{stage: secret.reveal() for stage, secret in case.secrets.items()}, **more,
    }  # fmt: skip
    try:
        process = subprocess.Popen(
            case.command, env=child_environment(case.env, {}, windows=os.name == "nt"), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no command line"
        hint = f"mend it, then run: mcpvault rotate {name} --resume, or --abort"
        return ConfigurationError(f"{place} cannot be run: {why.lower()}", hint=hint, server=name)
    try:
        out, _ = process.communicate(json.dumps(said).encode(), timeout=deadline.remaining())
    except subprocess.TimeoutExpired:
        _end(process)
        return ServerUnavailableError(f"{place}: {action}: took longer than {deadline.seconds:g} s", server=name)
    except BaseException:
        _end(process)
        raise
    if process.returncode == _TEMPORARY:
        return ServerUnavailableError(f"{place}: {action}: says that it is worth trying again", server=name)
    if process.returncode != 0:
        return PolicyError(f"{place}: {action}: returned {process.returncode}", server=name)
    told = _object(out) if out.strip() else {}
    return PolicyError(f"{place}: {action}: answered no JSON object", server=name) if told is None else told


def _object(out: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(out[:_LARGEST])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _end(process: Any) -> None:
    """Kill the program and what it started; nothing that it has said is kept."""
    import signal

    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def _remark(told: dict[str, Any]) -> str | None:
    from mcpvault.quoting import quote

    remark = told.get("remark")
    return quote(remark) if isinstance(remark, str) and remark else None
