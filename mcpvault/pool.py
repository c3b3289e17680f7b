"""
``vault.pool(name)``: the same work for many items, by threads that share one session.

Decides how many threads, what each item came to, and how all of them end. Leaves the calls, and what
keeps threads apart in them, to the session. Threads live as long as one ``map``, and no longer.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable
from typing import Generic, Self, TypeVar

from mcpvault.deadline import Deadline, deadline_in
from mcpvault.errors import DeadlineExceededError, UsageError
from mcpvault.mcp.session import Session

T = TypeVar("T")
R = TypeVar("R")


class Outcome(Generic[T, R]):
    """
    What one item came to.

    Attributes:
        item: The item.
        error: What ``work`` raised, or None.
    """

    __slots__ = ("_value", "error", "item")

    def __init__(self, item: T) -> None:
        self.item = item
        self.error: Exception | None = None
        self._value: R | None = None

    def __repr__(self) -> str:
        return f"Outcome({'done' if self.error is None else type(self.error).__name__})"

    def result(self) -> R:
        """Return what ``work`` returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]  # set where there is no error


class SessionPool:
    """
    Threads on one session; ``Vault.pool`` makes it. Use it as a context manager, or ``close`` it.

        with vault.pool("linear", size=8, deadline=60) as pool:
            for outcome in pool.map(lambda linear, n: linear.call_tool("get_issue", {"id": n}), ids):
                print(outcome.item, outcome.error or outcome.result().text())

    Args:
        session: What the threads share; it is closed with the pool.
        size: Threads at most.
        deadline: Seconds that one ``map`` may take, all of it; None: as long as the calls may.

    Raises:
        UsageError: *size* is less than one.
    """

    def __init__(self, session: Session, *, size: int = 8, deadline: float | None = None) -> None:
        if size < 1:
            raise UsageError(f"size: expected at least one thread, got {size}", server=session.name)
        self.session = session
        self.size = size
        self.deadline = deadline

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session."""
        self.session.close()

    def map(
        self, work: Callable[[Session, T], R], items: Iterable[T], *, deadline: float | None = None
    ) -> list[Outcome[T, R]]:
        """
        Do *work* with each of *items*, and return what each came to, in the order of *items*.

        An exception ends its item and no other. When the time is over, calls under way end with
        ``DeadlineExceededError``, and so do the items that were not begun. Ctrl-C, and whatever else is no
        ``Exception``, breaks the calls off, waits for the threads, and is raised.

        Args:
            work: Called with the session and an item, by several threads at once. What it waits for
                besides calls of ours is not cut short.
            items: Read to their end before anything is begun.
            deadline: Seconds for all of it, instead of the pool's.
        """
        outcomes: list[Outcome[T, R]] = [Outcome(item) for item in items]
        outer = deadline_in(None)
        whole = Deadline(self.deadline if deadline is None else deadline, outer=outer)
        left = iter(outcomes)  # one for all threads: each takes the next
        ends: list[BaseException] = []
        ended: list[None] = []
        changed = threading.Event()

        def run() -> None:
            try:
                take()
            finally:
                ended.append(None)
                changed.set()

        def take() -> None:
            with whole.governing():
                for outcome in left:
                    try:
                        self._begin(whole)
                        outcome._value = work(self.session, outcome.item)
                    except Exception as error:
                        outcome.error = error
                    except BaseException as error:
                        ends.append(error)
                        self._break_off(whole)
                        return

        threads = [
            # A copy of the caller's context each: trace context, and a deadline that governs the caller.
            threading.Thread(
                target=contextvars.copy_context().run, args=(run,), name=f"{self.session.name}-{n}", daemon=True
            )
            for n in range(min(self.size, len(outcomes)))
        ]
        begun: list[threading.Thread] = []
        try:
            for thread in threads:
                begun.append(thread)
                thread.start()
            self._await(begun, ended, changed)
        except BaseException:
            self._break_off(whole)
            self._await([thread for thread in begun if thread.ident is not None], ended, changed)
            raise
        if ends:
            raise ends[0]
        return outcomes

    @staticmethod
    def _await(threads: list[threading.Thread], ended: list[None], changed: threading.Event) -> None:
        # Not by join alone: one that Ctrl-C has interrupted takes a thread that still runs for ended (3.11).
        while len(ended) < len(threads):
            changed.wait()
            changed.clear()
        for thread in threads:
            thread.join()

    def _begin(self, whole: Deadline) -> None:
        if whole.expired():
            raise DeadlineExceededError(
                f"{self.session.name}: not begun: the {whole.seconds or 0:g} s for all items are over",
                hint="allow more time, or more threads",
                sent=False,
                server=self.session.name,
            )

    def _break_off(self, whole: Deadline) -> None:
        whole.end()
        self.session.interrupt()
