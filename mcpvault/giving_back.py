"""
Giving a grant back: its tokens are forgotten here, and revoked where they came from (RFC 7009).

Decides what may be given back from here, and as whom: each token goes to the issuer that gave it, with the client that
it was given to, whatever the entry says now. Leaves the request to ``mcpvault.oauth``, the file to ``mcpvault.state``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mcpvault.deadline import Deadline
from mcpvault.errors import ConfigurationError, McpVaultError
from mcpvault.oauth.flows import authenticate
from mcpvault.oauth.revocation import revocations
from mcpvault.oauth.wire import drive
from mcpvault.oauth_client import granted_to, is_own
from mcpvault.state.grants import check_own, withdraw
from mcpvault.state.record import TokenRecord
from mcpvault.tokens import Registration
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.grants import Grant
    from mcpvault.oauth.flows import Client
    from mcpvault.remembered import Remembered
    from mcpvault.state.tokens import TokenStore
    from mcpvault.tokens import AuthorizationServer, Settings

KINDS = ("refresh_token", "access_token")
_PATIENCE = 15.0  # seconds


class Revoked(Record):
    """What became of one token at a logout; ``undecided``: its server could not be asked, and may be another time."""

    token: str  # refresh_token, access_token
    outcome: str
    undecided: bool = False


def logout(
    settings: Settings, remembered: Remembered, store: TokenStore, *, timeout: float, dry_run: bool, regardless: bool
) -> list[Revoked]:
    """
    Forget the tokens in *store*, then revoke them as well as it goes; with *regardless* nothing keeps them here.

    Raises:
        BindingMismatchError: They are another entry's, which shares the credential.
        ConfigurationError: They are another host's, or the client cannot prove itself as it is set up.
        BusyError: A refresh is going on and does not end in time.
        PermissionsError: The state cannot be written.
    """
    deadline = Deadline(timeout)
    lent = store.inherited  # the process that forked this one goes on using it
    record = store.kept()
    if record is not None and record.tokens is not None and not regardless:
        _check(settings, remembered, store, record)
    foreign = record is not None and record.host != store.host
    if not dry_run:
        record = withdraw(store, patience=deadline.remaining())
    if record is None or record.tokens is None:
        return []
    if not dry_run:
        remembered.tell("logout", gen=record.generation, durable=True)
    if dry_run or lent or foreign:
        where = "another process uses it" if lent else f"{record.host_name or 'another host'} may use it"
        said = "would be revoked" if not (lent or foreign) else "would be forgotten here" if dry_run else ""
        return [Revoked(name, said or f"forgotten here; {where}") for name in _held(record)]
    return give_back(settings, remembered, record, timeout=deadline.remaining())


def give_back(settings: Settings, remembered: Remembered, record: TokenRecord, *, timeout: float) -> list[Revoked]:
    """Revoke the tokens of *record* at the authorization server that gave them, as well as it goes."""
    outcomes: dict[str, Revoked] = {}
    where = f"; it can be ended at {record.issuer}" if record.issuer else ""
    problem: McpVaultError | None = None
    if record.server is not None and record.tokens is not None:
        try:
            client = _client(settings, remembered, record)
            with remembered.grants.reach(Deadline(timeout)) as ask:
                for each in drive(revocations(client, record.tokens, now=remembered.now()), ask):
                    outcomes[each.token_type_hint] = _outcome(each.token_type_hint, each.error, where)
        except McpVaultError as error:
            problem = error
    if problem is not None:
        return [_outcome(name, problem, where, undecided=True) for name in _held(record)]
    nothing = "forgotten here; the server revokes nothing"
    return [outcomes.get(name) or Revoked(name, f"{nothing}{where}") for name in _held(record)]


def not_kept(settings: Settings, remembered: Remembered, grant: Grant, failure: McpVaultError) -> McpVaultError:
    """
    Return *failure*, to keep *grant*, with what became of that: it is given back unless there is an older one.

    Some issuers end all grants of a client and a person together, and the older one may be good.
    """
    older: TokenRecord | None = None
    with suppress(McpVaultError):
        older = remembered.store.kept()
    said = f"the new grant is left alone, as there is an older one; it can be ended at {grant.server.issuer}"
    if older is None or older.tokens is None:
        record = TokenRecord(
            generation=0, status="none", host="", issuer=grant.server.issuer, resource=grant.resource,
            tokens=grant.tokens, registration=grant.registration, server=grant.server,
        )  # fmt: skip
        told = give_back(settings, remembered, record, timeout=_PATIENCE)
        said = "; ".join(f"{each.token}: {each.outcome}" for each in told)
    failure.message = f"{failure.message}; {said}"
    failure.args = (failure.message,)
    return failure


def _held(record: TokenRecord) -> list[str]:
    return [name for name in KINDS if getattr(record.tokens, name, None)]


def _outcome(name: str, error: McpVaultError | None, where: str, *, undecided: bool = False) -> Revoked:
    if error is None:
        return Revoked(name, "revoked")
    late = undecided or error.exit_code == 4  # try again
    return Revoked(name, f"forgotten here, but not revoked: {error.message}{where}", late)


def _client(settings: Settings, remembered: Remembered, record: TokenRecord) -> Client:
    assert record.server is not None  # noqa: S101  who calls has looked
    return granted_to(settings, record.server, _holder(record, record.server), remembered.proof_key(record))


def _holder(record: TokenRecord, server: AuthorizationServer) -> Registration | None:
    """Return the client that has the tokens; of a machine's only the name is kept."""
    if record.registration is not None or record.client_id is None:
        return record.registration
    return Registration(issuer=server.issuer, client_id=record.client_id, source="preregistered")


def _check(settings: Settings, remembered: Remembered, store: TokenStore, record: TokenRecord) -> None:
    """Refuse what a person can mend first: tokens that are forgotten cannot be revoked any more."""
    server = settings.server
    check_own(store, record)
    if record.host != store.host:
        where = record.host_name or "another host"
        raise ConfigurationError(
            f"{server}: its grant belongs to {where}, which would lose it",
            hint=f"log out there; or, if {where} no longer uses it, run: mcpvault refresh {server} --adopt",
            server=server,
        )
    if record.server is None or record.server.revocation_endpoint is None:
        return
    if not is_own(settings, record.server, _holder(record, record.server)):
        return
    problem: ConfigurationError | None = None
    try:
        authenticate(_client(settings, remembered, record), {}, now=remembered.now())
    except ConfigurationError as error:
        problem = error
    if problem is not None:
        raise ConfigurationError(
            f"{server}: nothing was forgotten: its tokens cannot be revoked as the entry is: {problem.message}",
            hint=f"mend it with mcpvault set {server} …, and log out then; mcpvault remove {server} forgets regardless",
            server=server,
        )
