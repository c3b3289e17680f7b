"""
Logins in progress: who has begun one, where and when, so that ``status`` on another terminal can say so.

Decides how that is written down and until when it is believed. Nothing waits for it, and nothing else goes by it.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from mcpvault.errors import BusyError, PermissionsError
from mcpvault.state import journal
from mcpvault.state.journal import Intent
from mcpvault.state.store import StateStore

LONGEST = 3600  # seconds; nobody takes longer, and a process id may be another's by then
MOST = 16  # of one credential; the oldest give way
_PATIENCE = 1.0  # seconds to wait for another login that begins or ends
_KINDS = {"program": str, "pid": int, "user": int, "host_name": str, "started": int, "token": str}


@contextmanager
def announced(
    store: StateStore, credential: str, *, host_name: str, clock: Callable[[], float] = time.time
) -> Iterator[None]:
    """Say, for the time of the block, that somebody logs in. A state folder that takes nothing stops no login."""
    intent = journal.begin(None, now=clock(), host_name=host_name, before=None)
    mine = Intent(**{name: getattr(intent, name) for name in _KINDS})

    def say(*more: Intent) -> None:
        with suppress(PermissionsError, BusyError), store.lock(f"login-{credential}", timeout=_PATIENCE):
            there = _going_on(store, credential, host_name=host_name, now=clock())
            _write(store, credential, [*(other for other in there if other != mine), *more])

    say(mine)
    try:
        yield
    finally:
        say()


def in_progress(store: StateStore, credential: str, *, host_name: str, now: float) -> Intent | None:
    """
    Return who logs in just now, the latest of several, or None.

    Raises:
        PermissionsError: The state folder must not be believed.
    """
    return max(_going_on(store, credential, host_name=host_name, now=now), key=lambda each: each.started, default=None)


def _going_on(store: StateStore, credential: str, *, host_name: str, now: float) -> list[Intent]:
    """Return the logins that were announced and can still go on; a damaged file announces none."""
    data = store.read(_file(credential))
    try:
        told = tomllib.loads(data.decode()).get("login") if data else None
    except (ValueError, RecursionError):
        return []
    sound = [each for each in told if _is_sound(each)] if isinstance(told, list) else []
    logins = [Intent(**each) for each in sound]
    recent = [each for each in logins if 0 <= now - each.started < LONGEST]
    return [each for each in recent if each.host_name != host_name or journal.lives(each.pid)]


def _is_sound(told: object) -> bool:
    return isinstance(told, dict) and {name: type(value) for name, value in told.items()} == _KINDS


def _write(store: StateStore, credential: str, logins: list[Intent]) -> None:
    from vault_schema import dump_plain

    tables = [{name: getattr(each, name) for name in _KINDS} for each in logins[-MOST:]]
    store.replace(_file(credential), dump_plain({"login": tables}).encode() if tables else b"")


def _file(credential: str) -> str:
    return f"login-{credential}.toml"
