"""``--prometheus`` and ``--ics``: files for other programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcpvault.cli import output
from mcpvault.errors import PermissionsError


def test_a_textfile_goes_through_no_link_that_somebody_has_laid(tmp_path: Path) -> None:
    """A collector's folder may be open to others: what they have put there is not written to."""
    victim, target = tmp_path / "victim", tmp_path / "mcpvault.prom"
    victim.write_text("mine")
    target.with_name(f".{target.name}.tmp.{os.getpid()}").symlink_to(victim)

    output.textfile(str(target), "up 1\r\n")

    assert ("mine", b"up 1\r\n") == (victim.read_text(), target.read_bytes())


def test_a_textfile_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """With the path that was asked for."""
    with pytest.raises(PermissionsError, match=f"{tmp_path}: cannot be written"):
        output.textfile(str(tmp_path), "up 1")
