"""
The refresh of a rotating token: never redeemed by two processes, and never again after its answer was seen.

Under the lock of the credential the intent is made durable, then the token is redeemed, then the answer is made
durable and only then read, and the new generation is made durable before it is used. Whatever interrupts this, the
next run finds in the record what is known, says who, where and when, and does the one sensible thing:

====================================  =============================================================
what the record says                  what is done
====================================  =============================================================
an answer that nobody has read        it is read; nothing is sent
a redemption without an answer        while the old access token lives, it is used; otherwise, or at
                                      once when the redemption is younger than ten seconds, the same
                                      token is redeemed once more
an answer that nobody can read        the same, and never once more while the old access token lives
two of these in a row                 dead: a person logs in
the grant of another host             nothing is sent: a person logs in, or adopts it
a copy, made by a fork, of what is    nothing is sent: the process that forked this one redeems it,
in a process's memory alone           and this one logs in for itself
====================================  =============================================================

Decides exactly this. Leaves one redemption to ``redemption``, and waiting for others to ``flight``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpvault.deadline import Deadline
from mcpvault.errors import LoginNeededError, McpVaultError, RemoteProtocolError, ServerUnavailableError, TransportError
from mcpvault.state import brake
from mcpvault.state.flight import LOG, Flight
from mcpvault.state.grants import login_needed
from mcpvault.state.interrupts import interrupts_held
from mcpvault.state.lifetime import refreshed, refused
from mcpvault.state.record import GIVEN_UP, NO_CLIENT, TokenRecord
from mcpvault.state.redemption import Exchange, redeem
from mcpvault.state.tokens import TokenStore

if TYPE_CHECKING:
    from mcpvault.state.journal import Intent

LOGIN_AFTER_FORK = 'log in after the fork, or keep the tokens on disk: in a vault, with persist "refresh" or "all"'
_MANY = 5  # failures in a row; fewer are an outage
_HUNG = 30.0  # seconds; a server that let a redemption time out is left alone for so long


def current(store: TokenStore, exchange: Exchange, **how: Any) -> TokenRecord:
    """
    Return the record whose access token is to be sent, refreshed if it was due.

    Args:
        store: Of the credential.
        exchange: Sends and reads.
        how: As ``Flight``: deadline, clock, rejected, window, insist, patience.

    Raises:
        McpVaultError: As ``Flight.run``.
    """
    return Refresh(store, exchange, **how).run()


class Refresh(Flight):
    """The flight of a credential whose grant is a refresh token."""

    def __init__(self, store: TokenStore, exchange: Exchange, **how: Any) -> None:
        super().__init__(store, **how)
        self.exchange = exchange

    def obstacle(self, record: TokenRecord | None) -> McpVaultError | None:
        """Return why this refresh token is not to be redeemed here, or None."""
        return obstacle(self.store, record)

    def foreseen(self, record: TokenRecord | None) -> bool:
        """Tell whether ``run`` would redeem the token of *record*; raise what it would raise. Nothing is written."""
        self._outdated = record.generation if record and self.insist else None
        if self._settled(record) is not None:
            return False
        if record is not None and record.facts("").exhausted(self.store.host_name, self.clock()):
            raise login_needed(self.store, _epitaph(record, "lost"))
        return True

    def renew(self, record: TokenRecord | None) -> TokenRecord:
        """Do what the table above says."""
        if record is None:
            raise login_needed(self.store, "nobody has logged in")
        intent = record.intent
        if record.answer is not None and record.status == "refreshing":
            who = intent.story() if intent else "another process"
            LOG.warning("%s: found the answer to a refresh that %s had no time to read", self.store.server, who)
            record = self._concluded(record)
            # Found late, its access token may have ended meanwhile.
            return self._settled(record) or self._redeemed(record, again=record.status != "ok")
        if intent is None or record.status not in ("refreshing", "ambiguous"):
            return self._redeemed(record, again=False)
        if record.status == "refreshing":
            LOG.warning(
                "%s: the refresh begun by %s was cut short; whether its token %s is spent is unknown",
                *(self.store.server, intent.story(), intent.token),
            )
            record = record.replaced(status="ambiguous", intent=intent.replaced(ended="died"))
            self.store.write(record)
        if intent.is_last:
            raise self._died(record, "lost")
        return self._settled(record) or self._redeemed(record, again=True)

    def _settled(self, record: TokenRecord | None) -> TokenRecord | None:
        settled = super()._settled(record)
        if settled is None and record and record.status == "ambiguous" and not self.insist:
            young = record.intent is not None and record.intent.young(self.clock())
            if not young and self._usable(record):
                if self.window is not None:
                    raise self._pending(record)
                return record
        return settled

    def _pending(self, record: TokenRecord) -> McpVaultError:
        """Return what to tell who wants more than the token at hand, of a redemption that nobody knows the end of."""
        intent = record.intent
        if intent is None or intent.is_last:
            return login_needed(self.store, _epitaph(record, "lost"))
        left = None if record.expires_at is None else record.expires_at - self.clock()
        when = "is refused" if left is None else f"ends, in {left:.0f} s"
        return ServerUnavailableError(
            f"{self.store.server}: nobody knows how the refresh by {intent.story()} ended: its token is tried once "
            f"more when the access token {when}",
            hint=f"try again then; or at once, with: mcpvault refresh {self.store.server}",
            server=self.store.server,
            retry_after=left,
        )

    def _redeemed(self, record: TokenRecord, *, again: bool, deadline: Deadline | None = None) -> TokenRecord:
        with interrupts_held():
            outcome = self._once(record, again=again, deadline=deadline or self.deadline)
        # At once means within the server's grace, which does not wait for the next caller: this one's time may be over.
        return outcome if outcome.status == "ok" else self._redeemed(outcome, again=True, deadline=Deadline(None))

    def _once(self, record: TokenRecord, *, again: bool, deadline: Deadline) -> TokenRecord:
        """Redeem the token, and write down what came of it; ambiguous: it is to be redeemed at once once more."""
        more = ", with the same token once more" if again else ""
        LOG.info("%s: refreshing generation %d%s", self.store.server, record.generation, more)
        how: Any = {"again": again, "clock": self.clock, "deadline": deadline}
        redeemed = redeem(self.store, record, self.exchange, **how)
        if redeemed.failure is None:
            return self._concluded(redeemed.record, before=record.intent if again else None)
        if self.exchange.was_sent(redeemed.failure):
            LOG.warning("%s: the answer to the refresh was lost: %s", self.store.server, self._said(redeemed.failure))
            return self._unknown(redeemed.record, redeemed.failure, "lost", at_once=True)
        if isinstance(redeemed.failure, TransportError) and not deadline.expired():
            raise self._failed(record, redeemed.failure)
        self.store.write(record)  # nothing was sent, and it is no trouble of the server's
        raise redeemed.failure

    def _unknown(self, record: TokenRecord, failure: McpVaultError, reason: str, *, at_once: bool) -> TokenRecord:
        """Act on a redemption after which nobody knows whether its token is spent."""
        intent, now = record.intent, self.clock()
        if intent is None or intent.is_last:
            raise self._died(record, reason)
        record = record.replaced(status="ambiguous", intent=intent.replaced(ended=failure.kind))
        if at_once and intent.young(now):  # whoever waits goes on waiting: there is no trouble yet
            self.store.write(record)
            return record
        trouble = brake.after(record.trouble, reason=failure.kind, now=now, least=_HUNG)
        self.store.write(record.replaced(trouble=trouble))
        raise failure

    def _concluded(self, record: TokenRecord, *, before: Intent | None = None) -> TokenRecord:
        """
        Read the answer that *record* holds, and write down what follows from it.

        *before* is the redemption before that one, of the same token, whose answer nobody saw; as far as it is known.
        """
        answer, old = record.answer, record.tokens
        if answer is None or old is None:
            raise TypeError("there is no answer to read")
        failure = None
        try:
            tokens = self.exchange.read(answer, record)
        except McpVaultError as error:
            failure = error
        if isinstance(failure, RemoteProtocolError) and 200 <= answer.status < 300:
            LOG.warning("%s: the answer to the refresh cannot be read: %s", self.store.server, self._said(failure))
            # What calls itself JSON came from the endpoint, which has taken the token; a page may be a gateway's.
            taken = "json" in answer.headers.get("content-type", "") and not self._usable(record)
            return self._unknown(record, failure, "unreadable", at_once=taken)
        if failure is not None:
            if isinstance(failure, RemoteProtocolError | TransportError) or getattr(failure, "error", None) is not None:
                failure = self._refused(record, failure, before)
            raise failure  # any other tells nothing about the answer, which stays to be read
        renewed = record.replaced(
            generation=record.generation + 1,
            status="ok",
            # "The authorization server MAY issue a new refresh token" -- RFC 6749 §6; else the old one stays.
            tokens=tokens if tokens.refresh_token else tokens.replaced(refresh_token=old.refresh_token),
            rejections=record.rejections + 1 if self.rejected == record.generation else 0,
            intent=None,
            trouble=None,
            lifetime=refreshed(record.lifetime, old, tokens, again=bool(record.intent and record.intent.attempts > 1)),
            answer=None,
            shown=None,
        )
        self.store.write(renewed)
        LOG.info("%s: refreshed: generation %d", self.store.server, renewed.generation)
        return renewed

    def _refused(self, record: TokenRecord, failure: McpVaultError, before: Intent | None) -> McpVaultError:
        """Act on an answer that grants nothing: only ``invalid_grant`` ends a grant."""
        if getattr(failure, "error", None) == "invalid_grant":
            LOG.warning("%s", failure.message)
            lifetime = refused(record.lifetime, record.tokens, record.intent, self.clock())
            return self._died(record.replaced(answer=None, lifetime=lifetime), "invalid_grant")
        # The server did not take the token: what was known before still holds.
        intent = record.intent
        known = before or (intent.replaced(attempts=intent.attempts - 1) if intent and intent.attempts > 1 else None)
        return self._failed(record.replaced(status="ambiguous" if known else "ok", intent=known, answer=None), failure)

    def _failed(self, record: TokenRecord, failure: McpVaultError) -> McpVaultError:
        """Keep everything, let nobody try for a while; return what to raise."""
        record = self._troubled(record, failure)
        self.store.write(record)
        return self._advised(record, failure)

    def _advised(self, record: TokenRecord, refusal: McpVaultError) -> McpVaultError:
        """Name the login where nothing else helps."""
        command = f"mcpvault login {self.store.server}"
        if record.disowned:
            refusal.login_command = command
            refusal.hint = f"the server has forgotten its client; to register another, run: {command}"
        elif isinstance(refusal, LoginNeededError) and getattr(refusal, "error", None) not in NO_CLIENT:
            refusal.hint, refusal.login_command = refusal.hint or f"run: {command}", command
        elif isinstance(refusal, TransportError) and record.trouble and record.trouble.failures >= _MANY:
            gone = f"if {record.issuer or 'the authorization server'} is gone for good, run: {command}"
            refusal.hint = f"{refusal.hint}; {gone}" if refusal.hint else gone
        return refusal

    def _died(self, record: TokenRecord, reason: str) -> McpVaultError:
        """Mark the grant dead, of which nothing is deleted; return what to raise."""
        now = self.clock()
        dead = record.replaced(
            status="dead", trouble=brake.after(record.trouble, reason=reason, now=now).replaced(until=int(now))
        )
        self.store.write(dead)
        LOG.warning("%s: %s", self.store.server, _epitaph(dead))
        return login_needed(self.store, _epitaph(dead))


def obstacle(store: TokenStore, record: TokenRecord | None) -> McpVaultError | None:
    """Return why this refresh token is not to be redeemed here, or None."""
    if record is not None and record.status == "dead":
        return login_needed(store, _epitaph(record))
    if record is None or record.tokens is None:
        return login_needed(store, "nobody has logged in")
    if store.inherited:
        error = login_needed(
            store,
            "its access token has ended or is refused, and the tokens are in the memory of the process that forked "
            "this one: two processes that redeem one refresh token lose it",
        )
        error.hint, error.login_command = LOGIN_AFTER_FORK, None
        return error
    if record.host != store.host:
        where = record.host_name or "another host"
        error = login_needed(store, f"its grant belongs to {where}; two hosts cannot share a refresh token")
        error.hint = f"{error.hint}; or, if {where} no longer uses it, run: mcpvault refresh {store.server} --adopt"
        return error
    if not record.refreshable:
        return login_needed(store, "there is no refresh token, so another access token takes a login")
    return None


def _epitaph(record: TokenRecord, reason: str | None = None) -> str:
    """Return why a grant is dead: who, where and when, as far as that is known."""
    reason = reason or (record.trouble.reason if record.trouble else "unknown")
    intent = record.intent
    if reason == GIVEN_UP:
        return "its grant was sealed under a vault key that others may know, and is not used any more"
    if intent is None:
        return f"its grant has ended ({reason})"
    if reason == "lost":
        return f"two answers in a row were lost: to the refresh by {intent.lost}, and to that by {intent.story()}"
    if reason == "invalid_grant" and intent.lost:
        return (
            "its refresh token is no longer accepted (invalid_grant): it was probably spent by "
            f"{intent.lost}, and the answer to that was lost"
        )
    if reason == "unreadable":
        return (
            f"two answers in a row were lost or cannot be read: to the refresh by {intent.lost}, "
            f"and to that by {intent.story()}"
        )
    return f"its refresh token is no longer accepted ({reason})"
