"""
The keys of the audit log: from an open vault, and what this host's anchor says of its log.

Decides which keys vouch for a line: the vault's own and those that it keeps of earlier epochs.

Spec: SPEC §18.1.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from mcpvault.errors import McpVaultError
from mcpvault.state.anchor import FileAnchor
from mcpvault.state.audit_lines import Known
from mcpvault.vault import unlock
from mcpvault.vault.state_sealing import audit_macs

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpvault.state.store import StateStore
    from mcpvault.vault.vaultfile import VaultFile
    from vault_schema import Document

    Macs = tuple[Callable[[bytes], str], Callable[[bytes], str]]


class LogKeys:
    """
    The keys of one open vault; they follow it to another epoch.

    Args:
        state: Of this host.
        file: The open vault.
    """

    def __init__(self, state: StateStore, file: VaultFile) -> None:
        # The one that the vault was opened with has read the file already.
        self._anchor = file.anchor if isinstance(file.anchor, FileAnchor) else FileAnchor(state)
        self._file = file
        self._made: dict[bytes, Macs] = {}
        self._kept: tuple[Document, list[bytes]] | None = None

    @property
    def epoch(self) -> int:
        """The vault's."""
        return self._file.document.header.epoch

    def sign(self, body: bytes) -> str:
        """Return the ``mac`` of a line."""
        return self._macs(self._file.keys.vault_key)[0](body)

    def proves(self, body: bytes, mac: str) -> bool:
        """Tell whether the ``mac`` of a line was made with any key that the vault keeps."""
        if hmac.compare_digest(self.sign(body).encode(), mac.encode()):
            return True
        document = self._file.document
        if self._kept is None or self._kept[0] is not document:
            self._kept = document, [key for epoch in self._epochs()[1:] for key in self._file.keys_of(epoch)]
        return any(hmac.compare_digest(self._macs(key)[0](body).encode(), mac.encode()) for key in self._kept[1])

    def of_end(self, body: bytes, epoch: int) -> Sequence[str]:
        """Return the ``mac`` of an end under each key that the vault keeps of *epoch*."""
        return [self._macs(key)[1](body) for key in self._file.keys_of(epoch)]

    @property
    def lost(self) -> bool:
        """Whether the vault no longer keeps the key of an earlier epoch."""
        return len(self._epochs()) < self.epoch

    def known(self, *, again: bool = False) -> Known | None:
        """Return what the host's anchor says of the log, as it was when this process looked first, or looks *again*."""
        if again:
            self.__dict__.pop("_known", None)
        return self._known

    def remember(self, known: Known) -> None:
        """Let the host's anchor say so; where it cannot be written, the next process tries again."""
        with suppress(McpVaultError):
            self._anchor.note(self._file.slot.id, unlock.log_record(self._file.keys, known.log, known.epoch))
        self._known = known

    @cached_property
    def _known(self) -> Known | None:
        record = None
        with suppress(McpVaultError):
            record = self._anchor.seen(self._file.slot.id)
        found = unlock.log_in(self._file.keys, record) if record is not None else None
        return Known(*found) if found is not None else None

    def _epochs(self) -> Sequence[int]:
        header = self._file.document.header
        return [header.epoch, *dict.fromkeys(row.epoch for row in header.retired if row.epoch != header.epoch)]

    def _macs(self, key: bytes) -> Macs:
        if key not in self._made:
            self._made[key] = audit_macs(key)
        return self._made[key]
