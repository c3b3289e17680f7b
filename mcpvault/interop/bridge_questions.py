"""
What the server asks of the bridge's client: requests to it, under ids of ours, and its answers.

Decides which of the client's own capabilities the server hears of. Leaves what the answers mean to the transport.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mcpvault.mcp.callbacks import Callbacks
from mcpvault.mcp.wire import Json

if TYPE_CHECKING:
    from mcpvault.mcp.elicitation import FormElicitation, UrlElicitation


class Questions:
    """
    The questions that wait for the client.

    Args:
        send: Takes one message for the client.
        timeout: Seconds that it has for one answer; None: as long as it takes.
    """

    def __init__(self, send: Callable[[Json], None], timeout: float | None) -> None:
        self._send = send
        self._timeout = timeout
        self._ids = itertools.count(1)
        self._waiting: dict[str, queue.SimpleQueue[Json | None]] = {}  # by id
        self._over = threading.Event()

    def answered(self, message: Json) -> None:
        """Take an answer of the client's; one that nobody waits for is dropped."""
        if (waiting := self._waiting.get(str(message.get("id")))) is not None:
            waiting.put(message)

    def end(self) -> None:
        """Let every question, also of later, be one that the client says no to."""
        self._over.set()
        for waiting in [*self._waiting.values()]:
            waiting.put(None)

    def callbacks(self, params: Json) -> Callbacks:
        """Return who answers a server, by what the client says at initialize that it can be asked for."""
        can = params.get("capabilities")
        can = can if isinstance(can, dict) else {}
        modes = can.get("elicitation")
        modes = modes if isinstance(modes, dict) else {"none": {}}

        def elicit(asked: FormElicitation | UrlElicitation) -> Json | None:
            return self._ask("elicitation/create", asked.raw)

        def sample(asked: Json) -> Json | None:
            return self._ask("sampling/createMessage", asked)

        return Callbacks(
            # "an empty capabilities object is equivalent to declaring support for form mode only" -- 2025-11-25
            on_elicitation=elicit if not modes or "form" in modes else None,
            on_url=elicit if "url" in modes else None,
            on_sampling=sample if "sampling" in can else None,
            roots=self._roots if "roots" in can else None,
        )

    def _roots(self) -> list[Any]:
        roots = (self._ask("roots/list", None) or {}).get("roots")
        return roots if isinstance(roots, list) else []

    def _ask(self, method: str, params: Json | None) -> Json | None:
        """Ask the client; None where it says no, or has gone."""
        id_ = f"mcpvault-{next(self._ids)}"
        waiting = self._waiting[id_] = queue.SimpleQueue()
        told = None
        try:
            if not self._over.is_set():
                self._send({"id": id_, "method": method, **({} if params is None else {"params": params})})
                with contextlib.suppress(queue.Empty):
                    told = waiting.get(timeout=self._timeout)
        finally:
            del self._waiting[id_]
        result = (told or {}).get("result")
        return result if isinstance(result, dict) else None
