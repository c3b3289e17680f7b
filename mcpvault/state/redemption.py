"""
One redemption of a refresh token: journal, send, keep the answer. Nothing is judged here.

Decides the order of the writes, and what is left on disk when an interrupt or a bug ends it in the middle.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError, PermissionsError
from mcpvault.state import journal
from mcpvault.state.record import KeptAnswer, TokenRecord
from mcpvault.state.tokens import TokenStore
from mcpvault.tokens import TokenSet
from vault_schema.record import Record

LOG = logging.getLogger("mcpvault.state")
SECONDS = (
    20.0  # for one redemption; once it is sent, whatever the caller's deadline: cutting it short may cost the grant
)


class RawAnswer(Protocol):
    """What came back from a token endpoint, whatever it says; header names in lower case."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields."""

    @property
    def body(self) -> bytes:
        """The content."""


class Exchange(Record):
    """
    What ``mcpvault.oauth`` and ``mcpvault.http`` do for a refresh.

    ``redeem`` sends the refresh token of a record once and returns the answer unread, or raises a ``McpVaultError``;
    it lifts the deadline it is given as soon as the request leaves, so that only the one around it counts.
    ``was_sent`` tells of such an error whether the token may have been redeemed.
    ``read`` returns the tokens that an answer grants. It raises a ``TransportError`` where the server did not
    decide, an error with ``error == "invalid_grant"`` where the token is dead, one with another ``error`` where the
    request was refused, and a ``RemoteProtocolError`` where nobody understands the answer; any other error tells
    nothing about the answer.
    """

    redeem: Callable[[TokenRecord, Deadline], RawAnswer]
    was_sent: Callable[[McpVaultError], bool]
    read: Callable[[KeptAnswer, TokenRecord], TokenSet]


class Redeemed(Record):
    """The record after a redemption: with the answer, or else with the failure that came in its place."""

    record: TokenRecord
    failure: McpVaultError | None = None


def redeem(
    store: TokenStore,
    record: TokenRecord,
    exchange: Exchange,
    *,
    again: bool,
    clock: Callable[[], float],
    deadline: Deadline,
) -> Redeemed:
    """
    Redeem the refresh token of *record*, whose lock is held.

    Args:
        store: Of the record.
        record: As it was read under the lock.
        exchange: Sends.
        again: The answer to the redemption in the record's journal was lost.
        clock: Unix seconds.
        deadline: The caller's, until the request leaves: up to there nothing is lost by breaking off.

    Raises:
        PermissionsError: There is no room for the journal and the answer; nothing was sent.
    """
    now = clock()
    token = record.tokens.refresh_token if record.tokens else None
    intent = journal.begin(token, now=now, host_name=store.host_name, before=record.intent if again else None)
    begun = record.replaced(status="refreshing", intent=intent, answer=None)
    # What to leave if this is broken off: nothing was sent, then nobody knows, then there is an answer.
    left = record
    try:
        with store.room() as room:
            store.write(begun)
            left = begun.replaced(status="ambiguous", intent=intent.replaced(ended="interrupted"))
            outcome = _sent(begun, exchange, Deadline(min(deadline.remaining(), SECONDS), outer=Deadline(SECONDS)))
            if isinstance(outcome, McpVaultError):
                return Redeemed(begun, outcome)
            answer = KeptAnswer(status=outcome.status, headers=dict(outcome.headers), body=outcome.body, asked_at=now)
            left = begun.replaced(answer=answer)
            try:
                store.write(left, room=room)
            except PermissionsError as error:  # the tokens alone may still fit
                LOG.error("%s: the answer is not kept: %s", store.server, error.message)
            return Redeemed(left)
    except McpVaultError:
        raise
    except BaseException:
        try:
            store.write(left)
        except McpVaultError as error:
            LOG.error("%s: the interrupted refresh is not written down: %s", store.server, error.message)
        raise


def _sent(begun: TokenRecord, exchange: Exchange, deadline: Deadline) -> RawAnswer | McpVaultError:
    try:
        return exchange.redeem(begun, deadline)
    except McpVaultError as error:
        return error
