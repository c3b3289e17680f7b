"""Another process has the audit log in its hand, and is stopped."""

from __future__ import annotations

import fcntl
import time

import pytest
from library_house import House

from mcpvault import auditing
from mcpvault.state.audit_lines import HEAD
from mcpvault.upkeep.audit_trail import events

EVENTS = 8


def test_a_log_that_is_held_is_waited_for_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first event waits its second, the others hardly; it is a warning, once, and all is well when it is free."""
    monkeypatch.setattr(auditing, "PATIENCE", 1.0)
    audit = auditing.Auditor(house.vault.state, house.vault.file)
    began = time.monotonic()
    with (house.vault.state.path / HEAD).open("r+b") as held, pytest.warns(UserWarning, match="locked for 1 s") as told:
        fcntl.flock(held, fcntl.LOCK_EX)
        for _ in range(EVENTS):
            audit("reveal")
    spent = time.monotonic() - began
    audit("logout")

    assert 1 == len(told)
    assert 1 <= spent < EVENTS
    assert [0, 1] == [[e["ev"] for e in events(house.vault.state)].count(ev) for ev in ("reveal", "logout")]
