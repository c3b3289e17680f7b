"""Logins in progress: several at a time, and what is believed of them."""

from __future__ import annotations

import os

import pytest

from mcpvault.state import logins
from mcpvault.state.files import StateDirectory
from mcpvault.state.logins import announced, in_progress

HERE = {"host_name": "web01"}
NOON = 1_790_000_000


def who(directory: StateDirectory, now: float = NOON + 60) -> int | None:
    """Return the process that ``status`` would name."""
    found = in_progress(directory, "linear", now=now, **HERE)
    return found.pid if found is not None else None


def killed_while_logging_in(directory: StateDirectory) -> int:
    """Have another process begin a login and die in it."""
    if (child := os.fork()) == 0:
        with announced(directory, "linear", clock=lambda: NOON + 5, **HERE):
            os._exit(0)
    os.waitpid(child, 0)
    return child


def test_the_login_that_waits_is_told_when_a_later_one_is_killed(directory: StateDirectory) -> None:
    """Two at once: the end of the second, however sudden, does not hide the first."""
    with announced(directory, "linear", clock=lambda: NOON, **HERE):
        killed = killed_while_logging_in(directory)
        held = directory.read("login-linear.toml") or b""
        assert (True, os.getpid()) == (f"pid = {killed}".encode() in held, who(directory))
    assert None is who(directory)
    assert b"" == directory.read("login-linear.toml")


def test_the_latest_of_several_is_told(directory: StateDirectory) -> None:
    """When it ends the one before is told again; logins of one process count as well."""
    with announced(directory, "linear", clock=lambda: NOON, **HERE):
        with announced(directory, "linear", clock=lambda: NOON + 9, **HERE):
            found = in_progress(directory, "linear", now=NOON + 60, **HERE)
            assert found is not None
            assert NOON + 9 == found.started
        found = in_progress(directory, "linear", now=NOON + 60, **HERE)
        assert found is not None
        assert NOON == found.started


def test_nobody_logs_in_for_longer_than_an_hour(directory: StateDirectory) -> None:
    """A process id may be another's by then."""
    with announced(directory, "linear", clock=lambda: NOON, **HERE):
        assert os.getpid() == who(directory, NOON + logins.LONGEST - 1)
        assert None is who(directory, NOON + logins.LONGEST)


@pytest.mark.parametrize(
    "text", ["login = 1", "[[login]]\npid = 'x'", "[", 'pid = 1\nprogram = "older"', "login = [1]"]
)
def test_a_damaged_file_announces_nobody(directory: StateDirectory, text: str) -> None:
    """And the next login writes it anew."""
    directory.replace("login-linear.toml", text.encode())
    assert None is who(directory)
    with announced(directory, "linear", clock=lambda: NOON, **HERE):
        assert os.getpid() == who(directory)


def test_no_login_waits_for_a_file_that_only_tells(directory: StateDirectory) -> None:
    """Somebody keeps the lock: the login goes on, and is not told."""
    with directory.lock("login-linear"), announced(directory, "linear", clock=lambda: NOON, **HERE):
        assert None is who(directory)
