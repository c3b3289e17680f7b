"""
The authorization server behind an entry: what it can do, how it treats refresh tokens, whether it can be asked.

Leaves what was learned of it to the state, and whether the grant is good to ``entry_checks``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpvault.deadline import Deadline
from mcpvault.errors import McpVaultError
from mcpvault.state.record import Lifetime
from mcpvault.upkeep.findings import Check, Finding, of_error, ok, warn
from vault_schema.fields import OAUTH_KINDS

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.entries import Concrete
    from mcpvault.state.record import TokenRecord
    from mcpvault.tokens import AuthorizationServer

_GRACE = "ask its operator for a grace of 10 s or more, in which a replaced refresh token is still good"


def known(vault: Vault, name: str) -> Check[TokenRecord | None]:
    """Say what the issuer can do and has been seen to do; return what this host knows of the entry's grant."""
    from mcpvault.oauth_entry import sealing_of
    from mcpvault.state.tokens import TokenStore

    entry = vault.entry(name)
    if entry.auth.kind not in OAUTH_KINDS or entry.auth.persist == "none":
        return None
    store = TokenStore(vault.state, entry.credential or name, host="", **sealing_of(vault.file).fields())
    record = store.read()
    if record is not None and record.server is not None:
        yield _able(name, record.server)
        if record.refreshable:
            yield _refreshes(name, record.server.issuer, record.lifetime or Lifetime())
    return record


def _able(name: str, server: AuthorizationServer) -> Finding:
    methods = server.token_endpoint_auth_methods_supported or ()
    can = {
        "revocation": server.revocation_endpoint is not None,
        "registration": server.registration_endpoint is not None,
        "private_key_jwt": "private_key_jwt" in methods,
        "device login": server.device_authorization_endpoint is not None,
        "DPoP": bool(server.dpop_signing_alg_values_supported),
    }
    told = ", ".join(f"{what} {'yes' if able else 'no'}" for what, able in can.items())
    return ok("issuer.capabilities", f"{server.issuer}: {told}", server=name)


def _refreshes(name: str, issuer: str, lifetime: Lifetime) -> Finding:
    """Say what refreshes have shown. Who replaces refresh tokens and forgives nothing, costs a login now and then."""
    if lifetime.forgives is False:
        told = f"{issuer}: replaces refresh tokens, and a lost answer has cost a login here"
        return warn("issuer.refresh", told, _GRACE, server=name)
    if lifetime.rotates is None:
        told = "how it treats refresh tokens is seen at the first refresh"
    elif not lifetime.rotates:
        told = "keeps its refresh tokens, so a lost answer costs nothing"
    elif lifetime.forgives:
        told = "replaces its refresh tokens, and has forgiven a lost answer"
    else:
        told = "replaces its refresh tokens; whether it forgives a lost answer has not been seen"
    return ok("issuer.refresh", f"{issuer}: {told}", server=name)


def issuer_of(vault: Vault, name: str, record: TokenRecord | None) -> str | None:
    """Return the issuer whose metadata are to be had: the grant's, else the one that the entry pins."""
    server = record.server if record is not None else None
    if server is not None:
        return None if server.assumed else server.issuer
    auth = vault.entry(name).auth
    return auth.issuer if auth.kind in OAUTH_KINDS else None


def metadata(vault: Vault, entry: Concrete, issuer: str, record: TokenRecord | None, timeout: float) -> Check[None]:
    """Fetch the issuer's metadata as a login would, without any credential; compare it with what was learned before."""
    from mcpvault.oauth.discovery import metadata_of
    from mcpvault.oauth.wire import drive

    pinned = vault.entry(entry.name).auth.issuer == issuer
    try:
        with vault.authorization(entry.name).grants.reach(Deadline(timeout)) as ask:
            now = drive(metadata_of(issuer, allow_http=entry.allow_http, discovered=not pinned), ask)
    except McpVaultError as error:
        broken = error
    else:
        before = record.server.token_endpoint if record is not None and record.server is not None else None
        if before not in (None, now.token_endpoint):
            told = f"{issuer}: its token endpoint is {now.token_endpoint} now, and refreshes go to {before}"
            yield warn("issuer.metadata", told, f"run: mcpvault login {entry.name}", server=entry.name)
        else:
            yield ok("issuer.metadata", f"{issuer}: its metadata can be had", server=entry.name)
        return
    hint = f"without it nobody can log in; look closer: mcpvault probe {entry.url}"
    yield of_error("issuer.metadata", broken, place=issuer, hint=hint)
