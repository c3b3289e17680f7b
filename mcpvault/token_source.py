"""
The token that an OAuth entry's requests carry.

Decides when a token is sent as it is, and when it is replaced before. Leaves replacing it to ``remembered``, and what
is done when the server refuses it to ``token_refusal``. Spec: MCP 2026-07-28 "Authorization"; RFC 9449 §7–9.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcpvault.errors import AuthorizationFailedError, AuthorizationRequiredError
from mcpvault.secret import Secret

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.deadline import Deadline
    from mcpvault.oauth.challenge import Challenge
    from mcpvault.state.record import TokenRecord
    from mcpvault.state.tokens import TokenStore
    from mcpvault.token_refusal import Refusals
    from mcpvault.tokens import Settings

SKEW = 10.0  # seconds before its end for which a machine's token is still sent


class Signed(dict[str, Secret]):
    """The headers of one request, and what their making went by."""

    generation = 0
    nonce: str | None = None


class EntryTokens:
    """
    The ``TokenSource`` of an OAuth entry.

    Args:
        settings: The entry's ``auth``, secrets open.
        store: The state of its credential.
        authorization: Returns who gets another token: most runs have a good one, and do not load that.
    """

    def __init__(self, settings: Settings, store: TokenStore, authorization: Callable[[], EntryAuthorization]) -> None:
        self.seen: Challenge | None = None
        self._settings = settings
        self._store = store
        self._authorization = authorization
        self._locks: dict[int, threading.RLock] = {}  # by process: a forked child has its own
        self._held: TokenRecord | None = None
        self._nonce: str | None = None
        self._refusals: Refusals | None = None

    def hold(self, record: TokenRecord | None) -> None:
        """Send the token of *record* from now on."""
        self._held = record

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Return the headers of one request; none where there is no grant, so that the server says what it wants."""
        record = self.current(deadline)
        signed = Signed()
        if record is None or record.tokens is None:
            return signed
        tokens = record.tokens
        signed.generation = record.generation
        signed["Authorization"] = Secret(f"{tokens.token_type} {tokens.access_token.reveal()}")
        if tokens.token_type == "DPoP":  # noqa: S105  a type
            key = self._authorization().remembered.proof_key(record)
            if key is None:
                from mcpvault.login import login_needed

                raise login_needed(self._settings.server, None, "the key that the token is bound to is not here")
            signed.nonce = self._nonce
            now = time.time()
            proof = key.proof(method=method, url=url, now=now, nonce=self._nonce, access_token=tokens.access_token)
            signed["DPoP"] = Secret(proof)
        return signed

    def answered(self, headers: Mapping[str, str]) -> None:
        """Keep the nonce that the server wants in the next proof."""
        from mcpvault.oauth.dpop import fresh_nonce

        self._nonce = fresh_nonce({name.lower(): value for name, value in headers.items()}) or self._nonce

    def rejected(self, sent: Mapping[str, Secret], status: int, headers: Mapping[str, str], deadline: Deadline) -> bool:
        """
        Judge a 401 or 403 (A14, A103); True: the request is worth sending again.

        Raises:
            AuthorizationRequiredError: Only a person's login helps.
            InsufficientScopeError: The grant is good, and not enough.
            ServerError: The token is good, and the proof of its key is not taken.
            McpVaultError: What getting another token raised.
        """
        from mcpvault.oauth import challenge as challenges
        from mcpvault.token_refusal import PROOF_ERRORS, Refusals, proof_refused

        signed = sent if isinstance(sent, Signed) else Signed()
        field = headers.get("WWW-Authenticate", "")
        challenge = challenges.oauth(field, "DPoP" if "DPoP" in signed else "Bearer" if signed else "")
        if "DPoP" in signed and challenge is not None and challenge.error in PROOF_ERRORS:
            # Any answer may bring another nonce (RFC 9449 §8.2): only this error says that it was missed.
            if challenge.error == "use_dpop_nonce" and self._nonce != signed.nonce:
                return True
            raise proof_refused(challenge, self._settings.server)
        with self._slowly(deadline):
            self._refusals = self._refusals or Refusals(self, self._authorization())
            if status == 403:
                return self._refusals.forbidden(challenge, signed.generation, deadline)
            self.seen = challenge
            return self._refusals.unauthorized(challenge, signed.generation, deadline)

    def current(self, deadline: Deadline) -> TokenRecord | None:
        """
        Return the record whose token is good now, replaced if it is due; None where nobody has logged in.

        Raises:
            AuthorizationRequiredError: Only a person's login helps.
            McpVaultError: What replacing it raised.
        """
        held = self._held
        if held is not None and self._is_fresh(held):
            return held
        if self._is_busy() and (known := held or self._store.read()) is not None and self._outlasts(known):
            return known
        with self._slowly(deadline):
            record = self._store.read()
            if not self._settings.needs_person:
                if record is None or not self._is_fresh(record):
                    record = self._authorization().remembered.obtained(deadline)
            elif record is not None and record.status != "none" and not (self._is_fresh(record)):
                record = self._renewed(record, deadline)
            self._held = record
            return record

    def _is_fresh(self, record: TokenRecord) -> bool:
        tokens = record.tokens
        if tokens is None or not tokens.access_token:
            return False
        if tokens.refresh_token is None:
            return tokens.fresh(time.time(), skew=SKEW)
        if record.status != "ok":
            return False
        from mcpvault.state.record import window_of

        return tokens.fresh(time.time(), skew=window_of(tokens))

    def _renewed(self, record: TokenRecord, deadline: Deadline) -> TokenRecord | None:
        authorization = self._authorization()
        try:
            return authorization.remembered.refreshed(deadline)
        except (AuthorizationRequiredError, AuthorizationFailedError):
            if (asked := authorization.ask_person(None, None, deadline)) is None:
                raise
            return asked

    @property
    def _lock(self) -> threading.RLock:
        return self._locks.setdefault(os.getpid(), threading.RLock())

    @contextmanager
    def _slowly(self, deadline: Deadline) -> Iterator[None]:
        """Let one thread at a time replace the token, the others wait as long as they have time."""
        server = self._settings.server
        with deadline.holding(self._lock, f"{server}: its token", server=server):
            yield

    def _is_busy(self) -> bool:
        """Tell whether another thread is replacing the token."""
        if free := self._lock.acquire(blocking=False):
            self._lock.release()
        return not free

    def _outlasts(self, record: TokenRecord) -> bool:
        """Tell whether the token works long enough to be sent while another thread replaces it."""
        tokens = record.tokens
        return tokens is not None and bool(tokens.access_token) and tokens.fresh(time.time(), skew=SKEW)
