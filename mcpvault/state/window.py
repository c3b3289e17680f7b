"""When a token is worth replacing although it still works."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcpvault.state.record import Facts
    from mcpvault.tokens import TokenSet


def window_of(tokens: TokenSet | Facts) -> float:
    """
    Return for how many seconds before its end a token is worth replacing: a tenth of its life, 30 s to 5 min.

    It differs by up to a tenth from process to process, so that they do not all come at once.
    """
    if tokens.expires_at is None:
        return 0.0
    life = max(0.0, tokens.expires_at - tokens.issued_at) if tokens.issued_at else 3600.0
    jitter = 0.9 + 0.2 * (os.getpid() * 2654435761 % 2**32) / 2**32
    return min(max(30.0, min(300.0, life / 10)), life / 2) * jitter
