"""
Grants that can be asked for again: client credentials, a workload's JWT, an identity assertion.

Nothing is lost when an answer is, so there is no journal; but still only one process asks, and all use its result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError, DeadlineExceededError, McpVaultError
from mcpvault.state import brake
from mcpvault.state.flight import ENOUGH, LOG, Flight
from mcpvault.state.record import TokenRecord
from mcpvault.state.tokens import TokenStore

Fetch = Callable[[TokenRecord | None, Deadline], TokenRecord]


class Obtain(Flight):
    """
    The flight of a credential whose grant needs nobody.

    Args:
        store: Of the credential.
        fetch: Is given what is known, and the deadline; returns a record with new tokens and whatever else was
            learned. Generation, host and status are set here.
        how: As ``Flight``.
    """

    def __init__(self, store: TokenStore, fetch: Fetch, **how: Any) -> None:
        super().__init__(store, **how)
        self.fetch = fetch

    def obstacle(self, record: TokenRecord | None) -> McpVaultError | None:
        """Return None: asking again harms nobody, from whatever host."""
        return None

    def renew(self, record: TokenRecord | None) -> TokenRecord:
        """Ask for a grant, and keep it."""
        LOG.info("%s: asking for a new access token", self.store.server)
        given = self.deadline.remaining()
        known = record or TokenRecord(generation=0, status="none", host=self.store.host)
        try:
            fetched = self.fetch(record, self.deadline)
        except McpVaultError as error:
            if isinstance(error, DeadlineExceededError) and given < ENOUGH and self.deadline.expired():
                self.store.write(known.replaced(trouble=brake.hurried(known.trouble, self.clock())))
            elif not isinstance(error, ConfigurationError):
                self.store.write(self._troubled(known, error))
            raise
        renewed = fetched.replaced(
            generation=known.generation + 1,
            status="ok",
            host=self.store.host,
            host_name=self.store.host_name,
            entries=tuple(sorted({*known.entries, self.store.server})),
            rejections=known.rejections + 1 if record and self.rejected == record.generation else 0,
            intent=None,
            trouble=None,
            answer=None,
            shown=None,
        )
        self.store.write(renewed)
        LOG.info("%s: obtained: generation %d", self.store.server, renewed.generation)
        return renewed


def obtain(store: TokenStore, fetch: Fetch, **how: Any) -> TokenRecord:
    """
    Return the record whose access token is to be sent, with a new one if it was due.

    Raises:
        McpVaultError: As ``Flight.run``.
    """
    return Obtain(store, fetch, **how).run()
