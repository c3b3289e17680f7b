"""
Numbers as others write them: in JSON, and in a ``Retry-After`` header.

Decides what counts as a number. Leaves to whoever asks what it means where there is none.
"""

from __future__ import annotations

import math
import time
from typing import Any

_LONGEST_WAIT = 10 * 365 * 86400.0  # seconds


def finite(value: Any) -> float | None:
    """Return a number out of JSON as a float; None where it is none, or beyond what a float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def retry_after(text: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for (RFC 9110 §10.2.3); None if it makes no sense."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), _LONGEST_WAIT)
    import email.utils

    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max(0.0, moment.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
