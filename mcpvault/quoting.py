"""What somebody else's server said, made fit for a message of ours."""

from __future__ import annotations

import re

from mcpvault.secret import MASK, redact

_CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+"
# A whole header that a server sends back: its value is no secret that we know, but made of one.
_HEADER = r"(?i)\b(basic|bearer|dpop)\s+(?=\S*[0-9])[A-Za-z0-9+/=._~-]{12,}"
_LONGEST = 200  # characters


def quote(text: str) -> str:
    """Return a server's words fit for a message: one line, no control characters, no secrets, not too long."""
    # Redacted before it is cut: half a secret would not be known again.
    text = re.sub(_HEADER, rf"\1 {MASK}", redact(text[: 64 * _LONGEST]))
    text = re.sub(_CONTROL, " ", text).strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
