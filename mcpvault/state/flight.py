"""
One flight at a time: whoever finds a token due replaces it, all others wait for the result and use it.

Decides when a token is due, who may replace it, and when waiting ends. Leaves the replacing to ``refresh``
(a refresh token, which works once) and ``obtain`` (a grant that can be asked for again).
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum

from mcpvault.deadline import Deadline
from mcpvault.errors import AuthorizationFailedError, McpVaultError, PermissionsError, ServerUnavailableError
from mcpvault.state import brake
from mcpvault.state.grants import login_needed
from mcpvault.state.record import TokenRecord, window_of
from mcpvault.state.tokens import PATIENCE, TokenStore

LOG = logging.getLogger("mcpvault.state")
ENOUGH = 20.0  # seconds; a server that has not answered by then has failed, whoever asked
LEISURE = 40.0  # seconds that a call must have left for an early refresh: twice what one that hangs takes
_POLL = 0.01, 0.05  # seconds, at first and at most


class Need(Enum):
    """How urgently a token is to be replaced."""

    NONE = "none"
    EARLY = "early"  # it still works; replace it if nobody else does
    DUE = "due"


class Flight(ABC):
    """
    One question about one credential: which token to send now.

    Args:
        store: Of the credential.
        deadline: The caller's; a redemption that was sent has a limit of its own.
        clock: Unix seconds.
        rejected: The generation whose token the server has just refused, or None.
        window: Replace it this many seconds before its end, instead of what fits its life; the old one is no help then.
        insist: A person wants a new token now: however fresh the old one is, whatever failed before.
        patience: Seconds to wait for another process, at most.
        proof: Returns the fingerprint of what a server may refuse, as it is now: the client, its proof, the scope.
        refusal: Returns the error for what a message begins with and the code by which a server has refused.
    """

    def __init__(
        self,
        store: TokenStore,
        *,
        deadline: Deadline,
        clock: Callable[[], float] = time.time,
        rejected: int | None = None,
        window: float | None = None,
        insist: bool = False,
        patience: float = PATIENCE,
        proof: Callable[[TokenRecord], str] = lambda record: "-",
        refusal: Callable[[str, str], McpVaultError] = lambda place, code: AuthorizationFailedError(place, error=code),
    ) -> None:
        self.store = store
        self.deadline = deadline
        self.clock = clock
        self.rejected = rejected
        self.window = window
        self.insist = insist
        self.patience = patience
        self.proof = proof
        self.refusal = refusal
        self._outdated: int | None = None  # the generation that insisting is about

    def run(self) -> TokenRecord:
        """
        Return the record whose access token is to be sent.

        Raises:
            AuthorizationRequiredError: Only a person's login helps.
            TransportError: The authorization server cannot be reached, or nobody asks it for now.
            BusyError: Another process is at it, and takes too long.
            McpVaultError: What the exchange raised.
        """
        record = self.store.read()
        self._outdated = record.generation if record and self.insist else None
        waiting = self.deadline.within(self.patience)
        poll = _POLL[0]
        while True:
            settled = self._settled(record)
            if settled is not None:
                return settled
            try:
                with self.store.attempt() as held:
                    if held:
                        return self._held(record)
            except PermissionsError as error:
                if record is None or not self._makes_do(record):
                    raise
                self._tell_of(error)
                return record
            if record is not None and self._need(record) is Need.EARLY and self._makes_do(record):
                LOG.debug("%s: another process refreshes; the token at hand still works", self.store.server)
                return record
            if waiting.expired():
                if record is not None and self._makes_do(record):
                    return record
                raise self.store.busy()
            time.sleep(min(poll, waiting.remaining()))
            poll = min(2 * poll, _POLL[1])
            record = self.store.read()

    @abstractmethod
    def renew(self, record: TokenRecord | None) -> TokenRecord:
        """Replace the token, or say why not. The lock is held and *record* was read under it."""

    @abstractmethod
    def obstacle(self, record: TokenRecord | None) -> McpVaultError | None:
        """Return what makes replacing the token useless or dangerous just now, or None."""

    def _held(self, seen: TokenRecord | None) -> TokenRecord:
        record = self.store.read()
        settled = self._settled(record)
        if settled is not None:
            if seen is None or settled.generation != seen.generation:
                LOG.info("%s: another process has refreshed: generation %d", self.store.server, settled.generation)
            return settled
        try:
            self.deadline.check(f"{self.store.server}: refresh", server=self.store.server, sent=False)
            return self.renew(record)
        except McpVaultError as error:
            kept = self.store.read()
            if kept is None or not self._makes_do(kept):
                raise
            self._tell_of(error)
            return kept

    def _settled(self, record: TokenRecord | None) -> TokenRecord | None:
        """Return the record if it is to be used as it is, None if its token is to be replaced."""
        if record is not None and self._need(record) is Need.NONE:
            return record
        obstacle = self.obstacle(record) or self._brake(record)
        if obstacle is None:
            return None
        if record is not None and self._makes_do(record):
            return record
        raise obstacle

    def _need(self, record: TokenRecord) -> Need:
        now = self.clock()
        if record.generation in (self.rejected, self._outdated) or not record.alive(now) or record.tokens is None:
            return Need.DUE
        if record.expires_at is None:
            return Need.NONE
        left = record.expires_at - now
        window = window_of(record.tokens) if self.window is None else self.window
        if left > window:
            return Need.NONE
        soon, time_left = min(10.0, window / 2), self.deadline.remaining()
        if self.window is None and time_left < LEISURE and left > min(soon, time_left):
            return Need.NONE  # it outlasts the call, which a refresh that hangs would cost
        return Need.EARLY if left > soon else Need.DUE

    def _usable(self, record: TokenRecord) -> bool:
        return record.alive(self.clock()) and record.generation != self.rejected

    def _makes_do(self, record: TokenRecord) -> bool:
        """Tell whether the token at hand is good enough where no other is to be had."""
        return self._usable(record) and not self.insist and self.window is None

    def _tell_of(self, error: McpVaultError) -> None:
        LOG.warning("%s: %s; the token at hand still works", self.store.server, self._said(error))

    def _said(self, error: McpVaultError) -> str:
        """Return what *error* says, for a line that begins with the entry's name already."""
        return error.message.removeprefix(f"{self.store.server}: ")

    def _hurried(self, left: float) -> McpVaultError:
        return ServerUnavailableError(
            f"{self.store.server}: no token request for another {left:.0f} s: the authorization server needs longer "
            "than the last caller gave it",
            hint=f"allow the call more time; with {ENOUGH:g} s it is asked at once",
            server=self.store.server,
            retry_after=left,
        )

    def _troubled(self, record: TokenRecord, failure: McpVaultError) -> TokenRecord:
        """Return *record* after *failure*: nobody tries again for a while."""
        refused = getattr(failure, "error", None) is not None  # by an OAuth error code that is no outage's
        trouble = brake.after(
            record.trouble,
            reason=getattr(failure, "error", None) or failure.kind,
            now=self.clock(),
            retry_after=failure.retry_after,
            refused=refused,
        )
        return record.replaced(trouble=trouble, shown=self.proof(record) if refused else None)

    def _advised(self, record: TokenRecord, refusal: McpVaultError) -> McpVaultError:
        """Let *refusal* say what to do about it."""
        return refusal

    def _brake(self, record: TokenRecord | None) -> McpVaultError | None:
        """Return the error that keeps a failing server, or one that refuses every token, from being asked at once."""
        if record is None or self.insist:
            return None
        now = self.clock()
        if record.trouble is not None and (left := record.trouble.left(now)):
            if record.trouble.reason == brake.HURRIED:
                return None if self.deadline.remaining() >= ENOUGH else self._hurried(left)
            if not record.trouble.refused:
                often = f"{record.trouble.failures} time{'s' * (record.trouble.failures != 1)}"
                trouble = ServerUnavailableError(
                    f"{self.store.server}: no refresh for another {left:.0f} s: it failed {often}, last with "
                    f"{record.trouble.reason}",
                    hint="try again later",
                    server=self.store.server,
                    retry_after=left,
                )
                return self._advised(record, trouble)
            if record.shown == self.proof(record):  # else somebody has mended it
                place = f"{self.store.server}: no token request for another {left:.0f} s"
                refusal = self.refusal(place, record.trouble.reason)
                refusal.retry_after = left
                return self._advised(record, refusal)
        age = now - record.tokens.issued_at if record.tokens else 0.0
        if record.generation == self.rejected and 0 <= age < (pause := brake.pause_after_rejections(record.rejections)):
            return login_needed(
                self.store,
                f"the server refuses a token that was issued {age:.0f} s ago, so another refresh does not help",
                retry_after=pause - age,
            )
        return None
