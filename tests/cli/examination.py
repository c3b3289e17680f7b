"""What ``doctor`` says, as the tests read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from house import House, home_env

from mcpvault import Vault

Found = dict[str, Any]


def examined(house: House, *words: str, code: int = 0, **env: str) -> list[Found]:
    """Return the findings of one run that ended with *code*."""
    report = json.loads(house.run("doctor", "--json", *words, code=code, **env).stdout)
    assert code == report["code"]
    return list(report["findings"])


def told(found: list[Found], check: str) -> Found:
    """Return the first finding *check* that is not ok."""
    [first, *_] = [finding for finding in found if finding["id"] == check and finding["level"] != "ok"]
    assert first["hint"]
    return first


def levels(found: list[Found]) -> set[str]:
    """Return the levels that occur."""
    return {finding["level"] for finding in found}


def named(found: list[Found], check: str) -> list[str]:
    """Return the levels of the findings *check*."""
    return [finding["level"] for finding in found if finding["id"] == check]


def opened(house: House) -> Vault:
    """Open the vault of the house as its admin."""
    return Vault.open(env=home_env(house.home))


def state_of(house: House) -> Path:
    """Return the state folder of the vault."""
    [folder] = (house.home / ".local/state/mcpvault").iterdir()
    return folder


def note(house: House, text: str) -> None:
    """Write another generation of the vault, with a note in its entry ``demo``."""
    with opened(house).change() as change:
        change.set_plain("demo", "note", text)
