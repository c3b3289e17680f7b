"""
What a person decides about a credential: a login, a logout, that this host may refresh.

Each of them waits for the lock, so that none cuts into a refresh, and none asks the circuit breaker.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from mcpvault.errors import AuthorizationRequiredError, BindingMismatchError, VaultError
from mcpvault.secret import Secret
from mcpvault.state.lifetime import begun
from mcpvault.state.record import TokenRecord
from mcpvault.state.tokens import PATIENCE, TokenStore
from mcpvault.tokens import AuthorizationServer, Registration, TokenSet

LOG = logging.getLogger("mcpvault.state")
BEFORE = "before"  # what a rotation has set aside of a credential: the only grant that can come back


def grant(
    store: TokenStore,
    tokens: TokenSet,
    *,
    server: AuthorizationServer,
    registration: Registration,
    resource: str | None,
    dpop_key: Secret | None = None,
    patience: float = PATIENCE,
) -> TokenRecord:
    """
    Keep what a login was granted; it replaces whatever was there, a dead grant and a damaged file too.

    What a rotation has set aside of the grant that is replaced is brought up to date before: scripts may have refreshed
    it while the person was awaited, and a refresh token that is spent must not come back.

    Raises:
        BusyError: A refresh is going on and does not end within *patience* seconds.
        PermissionsError: It cannot be written.
    """
    with store.exclusive(timeout=patience):
        before = _before(store)
        record = TokenRecord(
            generation=before.generation + 1,
            status="ok",
            host=store.host,
            host_name=store.host_name,
            issuer=server.issuer,
            resource=resource,
            entries=tuple(sorted({*before.entries, store.server})),
            tokens=tokens,
            registration=registration,
            server=server,
            dpop_key=dpop_key,
            lifetime=begun(before.lifetime if before.issuer == server.issuer else None, tokens),
        )
        _set_aside_anew(store.beside(BEFORE), before)
        store.write(record)
    LOG.info("%s: a new grant is kept, generation %d", store.server, record.generation)
    return record


def check_keepable(store: TokenStore, *, patience: float = PATIENCE) -> None:
    """
    See that a grant could be kept now, before anybody registers or consents for one.

    Raises:
        BusyError: A refresh is going on and does not end within *patience* seconds.
        PermissionsError: It could not be written, or there is no room for it.
        BindingMismatchError: It would take the place of another entry's.
    """
    with store.exclusive(timeout=patience), store.room():
        if (kept := _kept(store)) is not None and kept.tokens is not None:
            check_own(store, kept)


def check_own(store: TokenStore, record: TokenRecord) -> None:
    """
    Refuse to end the living grant of another entry, which shares the credential and is for something else.

    Raises:
        BindingMismatchError: *record* is such a grant.
    """
    other = store.difference(record)
    if other is not None and record.entries and store.server not in record.entries and record.status != "dead":
        whose = record.entries[0]
        raise BindingMismatchError(
            f"{store.server}: the grant of its credential {store.credential!r} is that of {whose!r}: for {other}",
            hint=f"run: mcpvault set {store.server} credential {store.server}; or: mcpvault logout {whose}",
            server=store.server,
        )


def remember_client(
    store: TokenStore,
    *,
    server: AuthorizationServer,
    registration: Registration,
    dpop_key: Secret | None = None,
    patience: float = PATIENCE,
) -> None:
    """
    Keep a registration before anybody has logged in with it, so that an abandoned login need not register again.

    Where there is a grant it stays as it is, even one that the entry does not fit, which may be changed back: an
    abandoned login must not cost it. Beside it only the successor of a client is kept that the server has forgotten.

    Raises:
        BusyError: A refresh is going on and does not end within *patience* seconds.
        PermissionsError: It cannot be written.
    """
    with store.exclusive(timeout=patience):
        before, kept = _before(store), _kept(store)
        if kept is None or kept.tokens is None:
            known = before.replaced(
                registration=registration, server=server, issuer=server.issuer, dpop_key=dpop_key or before.dpop_key
            )
            store.write(known.replaced(generation=before.generation + 1))
        elif before.disowned and registration != before.successor:
            store.write(before.replaced(successor=registration, successor_since=int(time.time())))


def withdraw(store: TokenStore, *, patience: float = PATIENCE) -> TokenRecord | None:
    """
    Forget the tokens, keep the client; return the record as it was, so that its tokens can be revoked.

    What the entry does not fit, because it was changed since, is forgotten and returned as well.

    Raises:
        BusyError: A refresh is going on and does not end within *patience* seconds.
        PermissionsError: It cannot be written.
    """
    with store.exclusive(timeout=patience):
        before, kept = store.read(), store.kept()
        if before is not None:
            store.write(_without_grant(before).replaced(generation=before.generation + 1))
            LOG.info("%s: its tokens are forgotten", store.server)
    return kept


def replace_unreadable(store: TokenStore, *, patience: float = PATIENCE) -> None:
    """
    Put an empty record in the place of one that cannot be read; a copy of that is kept.

    Raises:
        BusyError: A refresh is going on and does not end within *patience* seconds.
        PermissionsError: It cannot be written.
    """
    with store.exclusive(timeout=patience):
        try:
            store.read()
        except VaultError:
            store.write(_before(store))


def adopt(store: TokenStore, *, patience: float = PATIENCE) -> TokenRecord:
    """
    Let this host refresh, because the one that did no longer uses the credential.

    Raises:
        AuthorizationRequiredError: There is nothing to adopt.
        BusyError: A refresh is going on and does not end within *patience* seconds.
        PermissionsError: It cannot be written.
    """
    with store.exclusive(timeout=patience):
        before = store.read()
        if before is None or before.tokens is None:
            raise login_needed(store, "nobody has logged in")
        record = before.replaced(host=store.host, host_name=store.host_name)
        if record != before:
            store.write(record)
            LOG.info("%s: adopted from %s", store.server, before.host_name or "another host")
    return record


def login_needed(store: TokenStore, why: str, *, retry_after: float | None = None) -> AuthorizationRequiredError:
    """Return the error that only a person's login mends."""
    command = f"mcpvault login {store.server}"
    return AuthorizationRequiredError(
        f"{store.server}: {why}",
        hint=f"run: {command}",
        server=store.server,
        retry_after=retry_after,
        login_command=command,
    )


def same_login(one: TokenRecord, other: TokenRecord) -> bool:
    """
    Tell whether two records are generations of what a person granted in one login.

    Every login writes down when it was: where neither record says it, there has been none since they were made.
    """
    logins = [each.lifetime.begun if each.lifetime is not None else None for each in (one, other)]
    return logins[0] == logins[1]


def _set_aside_anew(aside: TokenStore, record: TokenRecord) -> None:
    kept = None
    with suppress(VaultError):  # what cannot be read cannot come back
        kept = aside.read()
    if kept is not None and kept.tokens is not None and kept.tokens != record.tokens and same_login(kept, record):
        with aside.exclusive():
            aside.write(record)


def _before(store: TokenStore) -> TokenRecord:
    """Return the record that is about to be replaced; one that cannot be read is kept aside."""
    try:
        return store.read() or TokenRecord(generation=0, status="none", host=store.host)
    except VaultError as error:
        LOG.warning("%s: %s; a copy is kept", store.server, error.message)
    return TokenRecord(generation=store.set_aside(), status="none", host=store.host)


def _kept(store: TokenStore) -> TokenRecord | None:
    with suppress(VaultError):
        return store.kept()
    return None


def _without_grant(record: TokenRecord) -> TokenRecord:
    lifetime = record.lifetime.learned if record.lifetime else None
    return record.replaced(
        registration=record.usable_client(time.time()),
        successor=None,
        status="none",
        tokens=None,
        intent=None,
        answer=None,
        trouble=None,
        rejections=0,
        lifetime=lifetime,
    )
