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
_KINDS = {"program": str, "pid": int, "user": int, "host_name": str, "started": int, "token": str}


@contextmanager
def announced(
    store: StateStore, credential: str, *, host_name: str, clock: Callable[[], float] = time.time
) -> Iterator[None]:
    """Say, for the time of the block, that somebody logs in. A state folder that takes nothing stops no login."""
    from vault_schema import dump_plain

    intent = journal.begin(None, now=clock(), host_name=host_name, before=None).fields()
    told = dump_plain({name: intent[name] for name in _KINDS}).encode()
    with suppress(PermissionsError, BusyError):
        store.replace(_file(credential), told)
    try:
        yield
    finally:
        with suppress(PermissionsError, BusyError):
            if store.read(_file(credential)) == told:  # else another login has begun since
                store.replace(_file(credential), b"")


def in_progress(store: StateStore, credential: str, *, host_name: str, now: float) -> Intent | None:
    """
    Return who logs in just now, or None.

    Raises:
        PermissionsError: The state folder must not be believed.
    """
    data = store.read(_file(credential))
    try:
        told = tomllib.loads(data.decode()) if data else {}
    except (ValueError, RecursionError):
        return None
    if {name: type(value) for name, value in told.items()} != _KINDS:
        return None
    intent = Intent(**told)
    recent = 0 <= now - intent.started < LONGEST
    return intent if recent and (intent.host_name != host_name or journal.lives(intent.pid)) else None


def _file(credential: str) -> str:
    return f"login-{credential}.toml"
