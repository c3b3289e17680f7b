"""
A calendar file of what people owe: one all-day event a duty.

Pure. Decides the text. An event keeps its name from one file to the next, so that a calendar that reads the newer one
moves it and does not have it twice.

Spec: RFC 5545.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mcpvault._version import VERSION

if TYPE_CHECKING:
    from mcpvault.upkeep.forecast import Duty

_WIDEST = 75  # octets of a line without its break, RFC 5545 §3.1
_SUMMARIES = {"login": "log in", "refresh": "keep the login awake", "rotate": "rotate a secret"}


def calendar_of(duties: Sequence[Duty], *, vault_id: str, now: float) -> str:
    """
    Return the calendar.

    Args:
        duties: What is to be done.
        vault_id: Of the vault; two vaults may have servers of one name.
        now: Unix seconds.
    """
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:-//mcpvault//mcpvault {VERSION}//EN", "CALSCALE:GREGORIAN"]
    for duty in duties:
        lines += _event(duty, vault_id, now)
    return "".join(f"{_folded(line)}\r\n" for line in (*lines, "END:VCALENDAR"))


def _event(duty: Duty, vault_id: str, now: float) -> Iterator[str]:
    # What is to be done and not why or when: a duty that moves stays the same event.
    identity = "\0".join((vault_id, duty.server, duty.what, duty.command))
    day = datetime.fromtimestamp(duty.at, UTC)
    yield "BEGIN:VEVENT"
    yield f"UID:{hashlib.sha256(identity.encode()).hexdigest()[:32]}@mcpvault"
    yield f"DTSTAMP:{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
    yield f"DTSTART;VALUE=DATE:{day:%Y%m%d}"
    yield f"DTEND;VALUE=DATE:{day + timedelta(days=1):%Y%m%d}"
    yield "TRANSP:TRANSPARENT"
    yield f"SUMMARY:{_text(f'{duty.server}: {_SUMMARIES[duty.what]}')}"
    told = [duty.reason, f"run: {duty.command}", f"owner: {duty.owner}" if duty.owner else None, duty.runbook]
    yield "DESCRIPTION:" + _text("\n".join(filter(None, told)))
    if duty.runbook and re.fullmatch(r"https?://[\x21-\x7e]+", duty.runbook):
        yield f"URL:{duty.runbook}"
    yield "END:VEVENT"


def _text(text: str) -> str:
    """Return *text* as a value of type TEXT, RFC 5545 §3.3.11."""
    escaped = re.sub(r"([\\;,])", r"\\\1", text).replace("\n", "\\n")
    return re.sub(r"[\x00-\x1f\x7f]", " ", escaped)


def _folded(line: str) -> str:
    """Return *line* broken into lines that are narrow enough, between characters and never within one."""
    rows, width = [""], 0
    for char in line:
        octets = len(char.encode("utf-8", "replace"))
        if width + octets > _WIDEST:
            rows.append(" ")
            width = 1
        rows[-1] += char
        width += octets
    return "\r\n".join(rows)
