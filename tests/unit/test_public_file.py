"""Files for others, in folders where others write too."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

import pytest

from mcpvault import public_file
from mcpvault.errors import PermissionsError


def test_it_is_whole_and_readable_by_all(tmp_path: Path) -> None:
    """Whatever the umask, and in the place of a link rather than behind it; nothing else stays in the folder."""
    target, elsewhere = tmp_path / "keys.json", tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    target.symlink_to(elsewhere)
    before = os.umask(0o077)
    try:
        public_file.replace(target, b"{}", what="keys")
    finally:
        os.umask(before)

    assert (b"{}", 0o644, False) == (target.read_bytes(), stat.S_IMODE(target.stat().st_mode), target.is_symlink())
    assert ("mine", ["elsewhere", "keys.json"]) == (elsewhere.read_text(), sorted(p.name for p in tmp_path.iterdir()))


def test_a_link_under_the_name_of_the_process_leads_nowhere(tmp_path: Path) -> None:
    """Who may write into the folder knows the number of the process, and not the name of its draft."""
    victim, target = tmp_path / "victim", tmp_path / "jwks.json"
    victim.write_text("mine")
    (tmp_path / f".jwks.json.tmp.{os.getpid()}").symlink_to(victim)

    public_file.replace(target, b"{}", what="keys")

    assert ("mine", b"{}") == (victim.read_text(), target.read_bytes())


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_there_already_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Even a name that was guessed: the write is refused, and what lies there stays."""
    monkeypatch.setattr(secrets, "token_hex", lambda size: "guessed")
    victim, target, planted = tmp_path / "victim", tmp_path / "jwks.json", tmp_path / ".jwks.json.tmp.guessed"
    victim.write_text("mine")
    if kind == "link":
        planted.symlink_to(victim)
    else:
        planted.write_text("mine")

    with pytest.raises(PermissionsError, match="keys: cannot be written: file exists"):
        public_file.replace(target, b"{}", what="keys")

    assert ("mine", "mine", False) == (victim.read_text(), planted.read_text(), target.exists())


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The message names what was to be written."""
    with pytest.raises(PermissionsError, match=r"policy\.jwks_file: cannot be written: no such file"):
        public_file.replace(tmp_path / "no" / "keys", b"", what="policy.jwks_file")
