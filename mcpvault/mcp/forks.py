"""
What a forked child begins anew.

Decides when: right after the fork, before the child has threads, so that nobody is in the middle of a call.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from mcpvault.mcp.wire import Forkable


_HERE: WeakSet[Forkable] = WeakSet()


def renew_in_children(each: Forkable) -> None:
    """Let every child that is forked while *each* lives begin with ``each.forked()``."""
    _HERE.add(each)


def _forked() -> None:
    for each in list(_HERE):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
