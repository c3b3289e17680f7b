"""Fixtures of the state's tests: folders of their own, and a credential that is logged in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from token_samples import House

from mcpvault.state.files import StateDirectory


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    """A state folder that is not there yet, and neither is the one above it."""
    return StateDirectory(tmp_path / "mcpvault" / "vault-id")


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that everybody can enter: pytest's own are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="mcpvault-ground-"))
    folder.chmod(0o755)
    yield folder
    for each in (folder, *(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())):
        each.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A credential that was logged in at noon, with a token that lives an hour."""
    return House(tmp_path / "state")
