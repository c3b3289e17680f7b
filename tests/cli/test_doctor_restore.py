"""``doctor --restore``: a generation that can be believed becomes the newest again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from examination import examined, levels, note, opened, told
from house import House, furnished


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and the server that it names."""
    with furnished(tmp_path) as made:
        yield made


def test_a_rolled_back_vault_is_found_and_restored(house: House) -> None:
    """An older file is exit 6; ``--restore`` makes it the newest: its serial is above all that was seen."""
    old = house.vault.read_bytes()
    note(house, "one")
    note(house, "two")
    house.vault.write_bytes(old)

    broken = told(examined(house, code=6), "vault.open")
    assert ("rollback", 6) == (broken["kind"], broken["code"])
    assert "mcpvault trust --accept" in broken["hint"]
    assert "mcpvault doctor --restore" in broken["hint"]
    assert "--yes" in house.run("doctor", "--restore", code=2).stderr
    would = json.loads(house.run("doctor", "--restore", "--dry-run", "--json").stdout)
    assert {"restored": str(house.vault), "serial": 5, "dry_run": True} == would
    assert old == house.vault.read_bytes()

    done = house.run("doctor", "--restore", "--yes")

    assert "servers.demo.note" in done.stderr
    assert 5 == opened(house).document.header.serial
    assert "note" not in house.vault.read_text()
    assert "fail" not in levels(examined(house))
    house.run("tools", "demo")


@pytest.mark.parametrize("damage", [b"", b"[vault\n", None])
def test_a_damaged_vault_is_restored_from_the_kept_generation(house: House, damage: bytes | None) -> None:
    """Where the file is damaged or gone, the generation before it is signed again."""
    note(house, "lost")
    if damage is None:
        house.vault.unlink()
    else:
        house.vault.write_bytes(damage)
    assert "mcpvault doctor --restore" in told(examined(house, code=6), "vault.file")["hint"]

    house.run("doctor", "--restore", "--yes")

    assert 4 == opened(house).document.header.serial
    assert "fail" not in levels(examined(house))


def conflicted(house: House) -> bytes:
    """Leave the vault as git does after a merge without our driver; return its bytes."""
    note(house, "one")
    note(house, "newest")
    lines = house.vault.read_text().splitlines(keepends=True)
    at = next(index for index, line in enumerate(lines) if line.startswith("serial"))
    lines[at : at + 1] = ["<<<<<<< HEAD\n", lines[at], "=======\n", "serial = 9\n", ">>>>>>> theirs\n"]
    house.vault.write_text("".join(lines))
    return house.vault.read_bytes()


def test_an_unfinished_merge_is_named_and_not_given_up(house: House) -> None:
    """Every verb names the markers and the way out; ``doctor`` offers no restore, which refuses without ``--yes``."""
    left = conflicted(house)

    said = house.run("list", code=6).stderr
    assert "holds git's conflict markers, the first at line " in said
    assert f"git checkout --ours -- {house.vault}, or --theirs" in said
    assert "mcpvault git install" in said
    found = told(examined(house, code=6), "vault.file")
    assert "git's conflict markers" in found["message"]
    assert "git checkout" in found["hint"]
    assert "--restore" not in found["hint"]
    assert "git's conflict markers" in house.talk("doctor", "--restore", code=6)
    assert "git checkout" in house.run("doctor", "--restore", code=6).stderr
    assert left == house.vault.read_bytes()


def test_an_unfinished_merge_that_is_given_up_is_kept(house: House) -> None:
    """With ``--yes`` the generation before it comes back, and the conflicted text stays beside it, private."""
    left = conflicted(house)

    done = house.run("doctor", "--restore", "--yes")

    [aside] = house.vault.parent.glob("vault.toml.conflicted-*")
    assert str(aside) in done.stderr
    assert left == aside.read_bytes()
    assert 0o600 == aside.stat().st_mode & 0o777
    note(house, "and on")
    assert left == aside.read_bytes()
    assert "fail" not in levels(examined(house))


def test_restore_refuses_what_it_cannot_vouch_for(house: House) -> None:
    """A good file has nothing to restore; with nothing good there is no way back; other words stand not beside it."""
    assert "nothing to restore" in house.run("doctor", "--restore", "--yes", code=8).stderr
    house.vault.write_text("[vault\n")
    house.vault.with_name("vault.toml.prev").write_text("[vault\n")
    assert "mcpvault: hint: " in house.run("doctor", "--restore", "--yes", code=6).stderr
    house.run("doctor", "--restore", "demo", code=2)
    house.run("doctor", "--yes", code=2)


def test_a_reader_cannot_restore(house: House) -> None:
    """Only an admin's key signs."""
    reader = house.home / "reader.key"
    house.run("slots", "add", "ci", "--new-key-file", str(reader))
    host = {"MCPVAULT_KEY_FILE": str(reader)}
    house.run("tools", "demo", **host)
    old = house.vault.read_bytes()
    note(house, "x")
    house.run("tools", "demo", **host)
    house.vault.write_bytes(old)

    assert "reader's" in house.run("doctor", "--restore", "--yes", code=8, **host).stderr
