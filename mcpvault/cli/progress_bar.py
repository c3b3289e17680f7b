"""A progress bar on stderr, drawn by rich; loaded on terminals only."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text


class ProgressBar:
    """One bar. It is drawn when there is news and at no other time, so that no thread is needed."""

    def __init__(self) -> None:
        self._drawn = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=None, table_column=Column(min_width=8, ratio=1)),
            TaskProgressColumn(show_speed=False, table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[count]}", markup=False, table_column=Column(no_wrap=True)),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._task = self._drawn.add_task("", total=None, count="")

    def show(self, done: float, total: float | None, words: str) -> None:
        """Show how far it is."""
        count = f"{done:g}/{total:g}" if total is not None else f"{done:g}"
        room = max(10, self._drawn.console.width // 3)
        words = words if len(words) <= room else words[: room - 1] + "…"
        self._drawn.update(self._task, completed=done, total=total, description=words or "working", count=count)
        self._drawn.start()  # once is enough
        self._drawn.refresh()

    def print(self, text: str) -> None:
        """Print *text* above the bar."""
        self._drawn.console.print(Text(text), soft_wrap=True)

    def close(self) -> None:
        """Take it away."""
        self._drawn.stop()
