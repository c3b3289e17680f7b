"""The active server: what the ``client`` verbs mean when no name is given."""

from __future__ import annotations

from mcpvault.state.store import StateStore

_FILE = "active"


def active_server(directory: StateStore) -> str | None:
    """Return the name of the active server, or None."""
    data = directory.read(_FILE)
    name = data.decode("utf-8", "replace").strip() if data else ""
    return name or None


def activate(directory: StateStore, name: str | None) -> None:
    """
    Make *name* the active server; None forgets it.

    Raises:
        PermissionsError: The state folder cannot be written.
    """
    directory.replace(_FILE, f"{name}\n".encode() if name else b"")
