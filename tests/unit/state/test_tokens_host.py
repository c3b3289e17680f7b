"""Which host this is: the same every time, another one elsewhere, and nobody's business."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mcpvault.errors import PermissionsError
from mcpvault.state.files import StateDirectory
from mcpvault.state.host import host_id, host_name

MACHINE = "0123456789abcdef0123456789abcdef"


def machine(place: Path, text: str = MACHINE + "\n") -> Path:
    """Return a file that says which machine this is."""
    place.write_text(text)
    return place


def test_a_host_is_the_same_every_time(directory: StateDirectory, tmp_path: Path) -> None:
    """Wherever the state is; and nothing is written for it."""
    file = machine(tmp_path / "machine-id")
    elsewhere = StateDirectory(tmp_path / "elsewhere")
    assert host_id(directory, "v", machine_ids=[file]) == host_id(elsewhere, "v", machine_ids=[tmp_path / "no", file])
    assert not directory.path.exists()


def test_a_name_tells_nothing(directory: StateDirectory, tmp_path: Path) -> None:
    """It differs by machine and by vault, and the machine id cannot be seen in it."""
    file, other = machine(tmp_path / "1"), machine(tmp_path / "2", "f" * 32)
    names = {host_id(directory, vault, machine_ids=[each]) for vault in "ab" for each in (file, other)}
    assert 4 == len(names)
    assert [] == [name for name in names if MACHINE[:8] in name or len(name) != 32]


@pytest.mark.parametrize("text", [None, "", "uninitialized\n", "0" * 32, "\xff" * 32])
def test_without_a_machine_id_one_is_made(directory: StateDirectory, tmp_path: Path, text: str | None) -> None:
    """Once, in the state folder; another folder has another."""
    file = tmp_path / "machine-id"
    if text is not None:
        file.write_text(text, "latin-1")
    first = host_id(directory, "v", machine_ids=[file])
    assert first == host_id(StateDirectory(directory.path), "v", machine_ids=[file])
    assert first != host_id(StateDirectory(tmp_path / "other"), "v", machine_ids=[file])


def test_many_at_once_make_one(directory: StateDirectory) -> None:
    """Whoever comes second takes what the first has made."""
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda: made.append(host_id(StateDirectory(directory.path), "v", machine_ids=[])))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (8, 1) == (len(made), len(set(made)))


def test_a_damaged_name_is_refused(directory: StateDirectory) -> None:
    """A new one would make every grant another host's, without a word."""
    directory.replace("host-id", b"nonsense")
    with pytest.raises(PermissionsError, match="host-id"):
        host_id(directory, "v", machine_ids=[])


def test_this_host_has_a_name() -> None:
    """People call it something."""
    assert host_name()
