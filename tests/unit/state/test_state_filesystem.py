"""Where state may live: the type of the file system, and a lock tried out by a child."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from state_samples import not_root

from mcpvault.errors import PermissionsError
from mcpvault.state import filesystem
from mcpvault.state.files import StateDirectory

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 0:40 / /home rw,relatime shared:5 master:2 - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/alice/my\\040disk rw - fuse.sshfs host:/ rw
32 22 0:42 / /srv rw - cifs //server/share rw
33 22 0:43 / /srv rw - tmpfs tmpfs rw

a line of another form
"""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the type is known on Linux only")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/etc/mcpvault", "ext4"),
        ("/home", "nfs4"),
        ("/home/bob/.local/state", "nfs4"),
        ("/homer", "ext4"),
        ("/home/alice/my disk/state", "fuse.sshfs"),
        ("/home/alice/my disk", "fuse.sshfs"),
        ("/srv/state", "tmpfs"),
    ],
)
def test_the_longest_and_last_mount_covers_a_path(path: str, kind: str) -> None:
    """With escapes undone, on whole names only, and the later of two mounts on one point."""
    assert kind == filesystem.type_in(MOUNTS, Path(path))


def test_links_are_followed_before_the_mount_is_looked_up(tmp_path: Path) -> None:
    """A link in a local home may lead to a share."""
    (tmp_path / "link").symlink_to("/home/bob")

    assert "nfs4" == filesystem.type_in(MOUNTS, tmp_path / "link")


def test_without_mounts_the_type_is_unknown() -> None:
    """Which refuses nothing."""
    assert "" == filesystem.type_in("", Path("/"))


@linux_only
def test_the_type_of_a_folder_of_this_machine() -> None:
    """``/proc`` is what it is everywhere."""
    assert "proc" == filesystem.type_of(Path("/proc/self"))


def listed(monkeypatch: pytest.MonkeyPatch, table: str, folder: Path) -> str:
    """Put the type of *folder*'s real file system into a table, and return it."""
    kind = filesystem.type_of(folder)
    for name in ("REFUSED", "DOUBTFUL"):
        monkeypatch.setattr(filesystem, name, frozenset({kind} if name == table else ()))
    return kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3"])
def test_shares_are_refused_by_name(kind: str) -> None:
    """Locks of several hosts do not exclude each other there."""
    assert kind in filesystem.REFUSED


@linux_only
def test_a_refused_file_system_is_exit_8(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The type is named and the variable that says where else; nothing is written there."""
    folder = tmp_path / "state"
    kind = listed(monkeypatch, "REFUSED", tmp_path)

    with pytest.raises(PermissionsError, match=f"is on {kind}") as caught:
        StateDirectory(folder).replace("file", b"data")

    assert (8, True) == (caught.value.exit_code, "MCPVAULT_STATE_DIR" in (caught.value.hint or ""))
    assert [] == os.listdir(folder)


@linux_only
def test_a_doubtful_file_system_is_tried_out_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A child fails to take our lock; a marker spares the next run the child."""
    kind = listed(monkeypatch, "DOUBTFUL", tmp_path)

    filesystem.check_locks(tmp_path)

    marker = tmp_path / filesystem.MARKER
    assert f"{kind} {tmp_path.stat().st_dev}\n" == marker.read_text()
    assert {filesystem.MARKER, "probe.lock"} == set(os.listdir(tmp_path))
    (tmp_path / "probe.lock").unlink()
    filesystem.check_locks(tmp_path)
    assert [filesystem.MARKER] == os.listdir(tmp_path)


@linux_only
@pytest.mark.parametrize("content", [b"ext9 1\n", b"\xff", None], ids=["other mount", "no text", "a folder"])
def test_a_marker_of_another_mount_does_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    """A copied folder is tried out again; where no marker can be written, every time."""
    listed(monkeypatch, "DOUBTFUL", tmp_path)
    marker = tmp_path / filesystem.MARKER
    marker.mkdir() if content is None else marker.write_bytes(content)

    filesystem.check_locks(tmp_path)

    assert (tmp_path / "probe.lock").exists()
    assert marker.is_dir() or marker.read_bytes() != content


@linux_only
def test_a_lock_that_does_not_hold_is_exit_8(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no lock can be had at all, none can be relied on."""
    kind = listed(monkeypatch, "DOUBTFUL", tmp_path)
    (tmp_path / "probe.lock").mkdir()

    with pytest.raises(PermissionsError, match=rf"\({kind}\) does not keep another process out"):
        filesystem.check_locks(tmp_path)

    assert not (tmp_path / filesystem.MARKER).exists()


def test_a_lock_on_this_machine_excludes(tmp_path: Path) -> None:
    """The child really tries, and is really kept out."""
    assert filesystem.lock_excludes(tmp_path)


def test_a_folder_that_refuses_gives_no_lock(ground: Path) -> None:
    """No probe, no trust."""
    if os.geteuid() != 0:
        ground.chmod(0o555)

    with not_root():
        assert not filesystem.lock_excludes(ground)
