"""
What an examination finds: one fact, how bad it is, and the command that mends it.

Decides which of several failures names the exit code.
"""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from mcpvault.errors import EXIT_DONE, McpVaultError
from mcpvault.secret import redact

T = TypeVar("T")
Check = Generator["Finding", None, T]
# The first of these that any finding carries is the exit code: what keeps everything from working
# comes before what concerns one server, and what needs a person before what may pass by itself.
SEVERITY = (6, 8, 3, 9, 5, 1, 7, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One fact.

    ``id`` is stable (``vault.permissions``); ``message`` is one line that begins with the place; ``hint``
    is what to do; ``code`` is the exit code that it carries, 0 unless it failed; ``kind`` and ``server``
    are those of the error behind it, if there is one.
    """

    id: str
    level: Literal["ok", "warn", "fail"]
    message: str
    hint: str | None = None
    code: int = EXIT_DONE
    kind: str | None = None
    server: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        return asdict(self)


def ok(check: str, message: str, *, server: str | None = None) -> Finding:
    """Return the finding that all is well."""
    return Finding(id=check, level="ok", message=message, server=server)


def warn(check: str, message: str, hint: str, *, server: str | None = None) -> Finding:
    """Return a finding that somebody should know about, and that fails nothing."""
    return Finding(id=check, level="warn", message=message, hint=hint, server=server)


def fail(check: str, message: str, hint: str, *, code: int = 8, server: str | None = None) -> Finding:
    """Return a failure; unless said otherwise it is one of configuration."""
    return Finding(id=check, level="fail", message=message, hint=hint, code=code, server=server)


def of_error(check: str, error: McpVaultError, *, place: str = "", hint: str | None = None) -> Finding:
    """
    Return the failure that *error* is.

    Args:
        check: The finding's id.
        error: What was raised.
        place: Put before a message that does not name it.
        hint: Where the error has none, or sends to the examination that found it.
    """
    own = error.hint if hint is None or "see: mcpvault doctor" not in (error.hint or "") else None
    return Finding(
        id=check,
        level="fail",
        message=error.message if place in error.message else f"{place}: {error.message}",
        hint=own or hint,
        code=error.exit_code,
        kind=error.kind,
        server=error.server,
    )


def guarded(check: str, looking: Check[T], *, place: str = "") -> Check[T | None]:
    """
    Yield what *looking* finds and return what it returns; what it raises becomes a finding, and None.

    One check that breaks must not keep the others from being made.
    """
    try:
        return (yield from looking)
    except McpVaultError as error:
        broken = of_error(check, error, place=place)
    except OSError as error:
        told = f"{error.filename or place}: {(error.strerror or 'refused').lower()}"
        broken = fail(check, told, f"run: ls -ld {shlex.quote(str(error.filename or place))}")
    except Exception as error:
        told = redact(f"{place or check}: unexpected {type(error).__name__}: {error}").splitlines()[0][:300]
        broken = fail(check, told, "run it again with --debug and report it", code=1)
    yield broken
    return None


def worst(findings: Iterable[Finding]) -> int:
    """Return the exit code that the findings amount to; warnings alone are 0."""
    codes = {finding.code for finding in findings if finding.level == "fail"}
    return next((code for code in SEVERITY if code in codes), max(codes, default=EXIT_DONE))
