"""Lengths of time on the command line: ``90s``, ``15m``, ``2h``, ``30d``, ``4w``."""

from __future__ import annotations

from typing import Any

import click

from mcpvault.durations import seconds


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """Seconds, written with a unit."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds in *value*."""
        if isinstance(value, (int, float)):
            return float(value)
        found = seconds(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration such as 90s, 15m, 2h or 30d", param, ctx)
        return float(found)


DURATION = Duration()
