"""
Many modules loaded at once, and the garbage collector kept from looking at them one by one.

What a module defines is no garbage. In a cron job's start the collector's passes over it
cost 1 to 2 % of the time.
"""

from __future__ import annotations

import gc


class Loading:
    """``with Loading(): import …``: collection pauses, and what was loaded counts as old."""

    def __enter__(self) -> None:
        self._paused = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._paused:
            # To the oldest generation without being looked at; an application's frozen objects would thaw.
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()
