"""
What is shown while a server works: its progress and its log messages, on stderr.

Decides their form: a bar on a terminal, lines elsewhere. stdout stays for the result. Leaves what the
server asks of a person to ``asking``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from mcpvault.errors import UsageError
from mcpvault.figures import finite
from mcpvault.mcp.callbacks import LEVELS, Callbacks, LogMessage

if TYPE_CHECKING:
    from mcpvault.cli.progress_bar import ProgressBar

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_EVERY = 1.0  # seconds between two lines of progress
_LONGEST_LOG = 4000  # characters of one message
OFF = "off"


def quiet_options(function: Decorated) -> Decorated:
    """Add ``--quiet`` and ``--log``."""
    for option in (
        click.option(
            "--log",
            "log_level",
            type=click.Choice([*LEVELS, OFF]),
            metavar="LEVEL",
            help="Show the server's log messages of LEVEL and above, or off; by default info on a terminal, warning "
            "elsewhere, off with --json.",
        ),
        click.option("-q", "--quiet", is_flag=True, help="Show neither progress nor log messages."),
    ):
        function = option(function)
    return function


class Meanwhile:
    """
    The eyes and ears of one run; use it as a context manager around what takes long.

    Args:
        quiet: Show nothing.
        as_json: Show log messages only, and only if *log_level* is given.
        log_level: The least level of log messages, or ``off``; by default what fits the surroundings.

    Raises:
        UsageError: Log messages are wanted, and nothing is to be shown.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False, log_level: str | None = None) -> None:
        if quiet and log_level not in (None, OFF):
            raise UsageError(f"--log {log_level}: --quiet shows no log messages", hint="leave one of the two out")
        self._quiet = quiet or as_json
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._logs = log_level != OFF if log_level is not None else not self._quiet
        self._level = log_level or ("info" if self._terminal else "warning")
        self._draws = self._terminal and os.environ.get("TERM") != "dumb"
        self._bar: ProgressBar | None = None
        self._next_line = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def callbacks(self) -> Callbacks:
        """Return what a session does for the server: it listens, and asks the person who sits there, if one does."""
        from mcpvault.cli.asking import Asking

        asking = Asking(self.paused, quiet=self._quiet)
        return Callbacks(
            on_elicitation=asking.fill_in,
            on_url=asking.visit,
            on_log=self.heard if self._logs else None,
            log_level=self._level if self._logs else "info",
        )

    @property
    def on_progress(self) -> Callable[[dict[str, Any]], None] | None:
        """What takes each progress notification, or None where none is wanted."""
        return None if self._quiet else self._progressed

    def heard(self, message: LogMessage) -> None:
        """Show a log message."""
        from mcpvault.cli.render import printable
        from mcpvault.secret import redact

        said = message.data if isinstance(message.data, str) else json.dumps(message.data, ensure_ascii=False)
        words = redact(printable(said).strip())[:_LONGEST_LOG]
        logger = f"{_line(message.logger)}: " if message.logger else ""
        # Further lines are indented, so that none of them can be taken for one of ours.
        self._say(f"server: {_line(message.level)}: {logger}" + words.replace("\n", "\n  "))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bar away while a person is asked."""
        self.close()
        yield

    def _progressed(self, facts: dict[str, Any]) -> None:
        done, total, words = finite(facts.get("progress")), finite(facts.get("total")), _line(facts.get("message"))
        if done is None:
            return
        if self._draws:
            if self._bar is None:
                from mcpvault.cli.progress_bar import ProgressBar

                self._bar = ProgressBar()
            self._bar.show(done, total, words)
        elif time.monotonic() >= self._next_line or (total is not None and done >= total):
            self._next_line = time.monotonic() + _EVERY
            of = f"/{total:g}" if total is not None else ""
            self._say(f"progress: {done:g}{of}{f' {words}' if words else ''}")

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.print(text)
        else:
            print(text, file=sys.stderr, flush=True)


def _line(text: Any) -> str:
    from mcpvault.cli.render import one_line
    from mcpvault.secret import redact

    return redact(one_line(text))[:200]
