"""The bridge of one entry, put together: its credential, its connections, its thread-safe transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mcpvault import carriers
from mcpvault.connect import Vault
from mcpvault.entries import Concrete
from mcpvault.http.exchange import RequestsExchange
from mcpvault.interop.bridge import Bridge
from mcpvault.interop.interruptible import Interruptible
from mcpvault.state.verdicts import FileVerdicts


@contextmanager
def bridge_to(
    vault: Vault, entry: Concrete, *, timeout: float | None, write: Callable[[bytes], None]
) -> Iterator[Bridge]:
    """
    Give the bridge to *entry*, an HTTP server of *vault*; it is closed at the end of the block.

    Raises:
        ConfigurationError: The entry wants the caller's own authentication, and none is installed.
    """
    session = vault.requests_session(entry.name)
    exchange = Interruptible(RequestsExchange(session, entry.url))
    transport = carriers.over_http(exchange, entry, verdicts=FileVerdicts(vault.state))
    bridge = Bridge(transport, exchange, name=entry.name, timeout=timeout, write=write)
    try:
        yield bridge
    finally:
        bridge.close()
