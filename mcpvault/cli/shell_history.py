"""
What was typed into ``mcpvault shell``, in a private file of the state folder.

Leaves to ``shell_lines`` which lines are kept. A history that cannot be had is no reason to stop.
"""

from __future__ import annotations

from mcpvault.cli.output import warn
from mcpvault.cli.shell_lines import may_be_kept
from mcpvault.errors import McpVaultError
from mcpvault.state.files import StateDirectory

FILE = "shell-history"
_MOST = 1000  # lines


class History:
    """
    The lines of earlier shells and of this one.

    Args:
        state: The state folder; files in it are readable by their owner only.
    """

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._new: list[str] = []

    def earlier(self) -> list[str]:
        """Return the lines of earlier shells."""
        try:
            data = self._state.read(FILE)
        except McpVaultError as error:
            warn(error.message)
            return []
        return [line for line in (data or b"").decode("utf-8", "replace").splitlines() if line]

    def add(self, line: str) -> bool:
        """Take a line, if it may be kept; tell whether it was."""
        kept = may_be_kept(line) and self._new[-1:] != [line]
        if kept:
            self._new.append(line)
        return kept

    def save(self) -> None:
        """Put the new lines behind those that other shells have written meanwhile."""
        if not self._new:
            return
        try:
            with self._state.lock(FILE, timeout=2.0):
                lines = [*self.earlier(), *self._new][-_MOST:]
                self._state.replace(FILE, "".join(f"{line}\n" for line in lines).encode())
        except McpVaultError as error:
            warn(error.message)
        self._new.clear()
