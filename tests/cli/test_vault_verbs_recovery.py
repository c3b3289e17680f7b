"""A key on paper: made at ``init``, typed when every other key is lost."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from house import Home, new_vault

from mcpvault.secret import Secret
from mcpvault.vault import phrases
from mcpvault.vault.slot_keys import key_bytes
from mcpvault.vault.slots import RawKey


def phrase_in(shown: str) -> str:
    """Return the words that were printed."""
    word = r"\b(?:[bdfghjklmnprstvz][aiou]){2}[bdfghjklmnprstvz]\b"
    return " ".join(re.findall(word, shown.partition("at hand:")[2])[:18])


def slots(home: Home) -> list[tuple[str, str, str]]:
    """Return id, kind and role of the vault's slots."""
    tables = tomllib.loads(home.vault.read_text())["vault"]["slots"]
    return [(slot["id"], slot["kind"], slot["role"]) for slot in tables]


def test_the_phrase_opens_the_vault_when_the_key_is_lost(home: Path) -> None:
    """Printed once at a terminal's ``init``; typed in later, in capitals too, it gives the owner another key."""
    house = Home(home)
    phrase = phrase_in(house.talk("init", "--slot", "me"))
    house.key.unlink()

    assert [("me", "raw", "admin"), ("recovery", "recovery", "admin")] == slots(house)
    words = ("slots", "reseal", "me", "--new-key-file", "again.key", "--yes")
    house.talk(*words, answers=[("Recovery phrase for ", f"{phrase.upper()}\n")])
    assert "" == house.run("list", MCPVAULT_KEY_FILE="again.key").stdout
    house.run("add", "x", "https://x.example/mcp", MCPVAULT_KEY_FILE="again.key")


def test_a_script_asks_for_it(home: Path) -> None:
    """Without a terminal only ``--recovery`` makes one; with ``--json`` it has no place to stand."""
    house = Home(home)
    assert "--json" in house.run("init", "--recovery", "--json", code=2).stderr
    phrase = phrase_in(house.run("init", "--recovery").stdout)
    key = house.home / "paper"
    key.touch(0o600)
    key.write_text(phrase.replace(" ", "\n"))

    house.run("add", "x", "https://x.example/mcp", MCPVAULT_KEY_FILE="paper")
    wrong = phrase.split()
    wrong[3] = "babab" if wrong[3] != "babab" else "dabab"
    key.write_text(" ".join(wrong))
    said = house.run("get", "x", code=8, MCPVAULT_KEY_FILE="paper").stderr
    assert "valid checksum" in said
    assert wrong[3] not in said


def test_no_phrase_where_none_is_wanted(home: Path) -> None:
    """``--no-recovery`` on a terminal, and every run without one."""
    house = Home(home)
    assert "phrase" not in house.talk("init", "--slot", "me", "--no-recovery")
    assert [("me", "raw", "admin")] == slots(house)
    house.vault.unlink()
    assert "phrase" not in house.run("init", "--slot", "me").stdout


def test_an_older_vault_gets_one(home: Path) -> None:
    """``slots add ID --recovery`` adds an admin's slot and prints the words."""
    house = new_vault(home)
    done = house.run("slots", "add", "recovery", "--recovery")

    assert 18 == len(phrase_in(done.stdout).split())
    assert ("recovery", "recovery", "admin") == slots(house)[-1]


@pytest.mark.parametrize("number", range(3))
def test_words_say_the_same_key(number: int) -> None:
    """Text and phrase of a key are one; a changed letter is noticed."""
    key = RawKey.generate()
    phrase = key.phrase.reveal()

    assert key_bytes(key.text) == key_bytes(Secret(phrase))
    assert phrases.spoken(phrase) == phrases.spoken(f"  {phrase.replace(' ', ' - ').title()}\n")
    assert None is phrases.spoken(phrase[1:])
    assert None is phrases.spoken(f"{phrase} {phrase}")
