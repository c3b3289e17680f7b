"""
The token that an OAuth entry's requests carry, and what is done when the server refuses it.

Decides when a token is sent, refreshed, obtained anew, or asked of a person. Leaves how to ``remembered``
and ``grants``. Spec: MCP 2026-07-28 "Authorization"; A14, A103–A106; RFC 9449 §7–9.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from mcpvault.errors import AuthorizationFailedError, AuthorizationRequiredError, InsufficientScopeError
from mcpvault.remembered import SKEW, Remembered
from mcpvault.secret import Secret

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.oauth.challenge import Challenge
    from mcpvault.oauth.scope import Attempts
    from mcpvault.oauth.settings import Settings
    from mcpvault.state.record import TokenRecord
    from mcpvault.tokens import Registration


class AskPerson(Protocol):
    """Lets a person log in; returns None where nobody can be asked, or asking them is of no use."""

    def __call__(
        self, seen: Challenge | None, scope: str | None, deadline: Deadline, *, refused: int = 0
    ) -> TokenRecord | None:
        """Ask for *scope*, because of the challenge *seen* to the token of the generation *refused*."""


class Signed(dict[str, Secret]):
    """The headers of one request, and what their making went by."""

    generation = 0
    nonce: str | None = None


class EntryTokens:
    """
    The ``TokenSource`` of an OAuth entry.

    Args:
        settings: The entry's ``auth``, secrets open.
        remembered: Its grant.
        ask_person: Lets a person log in, where somebody can be asked.
    """

    def __init__(self, settings: Settings, remembered: Remembered, ask_person: AskPerson) -> None:
        self.seen: Challenge | None = None
        self._settings = settings
        self._remembered = remembered
        self._ask_person = ask_person
        self._locks: dict[int, threading.RLock] = {}  # by process: a forked child has its own
        self._held: TokenRecord | None = None
        self._nonce: str | None = None
        self._attempts: Attempts | None = None

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
            key = self._remembered.proof_key(record)
            if key is None:
                raise self._login_needed("the key that the token is bound to is not here")
            signed.nonce = self._nonce
            now = self._remembered.now()
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
            McpVaultError: What getting another token raised.
        """
        from mcpvault.oauth import challenge as challenges

        signed = sent if isinstance(sent, Signed) else Signed()
        if "DPoP" in signed and self._nonce != signed.nonce:
            return True
        challenge = challenges.oauth(headers.get("WWW-Authenticate", ""))
        with self._slowly(deadline):
            if status == 403:
                return self._step_up(challenge, signed.generation, deadline)
            self.seen = challenge
            return self._unauthorized(challenge, signed.generation, deadline)

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
        if self._is_busy() and (known := held or self._remembered.read()) is not None and self._outlasts(known):
            return known
        with self._slowly(deadline):
            record = self._remembered.read()
            if not self._settings.needs_person:
                if record is None or not self._is_fresh(record):
                    record = self._remembered.obtained(deadline)
            elif record is not None and record.status != "none" and not (self._is_fresh(record)):
                record = self._renewed(record, deadline)
            self._held = record
            return record

    def _is_fresh(self, record: TokenRecord) -> bool:
        tokens = record.tokens
        if tokens is None or not tokens.access_token:
            return False
        if tokens.refresh_token is None:
            return tokens.fresh(self._remembered.now(), skew=SKEW)
        if record.status != "ok":
            return False
        from mcpvault.state.record import window_of

        return tokens.fresh(self._remembered.now(), skew=window_of(tokens))

    def _renewed(self, record: TokenRecord, deadline: Deadline) -> TokenRecord | None:
        try:
            return self._remembered.refreshed(deadline)
        except (AuthorizationRequiredError, AuthorizationFailedError):
            if (asked := self._ask_person(None, None, deadline)) is None:
                raise
            return asked

    def _unauthorized(self, challenge: Challenge | None, generation: int, deadline: Deadline) -> bool:
        record = self._remembered.read()
        if self._newer(record, generation):
            return True
        failure: AuthorizationRequiredError | AuthorizationFailedError | None = None
        try:
            if not self._settings.needs_person:
                self._held = self._remembered.obtained(deadline, seen=challenge, outdated=generation)
                return True
            if record is not None and record.refreshable and generation:
                self._held = self._remembered.refreshed(deadline, rejected=generation)
                return True
        except (AuthorizationRequiredError, AuthorizationFailedError) as error:
            failure = error
        asked = self._ask_person(challenge, None, deadline, refused=generation) if self._settings.needs_person else None
        if asked is not None:
            self._held = asked
            return True
        why = "the server refuses the token (401)" if generation else "the server wants a login (401)"
        raise failure or self._login_needed(why)

    def _newer(self, record: TokenRecord | None, generation: int) -> bool:
        """Take over what another thread or process has got since *generation* was sent; tell whether there is any."""
        if record is None or record.tokens is None or record.generation == generation:
            return False
        self._held = record
        return True

    def _step_up(self, challenge: Challenge | None, generation: int, deadline: Deadline) -> bool:
        if challenge is None or challenge.error != "insufficient_scope":
            return False
        from mcpvault.oauth import scope as scopes

        settings = self._settings
        self._attempts = self._attempts or scopes.Attempts()
        record = self._remembered.read()
        if self._newer(record, generation):
            return True
        client = record.registration if record is not None and settings.needs_person else None
        if client is not None and (lost := scopes.withheld(challenge.scope, client)):
            raise self._out_of_reach(client, lost)
        tokens = record.tokens if record is not None else None
        before = (tokens.requested_scope or tokens.scope) if tokens else settings.scope
        named = challenge.scope
        if named is None:  # the MCP SDK's servers do not say; what they know of, their metadata may tell
            named = " ".join(self._remembered.grants.discover(challenge, deadline).scopes_supported or ())
        wanted = scopes.step_up(before, named)
        useful = challenge.scope is not None or {*wanted.split()} > {*(before or "").split()}
        if useful and self._attempts.allow(settings.url, "step up", wanted):
            # What the vault says is the most that a machine asks for: no person is there who could say no.
            if not settings.needs_person and (settings.scope is None or {*wanted.split()} <= {*settings.scope.split()}):
                self._held = self._remembered.obtained(deadline, outdated=generation, scope=wanted)
                return True
            if settings.needs_person and (asked := self._ask_person(challenge, wanted, deadline)) is not None:
                self._held = asked
                return True
        from mcpvault.login import in_shell, login_command

        command = login_command(settings.server, wanted) if settings.needs_person else None
        raise InsufficientScopeError(
            f"{settings.server}: the token's scope is not enough (403): the server "
            + (f"asks for {wanted!r}" if useful else f"knows {wanted!r}, and does not say what it wants"),
            hint=f"run: {command}" if command else f"run: mcpvault set {settings.server} auth.scope {in_shell(wanted)}",
            server=settings.server,
            login_command=command,
        )

    def _out_of_reach(self, client: Registration, lost: str) -> InsufficientScopeError:
        return InsufficientScopeError(
            f"{self._settings.server}: the token's scope is not enough (403): the server asks for {lost!r}, "
            f"for which {client.issuer} does not register this client",
            hint="ask who runs the authorization server, or register a client there by hand, for auth.client_id",
            server=self._settings.server,
        )

    def _login_needed(self, why: str) -> AuthorizationRequiredError:
        from mcpvault.login import login_needed

        return login_needed(self._settings.server, None, why)

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
        return tokens is not None and bool(tokens.access_token) and tokens.fresh(self._remembered.now(), skew=SKEW)
