"""What the tests of import and export share."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcpvault.connect import Vault
from mcpvault.vault.slots import NewSlot, RawKey


@pytest.fixture
def vault(home: Path) -> Vault:
    """An empty vault."""
    key = RawKey.generate()
    (home / "key").touch(0o600)
    (home / "key").write_text(key.text.reveal() + "\n")
    return Vault.create(slots=[NewSlot.raw("me", key)], env={"HOME": str(home), "MCPVAULT_KEY_FILE": f"{home}/key"})
