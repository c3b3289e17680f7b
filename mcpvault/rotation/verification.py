"""
Trying a secret on the live server, at any stage: a token where one is needed, the handshake, ``tools/list``, a tool.

Decides what counts as refused, and what two secrets are compared by. Changes nothing, neither in the vault nor in
the state of a grant.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from mcpvault import carriers
from mcpvault.deadline import Deadline
from mcpvault.errors import (
    AuthorizationFailedError,
    AuthorizationRequiredError,
    ForbiddenError,
    LoginNeededError,
    McpVaultError,
    RequestLostError,
    ServerError,
    ToolError,
)
from mcpvault.mcp.session import Session
from mcpvault.secret import Secret
from mcpvault.state.memory import MemoryState
from mcpvault.token_source import Signed
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.connect import Vault
    from mcpvault.entries import Concrete
    from mcpvault.oauth.dpop import ProofKey
    from mcpvault.stages import Stage
    from mcpvault.state.record import TokenRecord


class Seen(Record):
    """What a secret got to see: the tools, and the scopes that were granted; None where nobody says."""

    tools: tuple[str, ...] | None
    scope: str | None = None

    def lost(self, before: Seen) -> tuple[str, ...]:
        """Return what *before* had and this has not, in words."""
        gone = [f"tool {name!r}" for name in before.tools or () if self.tools is not None and name not in self.tools]
        if before.scope is not None and self.scope is not None:
            gone += [f"scope {name!r}" for name in before.scope.split() if name not in self.scope.split()]
        return tuple(gone)


def refused(error: McpVaultError) -> bool:
    """Tell whether *error* means that the secret is not good, and not that the server could not be asked."""
    return isinstance(error, LoginNeededError | ForbiddenError)


def decided(error: McpVaultError) -> bool:
    """Tell whether *error* is the server's answer to the secret, and not about the moment."""
    return refused(error) or (isinstance(error, ServerError) and not isinstance(error, RequestLostError))


def look(vault: Vault, name: str, stage: Stage, *, deadline: Deadline, probe_tool: str | None = None) -> Seen:
    """
    Use the secret of *stage*, and return what it gets to see.

    Raises:
        LoginNeededError, ForbiddenError: It is refused.
        ToolError: The probe tool says that something is wrong.
        McpVaultError: The server could not be asked.
    """
    entry = vault.resolve(name, stage=stage)
    grant = None
    if entry.oauth is not None and entry.oauth.needs_person:
        grant = vault.authorization(name)
        _prove_client(vault, entry, grant, deadline)
        if not grant.has_grant():
            return Seen(tools=None)  # nobody has logged in on this host
    elif entry.oauth is not None:
        from mcpvault.oauth_entry import entry_of, unsealed

        grant = entry_of(entry, state=MemoryState(), sealing=unsealed(), env=vault.env).authorization
    source = grant.source if grant is not None else None
    transport = carriers.transport(entry, env=vault.env, state=vault.state, tokens=source)
    with closing(Session(transport, name=name, timeout=deadline.remaining() or 0.0)) as session:
        tools = tuple(sorted(tool.name for tool in session.list_tools()))
        if probe_tool is not None and session.call_tool(probe_tool).is_error:
            raise ToolError(f"{name}: the probe tool {probe_tool!r} reports an error", server=name)
    return Seen(tools=tools, scope=grant.tokens().scope if grant is not None else None)


def look_with_tokens(vault: Vault, name: str, held: TokenRecord | None, *, timeout: float) -> Seen:
    """
    Use the tokens of an OAuth entry that are in use, or those of *held*, which nothing refreshes; return what they see.

    Raises:
        LoginNeededError, ForbiddenError: They are refused.
        McpVaultError: The server could not be asked.
    """
    grant, entry = vault.authorization(name), vault.resolve(name)
    source = grant.source if held is None else Held(held, name)
    tokens = held.tokens if held is not None else grant.tokens()
    transport = carriers.transport(entry, env=vault.env, state=vault.state, tokens=source)
    with closing(Session(transport, name=name, timeout=timeout)) as session:
        found = tuple(sorted(tool.name for tool in session.list_tools()))
    return Seen(tools=found, scope=tokens.scope if tokens is not None else None)


class Held:
    """
    A ``TokenSource`` of the access token of one record, which nothing replaces; with proofs where it is bound to a key.

    Raises:
        AuthorizationRequiredError: It is not there, or the key that it is bound to is not: nobody can use it.
    """

    def __init__(self, record: TokenRecord, name: str) -> None:
        assert record.tokens is not None  # noqa: S101  the caller looked
        self._tokens = record.tokens
        if not self._tokens.access_token:
            raise AuthorizationRequiredError(f"{name}: the old access token is kept nowhere", server=name)
        self._key: ProofKey | None = None
        self._nonce: str | None = None
        if self._tokens.token_type == "DPoP":  # noqa: S105  a type
            from mcpvault.oauth.dpop import ProofKey

            if record.dpop_key is None:
                raise AuthorizationRequiredError(f"{name}: the key of the old token is not here", server=name)
            self._key = ProofKey.from_jwk(record.dpop_key)

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Return the token, and a proof for this one request."""
        token, signed = self._tokens.access_token, Signed()
        signed["Authorization"] = Secret(f"{self._tokens.token_type} {token.reveal()}")
        if self._key is not None:
            signed.nonce = self._nonce
            proof = self._key.proof(method=method, url=url, now=time.time(), nonce=self._nonce, access_token=token)
            signed["DPoP"] = Secret(proof)
        return signed

    def rejected(self, sent: Mapping[str, Secret], status: int, headers: Mapping[str, str], deadline: Deadline) -> bool:
        """Let the refusal stand, unless the server wanted another nonce in the proof."""
        return isinstance(sent, Signed) and "DPoP" in sent and self._nonce != sent.nonce

    def answered(self, headers: Mapping[str, str]) -> None:
        """Keep the nonce that the server wants in the next proof."""
        from mcpvault.oauth.dpop import fresh_nonce

        self._nonce = fresh_nonce({name.lower(): value for name, value in headers.items()}) or self._nonce


def _prove_client(vault: Vault, entry: Concrete, grant: EntryAuthorization, deadline: Deadline) -> None:
    """
    Let the client prove itself at the token endpoint, without spending anything.

    A refresh token that does not exist is refused as ``invalid_grant`` by a server that believes the client, and
    nobody's grant is touched (RFC 6749 §5.2).
    """
    from mcpvault.oauth import flows
    from mcpvault.oauth.token_response import error_of, failure
    from mcpvault.oauth.wire import drive, json_object
    from mcpvault.oauth_entry import entry_of, unsealed

    assert entry.oauth is not None  # noqa: S101  the caller looked
    record = grant.store.read()
    ways = entry_of(entry, state=MemoryState(), sealing=unsealed(), env=vault.env).authorization.grants
    server = record.server if record is not None else None
    client = ways.as_client(server or ways.discover(None, deadline).server, None, None)
    form: dict[str, str | Secret] = {"grant_type": "refresh_token", "refresh_token": Secret(secrets.token_urlsafe(32))}
    with ways.reach(deadline) as ask:
        members, headers = flows.authenticate(client, form, now=vault.file.now())
        answer = drive(flows.post(client.server.token_endpoint, members, headers, purpose="client authentication"), ask)
    problem = failure(answer, server_name=entry.name, purpose="client authentication")
    told = error_of(json_object(answer.body) or {})
    if not isinstance(problem, AuthorizationFailedError) or told in ("invalid_client", "unauthorized_client"):
        raise problem
