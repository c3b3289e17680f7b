"""Secret files: what is refused, and the command that mends it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from vault_samples import NOBODY, not_root

from mcpvault.errors import PermissionsError
from mcpvault.vault.permissions import LARGEST, folder_problem, read_secret_file

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def secret_file(folder: Path, text: str = "the-secret\n", mode: int = 0o600, name: str = "key") -> Path:
    """Return a new file of *mode*."""
    path = folder / name
    path.write_text(text, newline="")
    path.chmod(mode)
    return path


def refusal(path: Path, credentials_dir: Path | None = None) -> PermissionsError:
    """Return the error with which *path* is refused; it is exit 8 and quotes nothing of the file."""
    with pytest.raises(PermissionsError) as caught:
        read_secret_file(path, credentials_dir=credentials_dir)
    assert 8 == caught.value.exit_code
    assert "the-secret" not in f"{caught.value.message} {caught.value.hint}"
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)
    return caught.value


def mended_by(error: PermissionsError) -> None:
    """Run the command that the hint of *error* names."""
    command = (error.hint or "").partition("run: ")[2]
    subprocess.run(shlex.split(command), check=True, timeout=30, capture_output=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), (" s ", " s "), ("", ""), ("\n", "")],
)
def test_one_line_end_is_stripped(tmp_path: Path, text: str, expected: str) -> None:
    """Editors and ``echo`` leave one line end; everything else belongs to the secret."""
    assert expected == read_secret_file(secret_file(tmp_path, text)).reveal()


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_for_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    """What nobody else can read or write is fine."""
    assert "the-secret" == read_secret_file(secret_file(tmp_path, mode=mode)).reveal()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777])
def test_a_file_open_to_others_is_refused_with_the_command_that_mends_it(ground: Path, mode: int) -> None:
    """Read, write or execute for group or others is refused; after the hint's command the file is read."""
    path = secret_file(ground, mode=mode, name="my key")
    if os.geteuid() == 0:
        os.chown(ground, NOBODY, NOBODY)
        os.chown(path, NOBODY, NOBODY)

    with not_root():
        error = refusal(path)
        os.chmod(shlex.split((error.hint or "").removeprefix("run: "))[2], 0o600)
        assert "the-secret" == read_secret_file(path).reveal()

    assert f"mode {mode:04o}" in error.message
    assert f"run: chmod 600 {shlex.quote(str(path))}" == error.hint


@root_only
def test_a_file_of_root_may_be_readable_by_a_group(ground: Path) -> None:
    """That is how root gives a secret to a service: root:service, mode 0640."""
    path = secret_file(ground, mode=0o640)
    os.chown(path, 0, NOBODY)
    assert "the-secret" == read_secret_file(path).reveal()
    gid = os.getegid()
    os.setegid(NOBODY)
    try:
        with not_root():
            assert "the-secret" == read_secret_file(path).reveal()
            os.seteuid(0)
            path.chmod(0o660)
            os.seteuid(NOBODY)
            assert "mode 0660" in refusal(path).message
    finally:
        os.seteuid(0)
        os.setegid(gid)


@root_only
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Neither ours nor root's: its owner could change it under us."""
    path = secret_file(tmp_path)
    os.chown(path, NOBODY, NOBODY)

    error = refusal(path)
    mended_by(error)

    assert f"belongs to user {NOBODY}" in error.message
    assert "the-secret" == read_secret_file(path).reveal()


def test_links_are_followed(tmp_path: Path) -> None:
    """Dotfile tools and Kubernetes give links; what counts is the target."""
    target = secret_file(tmp_path)
    (tmp_path / "link").symlink_to(target)
    assert "the-secret" == read_secret_file(tmp_path / "link").reveal()

    target.chmod(0o604)

    assert f"run: chmod 600 {target}" == refusal(tmp_path / "link").hint


def test_the_folders_of_the_target_count(tmp_path: Path) -> None:
    """A link in a private folder does not hide a target in an open one."""
    (tmp_path / "open").mkdir()
    target = secret_file(tmp_path / "open")
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "open").chmod(0o777)

    error = refusal(tmp_path / "link")
    mended_by(error)

    assert "writable by others" in error.message
    assert "the-secret" == read_secret_file(tmp_path / "link").reveal()


@pytest.mark.parametrize("what", ["folder", "fifo", "device"])
def test_only_a_regular_file_is_read(tmp_path: Path, what: str) -> None:
    """Nothing that could block or go on for ever is read."""
    path = tmp_path / what
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path = Path("/dev/null")

    assert "expected a regular file" in refusal(path).message


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    """The system's reason is told."""
    error = refusal(tmp_path / "missing")

    assert "missing: cannot be read: No such file or directory" in error.message
    assert f"run: ls -l {tmp_path / 'missing'}" == error.hint


def test_a_file_that_we_may_not_read_is_refused(ground: Path) -> None:
    """The system's refusal is ours."""
    path = secret_file(ground, mode=0o600 if os.geteuid() == 0 else 0)

    with not_root():
        assert "Permission denied" in refusal(path).message


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757, 0o722])
@root_only
def test_a_folder_on_the_way_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Who can write a folder can put another file into it, however private the file is."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    path = secret_file(tmp_path / "a" / "b")
    os.chown(tmp_path / "a", 0, NOBODY)
    (tmp_path / "a").chmod(mode)

    error = refusal(path)
    mended_by(error)

    assert f"folder {tmp_path / 'a'} is writable by others" in error.message
    assert "the-secret" == read_secret_file(path).reveal()


def test_a_sticky_folder_is_fine(tmp_path: Path) -> None:
    """In /tmp nobody can replace our files."""
    (tmp_path / "a").mkdir()
    path = secret_file(tmp_path / "a")
    (tmp_path / "a").chmod(0o1777)

    assert "the-secret" == read_secret_file(path).reveal()


@root_only
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Its owner can put another file there, whatever its mode."""
    (tmp_path / "a").mkdir()
    path = secret_file(tmp_path / "a")
    os.chown(tmp_path / "a", NOBODY, NOBODY)

    assert f"belongs to user {NOBODY}" in refusal(path).message


@root_only
def test_a_sticky_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """The sticky bit binds all but the folder's owner, who can replace what lies in it."""
    (tmp_path / "a").mkdir()
    path = secret_file(tmp_path / "a")
    os.chown(tmp_path / "a", NOBODY, NOBODY)
    (tmp_path / "a").chmod(0o1777)

    assert f"belongs to user {NOBODY}" in refusal(path).message


def test_a_folder_of_the_owners_own_group_is_fine(tmp_path: Path) -> None:
    """With user-private groups (umask 002) the group holds nobody else."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o775)
    if os.getegid() != os.geteuid():
        pytest.skip("this user has no private group")

    assert folder_problem(tmp_path / "a") is None


@pytest.mark.parametrize(("size", "fits"), [(LARGEST, True), (LARGEST + 1, False)])
def test_a_secret_file_has_at_most_64_kib(tmp_path: Path, size: int, fits: bool) -> None:
    """A larger one is no secret but a mistake."""
    path = secret_file(tmp_path, "x" * size)

    if fits:
        assert size == len(read_secret_file(path).reveal())
    else:
        assert "64 KiB of UTF-8 text" in refusal(path).message


def test_a_secret_file_is_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are refused, and not quoted."""
    path = secret_file(tmp_path)
    path.write_bytes(b"the-secret\xff")

    assert "64 KiB of UTF-8 text" in refusal(path).message


# Below systemd's folder


@root_only
def test_a_credential_may_belong_to_anybody_and_have_a_group(tmp_path: Path) -> None:
    """Systemd owns its folder and decides its modes: only "not readable by others" is asked."""
    (tmp_path / "creds").mkdir(mode=0o777)
    path = secret_file(tmp_path / "creds", mode=0o440)
    os.chown(path, NOBODY, NOBODY)

    assert "the-secret" == read_secret_file(path, credentials_dir=tmp_path / "creds").reveal()


def test_a_credential_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The hint's command closes it."""
    path = secret_file(tmp_path, mode=0o444)

    error = refusal(path, credentials_dir=tmp_path)
    mended_by(error)

    assert "readable by others" in error.message
    assert "the-secret" == read_secret_file(path, credentials_dir=tmp_path).reveal()


def test_a_link_out_of_systemds_folder_is_judged_like_any_file(tmp_path: Path) -> None:
    """The easier rule is for what really lies there."""
    (tmp_path / "creds").mkdir()
    secret_file(tmp_path, mode=0o620, name="outside")
    (tmp_path / "creds" / "key").symlink_to(tmp_path / "outside")

    assert "mode 0620" in refusal(tmp_path / "creds" / "key", credentials_dir=tmp_path / "creds").message
