"""
Where the tokens of a rotation are: in one state folder, that of the host and user who began it.

Decides whether this state has them, so that another host leaves the rotation to the one that can end it; and how a
rotation ends whose host is gone for good. Leaves the steps to ``tokens``.

Spec: SPEC §10.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mcpvault.errors import VaultError
from mcpvault.rotation.ground import Ground
from mcpvault.state.grants import BEFORE, withdraw
from mcpvault.state.host import host_name
from mcpvault.state.journal import plain
from vault_schema import Rotation

if TYPE_CHECKING:
    from mcpvault.authorization import EntryAuthorization
    from mcpvault.state.record import TokenRecord
    from mcpvault.state.tokens import TokenStore

GIVEN_UP = "given-up"  # what is to be revoked: new tokens that did not stay in use


class Elsewhere(NamedTuple):
    """Where the tokens are, and what to do about it."""

    where: str
    hint: str


def begun(on: Ground, rotation: str) -> dict[str, str]:
    """Note the rotation of that id in this state, before anybody else hears of it; return what its journal says."""
    _take_over(on)
    on.vault.state.replace(_mark(on), rotation.encode())
    return {"host": plain(host_name())}


def elsewhere(on: Ground, journal: Rotation) -> Elsewhere | None:
    """Return where the tokens of the rotation are, and what to do, where that is not in this state; None: here."""
    main = on.vault.authorization(on.name)
    if on.vault.state.read(_mark(on)) != journal.id.encode() and not _was_begun_here(on, main, journal):
        host = _host(journal)
        where = f"its tokens are on {host}" + (", in another state folder" if host == plain(host_name()) else "")
        gone = f"mcpvault rotate {on.name} --abort --force"
        return Elsewhere(where, f"run it there: mcpvault rotate {on.name} --resume; if that is gone for good: {gone}")
    record = main.store.read() if main.settings.needs_person else None
    if record is None or record.tokens is None or record.host == main.store.host:
        return None
    where = f"its tokens belong to {record.host_name or 'another host'}"
    return Elsewhere(where, f"run it there; if that no longer uses them: mcpvault refresh {on.name} --adopt")


def abandon(on: Ground, journal: Rotation) -> Rotation:
    """Close a rotation whose tokens nobody will get at again; return its journal, which says what was not revoked."""
    left = _LEFT.get(journal.step, "its old tokens and its new ones were not revoked")
    by = on.entry.auth.issuer or "the authorization server"
    return on.write(journal, "aborted", undo=None, problem=f"{_host(journal)} is gone: {left}: end them at {by}")


def held(store: TokenStore) -> TokenRecord | None:
    """Return the record of *store*, None where it has no tokens."""
    record = store.read()
    return record if record is not None and record.tokens is not None else None


_LEFT = {
    "planned": "its tokens were not revoked",
    "revoked": "its old tokens were revoked, and nobody has seen them refused; its new ones were not revoked",
}


def _host(journal: Rotation) -> str:
    return journal.host or journal.by.rpartition("@")[2]


def _was_begun_here(on: Ground, main: EntryAuthorization, journal: Rotation) -> bool:
    """Take over what an older version began, which left no note: its tokens are here, or nobody has touched any."""
    if journal.host is not None:
        return False
    _take_over(on)
    here = journal.step == "planned" or any(held(main.store.beside(part)) is not None for part in (BEFORE, GIVEN_UP))
    if here:
        begun(on, journal.id)
    return here


def _take_over(on: Ground) -> None:
    """Move what an older version kept under a name that another credential may have; whose it is, the record says."""
    main = on.vault.authorization(on.name).store
    users: dict[str, set[str]] = {}
    for name in on.vault.names():
        users.setdefault(on.vault.entry(name).credential or name, set()).add(name)
    for part in (BEFORE, GIVEN_UP):
        former = main.named(f"{main.credential[: 62 - len(part)]}-{part}")
        try:
            record = held(former)
        except VaultError as error:
            on.remark(f"{former.credential}: what an older version may have kept of it there: {error.message}")
            continue
        of = set(record.entries) if record is not None else set()
        if record is None or not of & users[main.credential] or of & users.get(former.credential, set()):
            continue
        kept = main.beside(part)
        with kept.exclusive():
            if held(kept) is None:
                kept.write(record)
        withdraw(former)


def _mark(on: Ground) -> str:
    return f"rotation-{on.name}.id"
