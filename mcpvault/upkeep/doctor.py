"""
The whole examination, from the outside in: host, file, key, vault, state, each server.

Decides the order, and what can still be looked at when something before it failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mcpvault.errors import McpVaultError
from mcpvault.host_state import state_of
from mcpvault.places import locate
from mcpvault.upkeep import entry_checks, exposure_checks, host_checks, issuer_checks, vault_checks
from mcpvault.upkeep.findings import Check, Finding, guarded, of_error, warn
from mcpvault.vault.documents import entry_of
from vault_schema import looks_secret

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.places import Places
    from mcpvault.secret import Secret
    from vault_schema import Document


def examine(
    path: str | Path | None = None,
    *,
    env: Mapping[str, str],
    prompt: Callable[[str], Secret] | None = None,
    names: Sequence[str] = (),
    offline: bool = False,
    timeout: float = 5.0,
    shows_secret: Callable[[str], bool] = looks_secret,
    in_arguments: exposure_checks.InArguments = lambda _: (),
    now: Callable[[], float] = time.time,
) -> Iterator[Finding]:
    """
    Yield what is found, good and bad; nothing is raised and nothing secret is said.

    Args:
        path: The vault file; by default the one that *env* leads to.
        env: The environment.
        prompt: Asks a person for a passphrase; None asks nobody.
        names: The servers to look at; none of them means all.
        offline: Send no request.
        timeout: Seconds that one server may take to answer.
        shows_secret: Tells whether a text that stands in clear looks like a secret.
        in_arguments: Yields index and name of each argument of a command that holds a secret.
        now: The clock, Unix seconds.
    """
    yield from guarded("versions", host_checks.versions())
    yield from guarded("environment", host_checks.environment(env))
    yield from guarded("environment.netrc", exposure_checks.netrc(env))
    yield from guarded("host.memory", exposure_checks.memory())
    try:
        places = locate(env, path)
    except McpVaultError as error:
        yield of_error("places", error, hint="name an absolute path")
        return
    document, vault = yield from _vault(places, env, prompt)
    if document is None:
        return
    wanted = names or document.server_names
    known = [name for name in wanted if name in document.server_names]
    for name in wanted:
        yield from guarded("entry.name", _named(document, name))
    state = state_of(places, document)
    waiting = set()  # for a person
    for name in known:
        place = f"servers.{name}"
        yield from guarded("entry", entry_checks.stated(document, name, env), place=place)
        literals = exposure_checks.literals(document, name, shows_secret, in_arguments)
        yield from guarded("entry.literal", literals, place=place)
        arguments = exposure_checks.arguments(document, name, env, shows_secret)
        yield from guarded("entry.argument", arguments, place=place)
        yield from guarded("entry", entry_checks.dated(document, name, now()), place=place)
        granted = yield from guarded("entry.grant", entry_checks.granted(document, name, state, now()), place=place)
        if granted is False:
            waiting.add(name)
    if vault is None:
        what = f"{places.vault_path}: references and servers were not tried, because the vault did not open"
        if known:
            yield warn("entries", what, "mend what is named above, then run: mcpvault doctor")
        return
    yield from _servers(vault, known, waiting, timeout=None if offline else timeout)


def _vault(
    places: Places, env: Mapping[str, str], prompt: Callable[[str], Secret] | None
) -> Check[tuple[Document | None, Vault | None]]:
    path = places.vault_path
    document = yield from guarded("vault.file", vault_checks.readable(path), place=str(path))
    yield from guarded("vault.permissions", vault_checks.privacy(path), place=str(path))
    yield from guarded("vault.leftovers", vault_checks.traces(path), place=str(path))
    yield from guarded("vault.git", vault_checks.in_git(path, env), place=str(path))
    if document is None:
        yield from guarded("state.folder", host_checks.state_home(places.state_home), place=str(places.state_home))
        return None, None
    vault = None
    key = yield from guarded("key.source", vault_checks.key(document, places, env, prompt), place=str(path))
    if key is not None:
        vault = yield from guarded("vault.open", vault_checks.opens(path, env, key), place=str(path))
    if vault is not None:
        yield from guarded("vault.previous", vault_checks.generation(vault), place=str(path))
    own = vault.file.slot.id if vault is not None else None
    yield from guarded("slots", vault_checks.ways_in(document, own))
    yield from guarded("slots.kdf", exposure_checks.derivation(document))
    state = state_of(places, document)
    yield from guarded("state.folder", host_checks.state_folder(state), place=str(state.path))
    if vault is not None:
        yield from guarded("audit.log", exposure_checks.log(vault), place=str(state.path))
    return document, vault


def _servers(
    vault: Vault, names: Sequence[str], waiting: Container[str], *, timeout: float | None
) -> Iterator[Finding]:
    """
    Try each server; a clock is asked once an origin, metadata once an issuer.

    Those that wait for a person are asked without a credential: a login begins with a connection.
    """
    asked: set[str] = set()
    issuers: set[str] = set()
    for name in names:
        place = f"servers.{name}"
        record = yield from guarded("issuer.capabilities", issuer_checks.known(vault, name), place=place)
        entry = yield from guarded("entry.values", entry_checks.usable(vault, name), place=place)
        if entry is None or entry.kind != "http" or timeout is None:
            continue
        issuer = issuer_checks.issuer_of(vault, name, record)
        if issuer is not None and issuer not in issuers:
            issuers.add(issuer)
            looking = issuer_checks.metadata(vault, entry, issuer, record, timeout)
            yield from guarded("issuer.metadata", looking, place=issuer)
        if name in waiting:
            trying = entry_checks.connects(vault, entry, timeout)
        else:
            trying = entry_checks.answers(vault, name, entry, timeout)
        there = yield from guarded("entry.reachable", trying, place=place)
        if there and entry.credential.origin not in asked:
            asked.add(entry.credential.origin)
            yield from guarded("clock.skew", entry_checks.clock(vault, entry, timeout), place=place)


def _named(document: Document, name: str) -> Check[None]:
    entry_of(document, name)
    yield from ()
