"""``doctor``: what can be wrong with vault, key, slots and state is found, with what to do and the exit code."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from examination import examined, levels, named, opened, state_of, told
from house import LONGEST, TOKEN, House, furnished


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A home with a vault, and the server that it names."""
    with furnished(tmp_path) as made:
        yield made


# The whole


def test_a_healthy_vault_fails_nothing(house: House) -> None:
    """Nothing fails, and everything that was looked at is said."""
    found = examined(house)

    assert "fail" not in levels(found)
    looked_at = {finding["id"] for finding in found}
    assert (
        set()
        == {
            *("versions", "environment", "vault.file", "vault.permissions", "key.source", "vault.open", "state.anchor"),
            *("state.folder", "state.locks", "entry.values", "entry.reachable", "clock.skew", "slots.recovery"),
        }
        - looked_at
    )


def test_lines_are_for_other_programs(house: House) -> None:
    """Without a terminal each finding is one line of level, check, finding and what to do."""
    done = house.run("doctor")

    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert {4} == {len(row) for row in rows}
    assert ["ok", "vault.open"] in [row[:2] for row in rows]
    assert "failed: 0" in done.stderr


def test_a_terminal_gets_a_table(house: House) -> None:
    """On a narrow terminal the findings are drawn, and what to do stands below in one piece."""
    house.vault.chmod(0o666)
    command, env = house.command(("doctor",), {"COLUMNS": "60"})
    reader, writer = pty.openpty()
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    said = b""
    while chunk := _read(reader):
        said += chunk
    os.close(reader)

    assert 8 == process.wait(LONGEST)
    assert f"vault.permissions: run: chmod go-w {house.vault}" in said.decode().splitlines()
    assert "finding" in said.decode()
    assert b"\t" not in said


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux ends a terminal whose other side is closed with EIO
        return b""


def test_names_limit_the_servers(house: House) -> None:
    """With names only these servers are looked at; one that is not there is exit 8 with a suggestion."""
    house.run("add", "gone", "http://127.0.0.1:9/mcp")

    assert {"demo", None} == {finding["server"] for finding in examined(house, "demo")}
    missing = told(examined(house, "dem0", code=8), "entry.name")
    assert ("did you mean 'demo'?", 8) == (missing["hint"], missing["code"])


def test_no_secret_is_printed(house: House) -> None:
    """Neither the token nor the key stands in the report, whatever its form."""
    [key] = (house.home / ".local/share/mcpvault").glob("*.key")
    for words in (("--json",), ("--debug",), ()):
        done = house.run("doctor", *words)
        assert TOKEN not in done.stdout + done.stderr
        assert key.read_text().strip() not in done.stdout + done.stderr


def test_offline_sends_nothing(house: House) -> None:
    """``--offline`` looks at everything but the network."""
    found = examined(house, "--offline")

    assert [] == house.server.requests
    assert ([], ["ok"]) == (named(found, "entry.reachable"), named(found, "entry.values"))


# The file and its key


def test_no_vault(house: House) -> None:
    """Without a vault the rest of the host is looked at all the same, and the exit code is 6."""
    found = examined(house, code=6, MCPVAULT_FILE=str(house.home / "none.toml"))

    broken = told(found, "vault.file")
    assert ("vault_not_found", 6) == (broken["kind"], broken["code"])
    assert "mcpvault init" in broken["hint"]
    assert (["ok"], ["ok"]) == (named(found, "versions"), named(found, "state.folder"))


def test_a_vault_that_others_can_write(house: House) -> None:
    """A world-writable vault fails with the command that mends it, and the command does."""
    house.vault.chmod(0o666)

    found = examined(house, code=8)
    broken = told(found, "vault.permissions")

    assert (f"run: chmod go-w {house.vault}", 8) == (broken["hint"], broken["code"])
    assert ["vault.permissions"] == [finding["id"] for finding in found if finding["level"] == "fail"]
    subprocess.run(broken["hint"].removeprefix("run: "), shell=True, check=True)
    assert "fail" not in levels(examined(house))


def test_a_folder_that_others_can_write(house: House) -> None:
    """Whoever can write the folder can swap the vault."""
    house.vault.parent.chmod(0o777)

    broken = told(examined(house, code=8), "vault.folder")

    assert (f"run: chmod go-w {house.vault.parent}", 8) == (broken["hint"], broken["code"])


def test_a_key_that_others_can_read(house: House) -> None:
    """A key file that others can read is refused; the vault is not opened, its state and slots are looked at."""
    [key] = (house.home / ".local/share/mcpvault").glob("*.key")
    key.chmod(0o644)

    found = examined(house, code=8)

    broken = told(found, "key.source")
    assert (f"run: chmod 600 {key}", "permissions", 8) == (broken["hint"], broken["kind"], broken["code"])
    assert ([], ["ok"]) == (named(found, "vault.open"), named(found, "state.locks"))
    assert "mcpvault doctor" in told(found, "entries")["hint"]


def test_two_keys(house: House) -> None:
    """Two key sources are named, both, and none is used."""
    broken = told(examined(house, code=8, MCPVAULT_KEY="mvk1-a", MCPVAULT_KEY_FILE="/nowhere"), "key.source")

    assert "MCPVAULT_KEY_FILE" in broken["message"]
    assert broken["hint"].startswith("unset all but one")


def test_no_key(house: House) -> None:
    """Without a key and without a terminal nobody is asked; the places of a key are listed."""
    broken = told(examined(house, code=6, XDG_DATA_HOME=str(house.home / "empty")), "key.source")

    assert ("vault_locked", 6) == (broken["kind"], broken["code"])
    assert "MCPVAULT_KEY_FILE" in broken["hint"]


def test_a_key_beside_the_vault(house: House) -> None:
    """A key in the vault's own folder works and is warned of: a copy of the folder has both."""
    [key] = (house.home / ".local/share/mcpvault").glob("*.key")
    beside = house.vault.with_name("my.key")
    key.rename(beside)

    warned = told(examined(house, MCPVAULT_KEY_FILE=str(beside)), "key.place")

    assert ("warn", 0) == (warned["level"], warned["code"])
    assert f"mv {beside} {key}" in warned["hint"]


def test_a_file_that_is_no_vault(house: House) -> None:
    """A damaged file is told by its line, with the way back to the kept generation."""
    house.vault.write_text("[vault\n")

    broken = told(examined(house, code=6), "vault.file")

    assert ("vault_format", 6) == (broken["kind"], broken["code"])
    assert "mcpvault doctor --restore" in broken["hint"]


def test_a_hand_edit_that_nobody_signed(house: House) -> None:
    """A changed text is tampered until an admin has signed it."""
    house.vault.write_text(house.vault.read_text().replace("url =", "note = 'by hand'\nurl =", 1))

    broken = told(examined(house, code=6), "vault.open")

    assert ("tampered", 6) == (broken["kind"], broken["code"])
    assert "mcpvault sign" in broken["hint"]


def test_leftovers_of_a_crash(house: House) -> None:
    """Old temporary files of vault and state are named; a young one may belong to a writer at work."""
    for folder, name, check in (
        (house.vault.parent, ".vault.toml.tmp.1.a", "vault.leftovers"),
        (state_of(house), ".anchor.toml.tmp.1.a", "state.leftovers"),
    ):
        left = folder / name
        left.write_text("half")
        assert ["ok"] == named(examined(house, "--offline"), check)
        os.utime(left, (0, 0))
        warned = told(examined(house, "--offline"), check)
        assert ("warn", f"the next write removes it, or run: rm {left}") == (warned["level"], warned["hint"])


# Slots


def test_the_only_admin(house: House) -> None:
    """One admin slot is warned of; a second one ends the warning."""
    warned = told(examined(house, "--offline"), "slots.recovery")
    assert ("warn", 0) == (warned["level"], warned["code"])
    assert "mcpvault slots add recovery --recovery" in warned["hint"]

    house.run("slots", "add", "recovery", "--new-key-file", str(house.home / "recovery.key"), "--role", "admin")

    assert ["ok"] == named(examined(house, "--offline"), "slots.recovery")


def test_a_host_that_has_not_confirmed_the_root(house: House) -> None:
    """An admin is told which slot has no pin; on its host nothing opens, and both hints name the root."""
    key = house.home / "host.key"
    public = house.run("slots", "keygen", str(key)).stdout.strip()
    house.run("slots", "add", "web01", "--recipient", public)
    root = opened(house).file.root_fingerprint

    pinless = told(examined(house, "--offline"), "slots.pin")
    assert ("warn", f"once, on that host: mcpvault trust {root}") == (pinless["level"], pinless["hint"])
    host = {"MCPVAULT_KEY_FILE": str(key), "MCPVAULT_STATE_DIR": str(house.home / "state")}
    broken = told(examined(house, "--offline", code=6, **host), "vault.open")
    assert ("untrusted_root", 6) == (broken["kind"], broken["code"])
    assert f"mcpvault trust {root}" in broken["hint"]
    house.run("trust", root, **host)
    assert [] == named(examined(house, "--offline", **host), "slots.pin")


# The state


def test_state_that_others_can_read(house: House) -> None:
    """An open state folder fails with the command that mends it."""
    state_of(house).chmod(0o755)

    broken = told(examined(house, "--offline", code=8), "state.folder")

    assert (f"run: chmod 700 {state_of(house)}", 8) == (broken["hint"], broken["code"])


def test_state_that_cannot_be_kept(house: House) -> None:
    """Where no state can be written a rollback would not be noticed: a warning elsewhere, here a failure."""
    found = examined(house, "--offline", code=8, MCPVAULT_STATE_DIR=str(house.vault))

    for check in ("state.anchor", "state.folder"):
        broken = told(found, check)
        assert ("set MCPVAULT_STATE_DIR to a folder of yours", 8) == (broken["hint"], broken["code"])
    assert ["ok"] == named(found, "vault.open")


def test_a_damaged_anchor(house: House) -> None:
    """An anchor that cannot be read says nothing about the past, so the vault is not believed."""
    (state_of(house) / "anchor.toml").write_text("serial = ")

    broken = told(examined(house, "--offline", code=6), "vault.open")

    assert ("rollback", 6) == (broken["kind"], broken["code"])
    assert "mcpvault trust --accept" in broken["hint"]


def test_a_place_that_cannot_be_used(house: House) -> None:
    """A relative state folder is exit 8, and what needs no place is still said."""
    found = examined(house, code=8, MCPVAULT_STATE_DIR="here")

    assert (["fail"], ["ok"]) == (named(found, "places"), named(found, "versions"))
