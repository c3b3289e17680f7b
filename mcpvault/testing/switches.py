"""The misbehaviours that are switched on: which ones, for what, how often."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcpvault.testing.behaviours.registry import Behaviour


@dataclass(slots=True)
class Switch:
    """One misbehaviour: ``left`` is how often it happens yet, None for ever; ``one_in`` spares all but every n-th."""

    behaviour: Behaviour
    on: frozenset[str]
    left: int | None
    options: dict[str, Any] = field(default_factory=dict)
    carried_out: bool = False
    one_in: int = 1
    met: int = 0


class Switches:
    """The misbehaviours of one server, in the order in which they were asked for."""

    def __init__(self, known: Mapping[str, Behaviour]) -> None:
        self._known = known
        self._switches: list[Switch] = []
        self._lock = threading.Lock()

    def add(self, name: str, on: str | Sequence[str], times: int | None, options: dict[str, Any], **more: Any) -> None:
        """Switch the misbehaviour *name* on for the requests that carry one of the labels *on*."""
        labels = frozenset([on] if isinstance(on, str) else on)
        with self._lock:
            self._switches.append(Switch(self._known[name], labels, times, options, **more))

    def clear(self) -> None:
        """Switch everything off."""
        with self._lock:
            self._switches.clear()

    def take(self, labels: Collection[str]) -> Switch | None:
        """Take the first misbehaviour that concerns a request with these *labels*."""
        with self._lock:
            for switch in self._switches:
                if switch.left == 0 or not switch.on & {"*", *labels}:
                    continue
                switch.met += 1
                if switch.met % switch.one_in:
                    continue
                if switch.left is not None:
                    switch.left -= 1
                return switch
        return None
