"""What a host has seen of a vault: an older file, or another of the same serial, is refused."""

from __future__ import annotations

import pytest
from vault_samples import Made, Remembered, altered, unopened

from mcpvault.errors import RollbackError, TamperedError
from mcpvault.secret import Secret
from mcpvault.vault import unlock
from mcpvault.vault.keysources import Key


def test_what_was_seen_is_remembered(made: Made) -> None:
    """One record a slot: root, serial, MAC and a tag by the slot's own key."""
    anchor = Remembered()
    header = made.open(anchor=anchor).document.header

    record = anchor.records["alice"]

    assert (header.root, header.serial, header.mac) == (record["root"], record["serial"], record["mac"])
    assert ["alice"] == list(anchor.records)


def test_the_anchor_follows_the_file_upwards(made: Made) -> None:
    """A newer file is accepted and remembered; a change of ours at once."""
    anchor = Remembered()
    mine = made.open(anchor=anchor)
    with made.open().change() as change:
        change.set_plain("web", "note", "by somebody else")
    made.open(anchor=anchor)
    assert 3 == anchor.records["alice"]["serial"]

    mine = made.open(anchor=anchor)
    with mine.change() as change:
        change.set_plain("web", "note", "by us")

    assert 4 == anchor.records["alice"]["serial"]


def test_an_older_file_is_rolled_back(made: Made) -> None:
    """The old file verifies, and this host has seen a newer one."""
    anchor, old = Remembered(), made.path.read_bytes()
    with made.open(anchor=anchor).change() as change:
        change.set_plain("web", "note", "new")
    made.path.write_bytes(old)

    error = unopened(made, RollbackError, anchor=anchor)

    assert "serial 2, seen here 3" in error.message
    assert "mcpvault trust --accept" in (error.hint or "")
    assert 3 == anchor.records["alice"]["serial"]


def test_another_file_of_the_same_serial_is_a_fork(made: Made) -> None:
    """Two admins on two copies: one of the two files must be looked at."""
    anchor, old = Remembered(), made.path.read_bytes()
    with made.open(anchor=anchor).change() as change:
        change.set_plain("web", "note", "one")
    made.path.write_bytes(old)
    with made.open().change() as change:
        change.set_plain("web", "note", "other")

    assert "the vault forked" in unopened(made, RollbackError, anchor=anchor).message


@pytest.mark.parametrize(
    ("fact", "value"), [("serial", 1), ("serial", 3), ("serial", 0), ("mac", "AA"), ("root", "AA"), ("tag", "AA")]
)
def test_a_record_that_somebody_altered_is_refused(made: Made, fact: str, value: str | int) -> None:
    """Lowering the record would make way for an old file: its tag does not hold."""
    anchor = Remembered()
    made.open(anchor=anchor)
    anchor.records["alice"][fact] = value

    assert "was not made with this key" in unopened(made, RollbackError, anchor=anchor).message


def test_each_slot_has_a_record_of_its_own(made: Made) -> None:
    """An admin's record says nothing to a reader of the same host, and cannot pass for his."""
    anchor = Remembered()
    made.open(anchor=anchor)
    made.open(anchor=anchor, key=made.reader)
    assert {"alice", "cron"} == set(anchor.records)

    anchor.records["cron"] = anchor.records["alice"]

    unopened(made, RollbackError, anchor=anchor, key=made.reader)


def test_nothing_is_remembered_of_a_file_that_is_not_believed(made: Made) -> None:
    """The anchor comes last, after MAC and signature."""
    anchor = Remembered()
    altered(made.path, {"vault/serial": 1000})

    unopened(made, TamperedError, anchor=anchor)

    assert {} == anchor.records


def test_a_writer_between_file_and_anchor_is_no_rollback(made: Made) -> None:
    """A change that lands after we read the file and before we read the anchor: the new file is read."""
    anchor = Remembered()
    made.open(anchor=anchor)

    def find(_: object) -> Key:
        with made.open(anchor=anchor).change() as change:
            change.set_plain("web", "note", "meanwhile")
        return made.admin

    assert "meanwhile" == made.open(key=find, anchor=anchor).table("web")["note"]


def test_the_serial_that_a_host_remembers(made: Made) -> None:
    """0 without an anchor, without a record, and where the record is not ours."""
    anchor = Remembered()
    keys = made.open(anchor=anchor).keys

    assert 2 == unlock.anchored_serial(keys, anchor)
    assert 0 == unlock.anchored_serial(keys, None)
    assert 0 == unlock.anchored_serial(keys, Remembered())
    anchor.records["alice"]["tag"] = "AA"
    assert 0 == unlock.anchored_serial(keys, anchor)


def test_a_secret_bound_to_the_vault_survives_all_this(made: Made) -> None:
    """The plain way: open, and the value is there."""
    assert Secret("web-token") == made.open(anchor=Remembered()).secret("web", "auth.token")
