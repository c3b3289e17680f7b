"""
``Keys``: what the audit log needs of an open vault. Loaded for types only.

Spec: SPEC §18.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mcpvault.state.audit_lines import Known


class Keys(Protocol):
    """What the log needs of the keys of an open vault, and of what the host remembers of the log."""

    @property
    def epoch(self) -> int:
        """The vault's."""

    def sign(self, body: bytes) -> str:
        """Return the ``mac`` of a line."""

    def proves(self, body: bytes, mac: str) -> bool:
        """Tell whether the ``mac`` of a line was made with any key that the vault keeps."""

    @property
    def lost(self) -> bool:
        """Whether the vault no longer keeps the key of an earlier epoch."""

    def of_end(self, body: bytes, epoch: int) -> Sequence[str]:
        """Return the ``mac`` of an end under each key that the vault keeps of *epoch*."""

    def known(self, *, again: bool = False) -> Known | None:
        """Return what the host's anchor says of the log, as it was when this process looked first, or looks *again*."""

    def remember(self, known: Known) -> None:
        """Let the host's anchor say so."""
