"""Lengths of time on the command line: ``90s``, ``15m``, ``2h``, ``30d``, ``4w``."""

from __future__ import annotations

import re
from typing import Any

import click

_SIZES = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """Seconds, written with a unit."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds in *value*."""
        if isinstance(value, (int, float)):
            return float(value)
        found = re.fullmatch(r"([0-9]{1,6})([smhdw])", str(value))
        if found is None:
            self.fail(f"{value!r} is no duration such as 90s, 15m, 2h or 30d", param, ctx)
        return float(int(found[1]) * _SIZES[found[2]])


DURATION = Duration()
