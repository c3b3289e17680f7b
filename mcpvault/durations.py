"""Lengths of time and moments, as the vault writes them (SPEC §1.3)."""

from __future__ import annotations

import calendar
import re
import time

SIZES = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def seconds(text: str) -> int | None:
    """Return the seconds in ``90d``, or None: it is no duration."""
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    return int(found[1]) * SIZES[found[2]] if found else None


def moment(text: str) -> int:
    """Return the Unix seconds of a time that the format has judged."""
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def stamp(at: float) -> str:
    """Return a moment as the format writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
