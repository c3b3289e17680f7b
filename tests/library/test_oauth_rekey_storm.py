"""New keys and removed slots under running readers and refreshers: no call fails, and no grant is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from library_house import House

from mcpvault import Vault
from mcpvault.upkeep.keys import change_keys
from mcpvault.vault.slots import NewSlot, RawKey

WORKER = Path(__file__).with_name("rekey_worker.py")
LONGEST = 60  # seconds


def let_in(house: House, name: str) -> RawKey:
    """Add a reader's slot."""
    key = RawKey.generate()
    with Vault.open(env=house.env).change() as change:
        change.add_slot(NewSlot.raw(name, key, role="reader"))
    return key


def waited(what: Callable[[], bool]) -> None:
    """Wait until *what* is so."""
    ends = time.monotonic() + LONGEST
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.parametrize(("workers", "acts"), [(2, 4), pytest.param(8, 40, marks=pytest.mark.storm)])
def test_no_call_fails_while_keys_change(build: Callable[..., House], tmp_path: Path, workers: int, acts: int) -> None:
    """Admins' and readers' processes go on through rekeys and removals of others; tokens live for two seconds."""
    house = build(policy={"access_lifetime": 2, "reuse": "revoke", "grace": 0.0})
    house.add()
    house.log_in()
    reader = let_in(house, "reader").text.reveal()
    stop = tmp_path / "stop"
    running, logs = [], []
    for number in range(workers):
        env = {**house.env} if number % 2 else {"HOME": house.env["HOME"], "MCPVAULT_KEY": reader}
        logs.append(log := tmp_path / f"log{number}")
        with log.open("w") as file:
            words = [sys.executable, str(WORKER), str(stop), ("once", "always")[number // 2 % 2]]
            running.append(subprocess.Popen(words, env={**env, "PATH": os.environ["PATH"]}, stdout=file, stderr=file))
    try:
        waited(lambda: all(log.stat().st_size for log in logs))
        for number in range(acts):
            seen = [log.stat().st_size for log in logs]
            if number % 2:
                let_in(house, f"guest{number}")
                change_keys(
                    Vault.open(env=house.env), lambda change, number=number: change.remove_slots([f"guest{number}"])
                )
            else:
                change_keys(Vault.open(env=house.env), lambda change: change.rekey())
            waited(lambda seen=seen: all(log.stat().st_size > size for log, size in zip(logs, seen, strict=True)))
        waited(lambda: house.issuer.redemptions > acts / 4)
    finally:
        stop.touch()
        ended = [process.wait(LONGEST) for process in running]

    assert ([0] * workers, 0) == (ended, house.issuer.reuse_detected), [log.read_text()[-2000:] for log in logs]
    vault = Vault.open(env=house.env)
    assert 1 + acts == vault.document.header.epoch
    assert {"me", "reader"} == {slot.id for slot in vault.document.header.slots}
    assert 6 == len(house.session().list_tools())
