"""
What is remembered of one entry's grant, and how it is replaced: refreshed, obtained anew, or granted by a person.

Decides what goes from a grant into the state and back. Leaves the protocol of the state to ``mcpvault.state``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mcpvault.errors import AuthorizationFailedError, BusyError, McpVaultError, PermissionsError, VaultError
from mcpvault.secret import Secret
from mcpvault.state.record import TokenRecord
from mcpvault.tokens import AuthorizationServer

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.grants import Grant, Grants, Known
    from mcpvault.oauth.authorization import Pending
    from mcpvault.oauth.challenge import Challenge
    from mcpvault.oauth.dpop import ProofKey
    from mcpvault.oauth.flows import Client
    from mcpvault.state.redemption import Exchange
    from mcpvault.state.tokens import TokenStore


class Remembered:
    """
    The grant of one entry, in the state that its credential names.

    Args:
        store: The state of the credential.
        ways: Makes the ways to a grant, when one is needed: most runs have a token.
        now: Unix seconds.
        tell: Writes an event down: its name, then ``secrets``, ``gen``, ``ok``, ``why``.
        others: Yields ways with another proof of the client, for when its own is refused; may wait for one.
    """

    def __init__(
        self,
        store: TokenStore,
        ways: Callable[[], Grants],
        now: Callable[[], float] = time.time,
        tell: Callable[..., None] | None = None,
        others: Callable[[Deadline], Iterator[Grants]] = lambda _: iter(()),
    ) -> None:
        self.store = store
        self._others = others
        self.now = now
        self.tell = tell or _nobody_is_told
        self._ways = ways
        self._key: tuple[Secret, ProofKey] | None = None

    @cached_property
    def grants(self) -> Grants:
        """The ways to a grant."""
        return self._ways()

    def read(self) -> TokenRecord | None:
        """Return what is known; see ``TokenStore.read``."""
        return self.store.read()

    def known(self) -> Known:
        """Return what the next grant need not find out again."""
        from mcpvault.grants import Known

        record = None
        with suppress(VaultError):  # a login replaces what cannot be read
            record = self.store.read()
        if record is None:
            return Known()
        return Known(
            server=record.server,
            registration=record.usable_client(self.now()),
            resource=record.resource,
            requested_scope=record.tokens.requested_scope if record.tokens else None,
            proof_key=self.proof_key(record),
        )

    def keep(self, grant: Grant, deadline: Deadline) -> TokenRecord:
        """Keep what a person was granted; see ``mcpvault.state.grants.grant``."""
        from mcpvault.state import grants as kept

        assert grant.registration is not None  # noqa: S101  a person's client is registered
        record = kept.grant(
            self.store,
            grant.tokens,
            server=grant.server,
            registration=grant.registration.kept,
            resource=grant.resource,
            dpop_key=grant.proof_key.jwk() if grant.proof_key else None,
            patience=deadline.remaining(),
        )
        self._told("login", record)
        return record

    def refreshed(
        self, deadline: Deadline, *, rejected: int | None = None, insist: bool = False, window: float | None = None
    ) -> TokenRecord:
        """
        Return a record whose token is to be sent, refreshed if it is due; see ``mcpvault.state.refresh``.

        Args:
            deadline: For waiting.
            rejected: The generation that the server has just refused, or None.
            insist: Refresh however fresh the token is.
            window: Refresh what ends within this many seconds.
        """
        from mcpvault.state.refresh import current

        sent: list[int] = []
        found: list[AuthorizationServer] = []
        how = {**self._how(deadline), "rejected": rejected, "window": window, "insist": insist}
        record = self._telling("refresh", sent, lambda: current(self.store, self._exchange(sent, found), **how))
        return self._now_at(found[-1], record, deadline) if found and sent else record

    def would_refresh(self, *, insist: bool, window: float | None, adopt: bool) -> bool:
        """Tell whether ``refreshed`` would ask for other tokens now; raise what it would raise. Nothing is sent."""
        from mcpvault.deadline import Deadline
        from mcpvault.state.refresh import Refresh

        record = self.read()
        here = record.replaced(host=self.store.host) if record is not None and adopt else record
        how = {**self._how(Deadline(None)), "window": window, "insist": insist}
        return Refresh(self.store, self._exchange([], []), **how).foreseen(here)

    def _exchange(self, sent: list[int], found: list[AuthorizationServer]) -> Exchange:
        """Return the exchange of a refresh; it tells what it has *sent*, and the server that it *found* elsewhere."""
        from mcpvault.refresh_exchange import exchange_of

        def moved(client: Client, within: Deadline) -> Client | None:
            if (server := self.grants.elsewhere(client.server, within)) is None:
                return None
            found.append(server)
            return client.replaced(server=server)

        return exchange_of(
            self._clients_of,
            self.grants.reach,
            server=self.store.server,
            moved=moved,
            now=self.now,
            on_redeem=sent.append,
        )

    def _how(self, deadline: Deadline) -> dict[str, Any]:
        """Return what every ``Flight`` of this entry is given."""

        def refusal(place: str, code: str) -> McpVaultError:
            from mcpvault.oauth.token_response import refused

            return refused(place, code, server_name=self.store.server)

        def proof(record: TokenRecord) -> str:
            return self.grants.proof(record.registration)

        return {"deadline": deadline, "clock": self.now, "proof": proof, "refusal": refusal}

    def _now_at(self, server: AuthorizationServer, renewed: TokenRecord, deadline: Deadline) -> TokenRecord:
        """Keep where the token endpoint is now; what is not kept is found again."""
        with suppress(BusyError, PermissionsError), self.store.exclusive(timeout=min(1.0, deadline.remaining())):
            record = self.store.read()
            if record is not None and record.generation == renewed.generation and record.issuer == server.issuer:
                renewed = record.replaced(server=server)
                self.store.write(renewed)
        return renewed

    def obtained(
        self,
        deadline: Deadline,
        *,
        seen: Challenge | None = None,
        outdated: int | None = None,
        scope: str | None = None,
        insist: bool = False,
    ) -> TokenRecord:
        """
        Return a token in the entry's own name: one process obtains it, the others wait for it and use it.

        Args:
            deadline: For all of it.
            seen: The challenge that asks for another token, or None.
            outdated: The generation that is no longer good, or None.
            scope: What to ask for instead of the usual.
            insist: A person wants a new one now.
        """
        from mcpvault.obtained import machines
        from mcpvault.state.obtain import obtain

        asked: list[int] = []

        def fetch(record: TokenRecord | None, within: Deadline) -> TokenRecord:
            asked.append(record.generation if record else 0)
            grant = self._believed(lambda ways: ways.by_machine(self.known(), seen, scope, within), within)
            return machines(self.store, record, grant, self.grants.settings)

        insist = insist or scope is not None
        how = {**self._how(deadline), "rejected": outdated, "insist": insist}
        return self._telling("obtain", asked, lambda: obtain(self.store, fetch, **how))

    def _believed(self, ask: Callable[[Grants], Grant], deadline: Deadline) -> Grant:
        """Ask, and once more with each other proof where the authorization server does not believe the client."""
        refusal: AuthorizationFailedError | None = None
        try:
            return ask(self.grants)
        except AuthorizationFailedError as error:
            refusal = error
        for ways in self._others(deadline) if refusal.error == "invalid_client" else ():
            try:
                return ask(ways)
            except AuthorizationFailedError as error:
                refusal = error
        raise refusal

    def _clients_of(self, record: TokenRecord, deadline: Deadline) -> Iterator[Client]:
        """Yield the client that the tokens were issued to, then itself with each other proof."""
        yield self.client_of(record)
        for ways in self._others(deadline):
            if record.server is not None:
                yield ways.as_client(record.server, record.registration, self.proof_key(record))

    def _telling(self, event: str, asked: list[int], act: Callable[[], TokenRecord]) -> TokenRecord:
        """Do it, and write it down where it was this process that asked."""
        failure: McpVaultError | None = None
        try:
            record = act()
        except McpVaultError as error:
            failure = error
        except BaseException:  # an interrupt waits until the tokens are kept: these are to be told of
            kept = self.store.read() if asked else None
            if kept is not None and kept.generation > asked[-1]:
                self._told(event, kept)
            raise
        if failure is not None:
            if asked:
                self.tell(event, gen=asked[-1], ok=False, why=getattr(failure, "error", None) or failure.kind)
            raise failure
        if asked and record.generation > asked[-1]:
            self._told(event, record)
        elif asked:
            self.tell(event, gen=asked[-1], ok=False, why="kept")  # it failed, and the token at hand still works
        return record

    def _told(self, event: str, record: TokenRecord) -> None:
        secrets = {"access_token": record.tokens.access_token} if record.tokens else {}
        self.tell(event, secrets=secrets, gen=record.generation, durable=True)

    def client_of(self, record: TokenRecord) -> Client:
        """
        Return the client that the tokens of *record* were issued to.

        Raises:
            AuthorizationRequiredError: The record does not say.
        """
        if record.server is None:
            from mcpvault.login import login_needed

            raise login_needed(self.store.server, None, "nobody has logged in")
        return self.grants.as_client(record.server, record.registration, self.proof_key(record))

    def proof_key(self, record: TokenRecord) -> ProofKey | None:
        """Return the key that the tokens of *record* are bound to, or None."""
        if record.dpop_key is None:
            return None
        if self._key is None or self._key[0] != record.dpop_key:
            from mcpvault.oauth.dpop import ProofKey

            self._key = (record.dpop_key, ProofKey.from_jwk(record.dpop_key))
        return self._key[1]

    def begun(self, told: Secret, *, origin: str) -> tuple[Pending, Client] | None:
        """
        Return what a login was begun with, from what ``as_begun`` has made of it.

        None if it was begun for another origin than the entry's, which may have been changed since.

        Raises:
            AuthorizationFailedError: The entry names another issuer, client or resource since.
        """
        from mcpvault.begun import read_begun

        began_for, pending, server, registered, jwk = read_begun(told)
        if began_for != origin:
            return None
        begun_for = TokenRecord(
            generation=0, status="none", host="", issuer=pending.issuer, resource=pending.resource,
            registration=registered,
        )  # fmt: skip
        if (other := self.store.difference(begun_for)) is not None:
            raise AuthorizationFailedError(
                f"{self.store.server}: the login was begun for {other}, and its entry says otherwise now",
                hint="begin again",
                server=self.store.server,
            )
        key = None
        if jwk is not None:
            from mcpvault.oauth.dpop import ProofKey

            key = ProofKey.from_jwk(jwk)
        return pending, self.grants.as_client(server, registered, key)


def _nobody_is_told(event: str, **_: object) -> None:
    return None
