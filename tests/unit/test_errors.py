"""What an exception says where nobody catches it."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pytest

from mcpvault.errors import AuthorizationRequiredError, McpVaultError

SCRIPT = """
from mcpvault.errors import AuthorizationRequiredError
raise AuthorizationRequiredError("linear: nobody has logged in", hint="run: mcpvault login linear")
"""


def test_a_traceback_ends_with_the_command_to_run() -> None:
    """The mail of a cron job that died of it says what to do."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)

    *_, message, hint = done.stderr.splitlines()
    assert "mcpvault.errors.AuthorizationRequiredError: linear: nobody has logged in" == message
    assert "hint: run: mcpvault login linear" == hint


def test_a_hint_that_came_later_is_shown_beside_the_notes_of_others() -> None:
    """Hints are put in on the way up; a caller's notes stay."""
    error = AuthorizationRequiredError("linear: nobody has logged in")
    error.add_note("in job 7")
    error.hint = "run: mcpvault login linear"

    assert ["hint: run: mcpvault login linear\n", "in job 7\n"] == traceback.format_exception_only(error)[1:]
    assert "linear: nobody has logged in" == str(error)


@pytest.mark.parametrize("hint", [None, ""])
def test_an_error_without_a_hint_adds_nothing(hint: str | None) -> None:
    """There is one line of it then."""
    assert 1 == len(traceback.format_exception_only(McpVaultError("broken", hint=hint)))
