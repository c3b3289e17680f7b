"""What this host has seen and whom it trusts: records that grow, and files that may be damaged."""

from __future__ import annotations

import os
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
from state_samples import held_elsewhere, not_root

from mcpvault.errors import BusyError, PermissionsError, RollbackError
from mcpvault.state.anchor import FileAnchor, trust_root, trusted_roots
from mcpvault.state.files import StateDirectory

ROOT = "mvr1-" + "a" * 32


def record(serial: int = 1, **facts: Any) -> dict[str, str | int]:
    """Return a record as the vault makes it."""
    return {"root": "r", "serial": serial, "mac": f"mac-{serial}", "tag": "t", **facts}


def test_nothing_was_seen_at_first(directory: StateDirectory) -> None:
    """And asking makes no folder."""
    assert FileAnchor(directory).seen("alice") is None
    assert not directory.path.exists()


def test_what_was_seen_is_remembered(directory: StateDirectory) -> None:
    """By the next process, per slot, in TOML."""
    FileAnchor(directory).advance("alice", record(3))
    FileAnchor(directory).advance("cron@web01.example", record(2))

    again = FileAnchor(StateDirectory(directory.path))

    assert (record(3), record(2)) == (again.seen("alice"), again.seen("cron@web01.example"))
    assert {"alice", "cron@web01.example"} == set(tomllib.loads((directory.path / "anchor.toml").read_text()))


@pytest.mark.parametrize(("then", "expected"), [(2, 3), (3, 3), (4, 4)])
def test_the_anchor_only_rises(directory: StateDirectory, then: int, expected: int) -> None:
    """An older record, or another of the same serial, changes nothing."""
    anchor = FileAnchor(directory)
    anchor.advance("alice", record(3))

    anchor.advance("alice", record(then, mac="another"))

    seen = anchor.seen("alice") or {}
    assert (expected, "another" if then == 4 else "mac-3") == (seen["serial"], seen["mac"])


def test_a_record_that_is_not_newer_writes_nothing(directory: StateDirectory) -> None:
    """Most runs see what they saw before."""
    anchor = FileAnchor(directory)
    anchor.advance("alice", record(3))
    before = (directory.path / "anchor.toml").stat().st_mtime_ns

    anchor.advance("alice", record(3))

    assert before == (directory.path / "anchor.toml").stat().st_mtime_ns


def test_accepting_goes_down(directory: StateDirectory) -> None:
    """Somebody has looked at the difference; the other slots' records stay."""
    anchor = FileAnchor(directory)
    anchor.advance("alice", record(3))
    anchor.advance("bob", record(7))

    anchor.accept("alice", record(2))

    assert (record(2), record(7)) == (anchor.seen("alice"), anchor.seen("bob"))


DAMAGED = [
    b"not toml",
    b"\xff\xfe",
    b"alice = 3\n",
    b"[alice]\nserial = 3\n",
    b'[alice]\nserial = "3"\nroot = "r"\nmac = "m"\ntag = "t"\n',
    b'[alice]\nserial = true\nroot = "r"\nmac = "m"\ntag = "t"\n',
    b'[alice]\nserial = 0\nroot = "r"\nmac = "m"\ntag = "t"\n',
    b'[alice]\nserial = 9223372036854775808\nroot = "r"\nmac = "m"\ntag = "t"\n',
    b"[alice]\nserial = " + b"9" * 5000 + b'\nroot = "r"\nmac = "m"\ntag = "t"\n',
    b"alice = " + b"[" * 5000 + b"\n",
    b"alice = '\xff'\n",
    b'[alice]\nserial = 3\nroot = "r"\nmac = 4\ntag = "t"\n',
    b'[alice]\nserial = 3\nroot = "r"\nmac = "m"\ntag = "t"\n[bob]\n',
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_anchor_is_exit_6(directory: StateDirectory, content: bytes) -> None:
    """Nobody can tell what was seen; the hint is a person's decision."""
    directory.replace("anchor.toml", content)

    with pytest.raises(RollbackError, match="the anchor of this host is damaged") as caught:
        FileAnchor(directory).seen("alice")

    assert (6, True) == (caught.value.exit_code, "trust --accept" in (caught.value.hint or ""))


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_anchor_is_not_written_over_by_itself(directory: StateDirectory, content: bytes) -> None:
    """It is only warned of; accepting makes a new one."""
    directory.replace("anchor.toml", content)

    with pytest.warns(UserWarning, match="a rollback of the vault would not be noticed"):
        FileAnchor(directory).advance("alice", record(9))
    assert content == directory.read("anchor.toml")

    FileAnchor(directory).accept("alice", record(9))
    assert record(9) == FileAnchor(directory).seen("alice")


def test_an_empty_anchor_is_none(directory: StateDirectory) -> None:
    """A file without records has seen nothing."""
    directory.replace("anchor.toml", b"")

    assert FileAnchor(directory).seen("alice") is None


def test_an_anchor_that_cannot_be_written_warns_and_goes_on(ground: Path) -> None:
    """A run on a read-only system is still a run."""
    if os.geteuid() != 0:
        ground.chmod(0o555)

    with not_root(), pytest.warns(UserWarning, match="cannot be made: Permission denied") as caught:
        FileAnchor(StateDirectory(ground / "state")).advance("alice", record())

    assert 1 == len(caught)


def test_a_lock_held_elsewhere_stops_accepting(directory: StateDirectory) -> None:
    """``trust --accept`` is told to try again."""
    anchor = FileAnchor(HurriedDirectory(directory.path))
    with held_elsewhere(directory.path, "anchor"), pytest.raises(BusyError):
        anchor.accept("alice", record())

    assert anchor.seen("alice") is None


class HurriedDirectory(StateDirectory):
    """A state folder whose users do not wait."""

    def lock(self, name: str, *, timeout: float = 10.0) -> Any:
        """Wait for a moment only."""
        return super().lock(name, timeout=min(timeout, 0.05))


# Roots


def test_no_root_is_trusted_at_first(directory: StateDirectory) -> None:
    """There is no trust on first use."""
    assert frozenset() == trusted_roots(directory)


def test_the_trusted_root_is_kept(directory: StateDirectory) -> None:
    """A newly confirmed root takes the place of the one before: a removed admin still has that."""
    other = ROOT.replace("a", "b")
    for root in (other, ROOT):
        trust_root(directory, root)

    assert frozenset({ROOT}) == trusted_roots(StateDirectory(directory.path))
    trust_root(directory, other, ROOT, other)
    assert f"{ROOT}\n{other}\n".encode() == directory.read("trusted-roots")


def test_bytes_that_are_no_text_trust_nobody(directory: StateDirectory) -> None:
    """A damaged file has no root in it."""
    directory.replace("trusted-roots", b"\xff" + ROOT.encode())

    assert ROOT not in trusted_roots(directory)


def test_roots_in_an_open_folder_are_not_believed(directory: StateDirectory) -> None:
    """Anybody may have written them."""
    trust_root(directory, ROOT)
    directory.path.chmod(0o777)

    with pytest.raises(PermissionsError, match="open to others"):
        trusted_roots(StateDirectory(directory.path))


def test_no_warning_where_all_is_well(directory: StateDirectory, tmp_path: Path) -> None:
    """A warning on every run would be read by nobody."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FileAnchor(directory).advance("alice", record())

    assert ["anchor.lock", "anchor.toml"] == sorted(os.listdir(directory.path))
