"""
The journal of a rotation as it is written: who did what last, and what comes with the new secret.

Decides the members. Leaves their meaning to ``machine`` and their place to SPEC §10.4.
"""

from __future__ import annotations

import base64
import os
from typing import Any

from mcpvault.durations import stamp
from mcpvault.state.journal import plain
from vault_schema import Rotation

Journal = dict[str, Any]


def begin(field: str, *, rotator: str, by: str, now: float, grace: str, command: tuple[str, ...]) -> Journal:
    """Return the journal of a rotation that nobody has begun yet."""
    return {
        "id": base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode(),
        "field": field,
        "rotator": rotator,
        "step": "planned",
        "attempt": 0,
        "started": stamp(now),
        "updated": stamp(now),
        "by": plain(by),
        "grace": grace,
        "command": [*command] or None,
    }


def after(journal: Rotation, step: str, *, by: str, now: float, **members: Any) -> Journal:
    """Return *journal* at *step*; the attempts are counted anew where that is another one. None removes a member."""
    told = {name: [*value] if isinstance(value, tuple) else value for name, value in journal.fields().items()}
    again = step == journal.step
    told |= {"step": step, "attempt": journal.attempt if again else 0, "updated": stamp(now), "by": plain(by)}
    told |= {"command": told["command"] or None, "undo": journal.undo or None}
    return told | members
