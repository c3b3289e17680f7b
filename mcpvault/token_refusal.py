"""
What is done when a server refuses an OAuth entry's token: another one is got, or a larger one, or a person is asked.

Decides which, and when there is no use in it. Leaves how to ``remembered`` and ``grants``. Spec: MCP 2026-07-28
"Authorization"; A14, A103–A106.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpvault.errors import (
    AuthorizationFailedError,
    AuthorizationRequiredError,
    InsufficientScopeError,
    ServerError,
)
from mcpvault.oauth import scope as scopes
from mcpvault.quoting import quote

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.deadline import Deadline
    from mcpvault.oauth.challenge import Challenge
    from mcpvault.state.record import TokenRecord
    from mcpvault.token_source import EntryTokens
    from mcpvault.tokens import Registration, TokenSet

PROOF_ERRORS = frozenset({"use_dpop_nonce", "invalid_dpop_proof"})  # RFC 9449 §7.1, §9: no other token would help


class Refusals:
    """
    The refusals that one session meets; each method tells whether the request is worth sending again.

    Args:
        source: What the requests carry.
        authorization: Gets another.
    """

    def __init__(self, source: EntryTokens, authorization: EntryAuthorization) -> None:
        self._source = source
        self._authorization = authorization
        self._settings = authorization.settings
        self._attempts = scopes.Attempts()

    def unauthorized(self, challenge: Challenge | None, generation: int, deadline: Deadline) -> bool:
        """Judge a 401 to the token of *generation* (A14)."""
        remembered, needs_person = self._authorization.remembered, self._settings.needs_person
        record = remembered.read()
        if self._newer(record, generation):
            return True
        failure: AuthorizationRequiredError | AuthorizationFailedError | None = None
        try:
            if not needs_person:
                self._source.hold(remembered.obtained(deadline, seen=challenge, outdated=generation))
                return True
            if record is not None and record.refreshable and generation:
                self._source.hold(remembered.refreshed(deadline, rejected=generation))
                return True
        except (AuthorizationRequiredError, AuthorizationFailedError) as error:
            failure = error
        ask = self._authorization.ask_person
        if needs_person and (asked := ask(challenge, None, deadline, refused=generation)) is not None:
            self._source.hold(asked)
            return True
        from mcpvault.login import login_needed

        why = "the server refuses the token (401)" if generation else "the server wants a login (401)"
        raise failure or login_needed(self._settings.server, None, why)

    def _newer(self, record: TokenRecord | None, generation: int) -> bool:
        """Take over what another thread or process has got since *generation* was sent; tell whether there is any."""
        if record is None or record.tokens is None or record.generation == generation:
            return False
        self._source.hold(record)
        return True

    def forbidden(self, challenge: Challenge | None, generation: int, deadline: Deadline) -> bool:
        """Judge a 403 to the token of *generation* (A103–A106): where its scope is not enough, ask for more."""
        if challenge is None or challenge.error != "insufficient_scope":
            return False
        settings, remembered = self._settings, self._authorization.remembered
        record = remembered.read()
        if self._newer(record, generation):
            return True
        client = record.registration if record is not None and settings.needs_person else None
        if client is not None and (lost := scopes.withheld(challenge.scope, client)):
            raise self._out_of_reach(client, lost)
        tokens = record.tokens if record is not None else None
        before = (tokens.requested_scope or tokens.scope) if tokens else settings.scope
        named = challenge.scope
        if named is None:  # the MCP SDK's servers do not say; what they know of, their metadata may tell
            named = " ".join(remembered.grants.discover(challenge, deadline).scopes_supported or ())
        wanted = scopes.step_up(before, named)
        useful = challenge.scope is not None or {*wanted.split()} > {*(before or "").split()}
        if useful and self._attempts.allow(settings.url, "step up", wanted):
            # What the vault says is the most that a machine asks for: no person is there who could say no.
            if not settings.needs_person and (settings.scope is None or {*wanted.split()} <= {*settings.scope.split()}):
                self._source.hold(remembered.obtained(deadline, outdated=generation, scope=wanted))
                return True
            ask = self._authorization.ask_person
            if settings.needs_person and (asked := ask(challenge, wanted, deadline)) is not None:
                self._source.hold(asked)
                return True
        told = f"asks for {wanted!r}" if useful else f"knows {wanted!r}, and does not say what it wants"
        raise self._not_enough(told, wanted, tokens if {*wanted.split()} <= {*(before or "").split()} else None)

    def _not_enough(self, told: str, wanted: str, tokens: TokenSet | None) -> InsufficientScopeError:
        """Return the error for a server that *told* what it wants, which was asked for already where *tokens* are."""
        from mcpvault.login import in_shell, login_command

        name, person = self._settings.server, self._settings.needs_person
        command = login_command(name, wanted) if person else None
        hint = f"run: {command}" if command else f"run: mcpvault set {name} auth.scope {in_shell(wanted)}"
        if tokens is not None and {*wanted.split()} <= {*(tokens.scope or "").split()}:
            told, command = f"{told}; the token has all of that", None
            hint = "ask who runs the server what it wants"
        elif tokens is not None:
            told = f"{told}; the authorization server was asked, and granted {quote(tokens.scope or '')!r}"
            hint = "ask who runs it" + (f"; if you left some out when you consented, {hint}" if person else "")
        return InsufficientScopeError(
            f"{name}: the token's scope is not enough (403): the server {told}",
            hint=hint,
            server=name,
            login_command=command,
        )

    def _out_of_reach(self, client: Registration, lost: str) -> InsufficientScopeError:
        return InsufficientScopeError(
            f"{self._settings.server}: the token's scope is not enough (403): the server asks for {lost!r}, "
            f"for which {client.issuer} does not register this client",
            hint="ask who runs the authorization server, or register a client there by hand, for auth.client_id",
            server=self._settings.server,
        )


def proof_refused(challenge: Challenge, server: str) -> ServerError:
    """Return the error for a proof that was made for this request, and is not taken."""
    told = challenge.error_description
    return ServerError(
        f"{server}: the server does not take the DPoP proof (401, {challenge.error})"
        + (f": {quote(told)}" if told else ""),
        hint=f"compare the clocks: mcpvault doctor {server}",
        server=server,
    )
