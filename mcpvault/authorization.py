"""
What a session and the command line ask about an OAuth entry: log in, complete a login, refresh, log out.

Decides nothing of OAuth: ``grants`` has the ways to a grant, ``remembered`` what is kept of it,
``token_source`` what requests carry, ``oauth_entry`` what is at hand before any of this is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mcpvault.deadline import Deadline
from mcpvault.errors import (
    AuthorizationRequiredError,
    BusyError,
    ConfigurationError,
    CredentialRejectedError,
    LoginNeededError,
    McpVaultError,
    PermissionsError,
)

if TYPE_CHECKING:
    from mcpvault.giving_back import Revoked
    from mcpvault.grants import Grant, Grants
    from mcpvault.login import OAuthProvider
    from mcpvault.login_plan import Plan
    from mcpvault.oauth.challenge import Challenge
    from mcpvault.own_page import OwnPage
    from mcpvault.remembered import Remembered
    from mcpvault.secret import Secret
    from mcpvault.state.pending import PendingStore
    from mcpvault.state.record import TokenRecord
    from mcpvault.state.tokens import TokenStore
    from mcpvault.token_source import EntryTokens
    from mcpvault.tokens import Settings, TokenSet

JUST_NOW = 60.0  # seconds


class EntryAuthorization:
    """
    The authorization of one OAuth entry: ``Session.authenticate`` and its like, and the verbs about grants.

    Args:
        settings: The entry's ``auth``, secrets open.
        source: What its requests carry.
        remembered: Its grant.
        waiting: Makes the store of logins that were begun elsewhere.
        env: The environment: which way of logging in fits.
        provider: A caller's own way through a login; with one, a login happens whenever it is needed.
        interactive: ``tty``: a person at a terminal may be asked in the middle of a call.
        remedy: What to do about a missing grant, where it is not a command of ``mcpvault``.
        former: Where its tokens may be from a time when the entry kept them, or None.
    """

    def __init__(
        self,
        settings: Settings,
        source: EntryTokens,
        remembered: Remembered,
        waiting: Callable[[], PendingStore],
        *,
        env: Mapping[str, str],
        provider: OAuthProvider | None = None,
        interactive: str | None = None,
        remedy: str | None = None,
        former: TokenStore | None = None,
    ) -> None:
        self.settings = settings
        self.on_login: Callable[[], None] = lambda: None
        self.source = source
        self.remembered = remembered
        self._waiting = waiting
        self._env = env
        self._provider = provider
        self._interactive = interactive or settings.interactive
        self._remedy = remedy
        self._stores = [remembered.store, *([former] if former is not None else [])]

    @property
    def grants(self) -> Grants:
        """The ways to a grant."""
        return self.remembered.grants

    @property
    def store(self) -> TokenStore:
        """The state of the entry's credential."""
        return self.remembered.store

    def authenticate(self, *, method: str | None, scope: str | None, deadline: Deadline) -> None:
        """Let a person log in, or obtain the machine's own token anew; see ``Session.authenticate``."""
        if self.settings.needs_person:
            self.source.hold(self._log_in(self.source.seen, scope, deadline, method))
        else:
            from mcpvault.state.grants import replace_unreadable

            replace_unreadable(self.store, patience=deadline.remaining())
            self.source.hold(self.remembered.obtained(deadline, scope=scope, insist=True))

    def authorization_url(self, *, redirect_uri: str | None, scope: str | None, deadline: Deadline) -> str:
        """Begin a login that ``complete`` ends, perhaps in another process; see ``Session.authorization_url``."""
        self._check_person()
        self._check_keepable(deadline)
        return self._own_page().begin(redirect_uri, self.source.seen, scope, deadline)

    def complete(self, redirected: Secret, *, deadline: Deadline) -> None:
        """End a login that ``authorization_url`` began; see ``Session.complete_authorization``."""
        self._check_person()
        grant = self._own_page().end(redirected, deadline)
        self.source.hold(self._keep(grant, deadline))

    def has_grant(self) -> bool:
        """Tell whether there are tokens at all, good or not."""
        record = self.remembered.read()
        return record is not None and record.tokens is not None

    def tokens(self) -> TokenSet:
        """
        Return the tokens at hand, without asking anybody.

        Raises:
            AuthorizationRequiredError: There are none.
        """
        return self._tokens_of(self.remembered.read())

    def access_token(self, deadline: Deadline) -> Secret:
        """
        Return an access token that is good now, refreshed or obtained if need be.

        Raises:
            AuthorizationRequiredError: Only a person's login helps.
            ConfigurationError: It would be of no use by itself.
        """
        if self.settings.dpop:
            raise ConfigurationError(
                f"{self.settings.server}: its tokens are bound to a key: each request needs a proof of its own (DPoP)",
                hint="use vault.session(name), or vault.requests_session(name) for another API at that origin",
                server=self.settings.server,
            )
        return self._tokens_of(self.source.current(deadline)).access_token

    def renew(self, *, expiring: float | None, adopt: bool, timeout: float) -> tuple[bool, TokenSet]:
        """
        Refresh now, or only what expires within *expiring* seconds; tell whether that was due, and is done.

        Raises:
            AuthorizationRequiredError: There is nothing to refresh with.
            McpVaultError: The authorization server could not be asked. It was due, and the old token may still work.
        """
        deadline = Deadline(timeout)
        if adopt:
            from mcpvault.state.grants import adopt as adopt_grant

            adopt_grant(self.remembered.store, patience=deadline.remaining())
        before = self.remembered.read()
        held = before.tokens if before is not None else None
        if self.settings.needs_person:
            after = self.remembered.refreshed(deadline, insist=expiring is None, window=expiring)
        elif held is not None and expiring is not None and held.fresh(self.remembered.now(), skew=expiring):
            return False, held
        else:
            after = self.remembered.obtained(deadline, insist=True)
        self.source.hold(after)
        return before is None or before.generation != after.generation, self._tokens_of(after)

    def plan(self, *, scope: str | None, timeout: float) -> Plan:
        """Tell what a login would ask for; only metadata is read. Raises ``McpVaultError``."""
        from mcpvault.login_plan import plan

        return plan(self.settings, self.remembered.grants, self.remembered.known(), scope, Deadline(timeout))

    def due(self, *, expiring: float | None, adopt: bool) -> tuple[bool, TokenSet | None]:
        """
        Tell whether ``renew`` would replace the tokens, and which these are; nobody is asked and nothing is written.

        Raises:
            McpVaultError: What ``renew`` would raise before it asks anybody.
        """
        record = self.remembered.read()
        held = record.tokens if record is not None else None
        if self.settings.needs_person:
            return self.remembered.would_refresh(insist=expiring is None, window=expiring, adopt=adopt), held
        return expiring is None or held is None or not held.fresh(self.remembered.now(), skew=expiring), held

    def keeps_grant(self) -> bool:
        """Tell whether there are tokens that ``logout`` would give back, also those that the entry cannot use now."""
        return any((record := store.kept()) and record.tokens for store in self._stores)

    def unused(self) -> str | None:
        """Tell what the tokens that are kept are for, where the entry cannot use them as it is now; else None."""
        for store in self._stores:
            record = store.kept()
            if record is not None and record.tokens is not None:
                return store.difference(record) or ("a process that keeps it" if store is not self.store else None)
        return None

    def logout(self, *, timeout: float, dry_run: bool = False, regardless: bool = False) -> list[Revoked]:
        """Forget the tokens, then revoke them as well as it goes; see ``giving_back.logout``."""
        from mcpvault.giving_back import logout

        told: list[Revoked] = []
        for store in self._stores:
            told += logout(
                self.settings, self.remembered, store, timeout=timeout, dry_run=dry_run, regardless=regardless
            )
        if not dry_run:
            self.source.hold(None)
        return told

    def give_back(self, record: TokenRecord, *, timeout: float) -> list[Revoked]:
        """Revoke the tokens of *record* at the authorization server that gave them; see ``giving_back``."""
        from mcpvault.giving_back import give_back

        return give_back(self.settings, self.remembered, record, timeout=timeout)

    def advise(self, error: LoginNeededError) -> None:
        """Let *error* say what helps this entry: a login, but not without a person or without a vault."""
        server = self.settings.server
        command = f"mcpvault login {server}"
        if self._remedy is not None:
            if error.hint is None or "mcpvault " in error.hint:
                error.hint, error.login_command = self._remedy, None
        elif isinstance(error, CredentialRejectedError) and self.settings.needs_person:
            error.hint, error.login_command = f"run: {command}", command
        elif isinstance(error, CredentialRejectedError | AuthorizationRequiredError) and not self.settings.needs_person:
            error.hint = f"run: mcpvault refresh {server}; if that does not help, ask who runs the server"
            error.login_command = None

    def _check_person(self) -> None:
        if not self.settings.needs_person:
            raise ConfigurationError(
                f"{self.settings.server}: its kind is {self.settings.kind}: it takes no person's login",
                hint="call session.authenticate(), which obtains its own token",
                server=self.settings.server,
            )

    def _check_keepable(self, deadline: Deadline) -> None:
        from mcpvault.state.grants import check_keepable

        check_keepable(self.store, patience=deadline.remaining())

    def _own_page(self) -> OwnPage:
        from mcpvault.own_page import OwnPage

        return OwnPage(self.settings, self.remembered, self._waiting)

    def _keep(self, grant: Grant, deadline: Deadline) -> TokenRecord:
        """Keep what a person has consented to; what cannot be kept is not left to live on at the server."""
        from mcpvault.giving_back import not_kept

        failure: McpVaultError | None = None
        try:
            return self.remembered.keep(grant, deadline)
        except (BusyError, PermissionsError) as error:
            failure = error
        raise not_kept(self.settings, self.remembered, grant, failure)

    def _tokens_of(self, record: TokenRecord | None) -> TokenSet:
        if record is None or record.tokens is None:
            from mcpvault.login import login_needed

            raise login_needed(self.settings.server, None, "nobody has logged in")
        return record.tokens

    def ask_person(
        self, seen: Challenge | None, scope: str | None, deadline: Deadline, *, refused: int = 0
    ) -> TokenRecord | None:
        """
        Let a person log in; return None where nobody can be asked, or asking them is of no use.

        *seen* is the challenge to the token of the generation *refused*, because of which they are asked for *scope*.
        """
        at_terminal = self._interactive == "tty" and sys.stdin is not None and sys.stdin.isatty()
        if (self._provider is None and not at_terminal) or self._is_hopeless(refused, seen, deadline):
            return None
        return self._log_in(seen, scope, deadline, None)

    def _is_hopeless(self, refused: int, seen: Challenge | None, deadline: Deadline) -> bool:
        """Tell whether the server refuses what it was granted just now: a person would be asked again and again."""
        record = self.remembered.read()
        if record is None or record.tokens is None or record.status != "ok" or record.generation != refused:
            return False
        if not 0 <= self.remembered.now() - record.tokens.issued_at < JUST_NOW:
            return False
        return self.remembered.grants.discover(seen, deadline).server.issuer == record.issuer  # not moved (A61)

    def _log_in(self, seen: Challenge | None, scope: str | None, deadline: Deadline, method: str | None) -> TokenRecord:
        self.on_login()
        self._check_keepable(deadline)
        known = self.remembered.known()
        provider = self._provider
        if method is not None:
            from mcpvault.providers import login_provider

            provider = login_provider(method, self.settings.server)
        if provider is not None:
            from mcpvault.login import Provided

            with self.store.logging_in():
                grant = self.remembered.grants.by_person(Provided(provider), known, seen, scope, deadline)
        else:
            from mcpvault.terminal_login import log_in

            grant = log_in(
                self.remembered.grants, self.settings, known=known, seen=seen, scope=scope, deadline=deadline,
                method=method, env=self._env, announced=self.store.logging_in(),
            )  # fmt: skip
        return self._keep(grant, deadline)
