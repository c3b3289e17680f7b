"""The bridge of one entry, put together: its credential, its connections, its thread-safe transport."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mcpvault import entries
from mcpvault.connect import Vault
from mcpvault.entries import Concrete
from mcpvault.http.exchange import RequestsExchange
from mcpvault.interop.bridge import Bridge
from mcpvault.interop.interruptible import Interruptible
from mcpvault.state.verdicts import FileVerdicts
from mcpvault.transports.streamable_http import StreamableHttpTransport


@contextmanager
def bridge_to(
    vault: Vault, entry: Concrete, *, timeout: float | None, write: Callable[[bytes], None]
) -> Iterator[Bridge]:
    """
    Give the bridge to *entry*, an HTTP server of *vault*; it is closed at the end of the block.

    Raises:
        ConfigurationError: The entry wants the caller's own authentication, and none is installed.
    """
    grant = vault.authorization(entry.name) if entry.oauth is not None else None
    session = entries.http_session(entry, env=vault.env, tokens=grant.source if grant is not None else None)
    exchange = Interruptible(RequestsExchange(session, entry.url))
    transport = StreamableHttpTransport(exchange, server=entry.name, era=entry.era, verdicts=FileVerdicts(vault.state))
    bridge = Bridge(transport, exchange, name=entry.name, timeout=timeout, write=write)
    try:
        yield bridge
    finally:
        bridge.close()
