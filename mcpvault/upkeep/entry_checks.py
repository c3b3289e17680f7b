"""
One server: what its entry says, whether its values can be had, whether it answers.

What the entry says is looked at in any vault. References are resolved and requests sent for
a vault that opened only: nothing that was not verified is run or fetched.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mcpvault import carriers
from mcpvault.deadline import Deadline
from mcpvault.durations import moment, seconds
from mcpvault.errors import (
    BindingMismatchError,
    ConfigurationError,
    McpVaultError,
    TamperedError,
    TransportError,
    UnresolvedReferenceError,
)
from mcpvault.upkeep.due import WARN
from mcpvault.upkeep.findings import Check, Finding, fail, of_error, ok, warn
from vault_schema import Document, ServerEntry, Version
from vault_schema.document import Rotation

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from mcpvault.entries import Concrete
    from mcpvault.mcp.session import Session
    from mcpvault.state.files import StateDirectory

CLOCK_TOLERANCE = 60  # seconds
_UNREACHED = "is it up, and may this host reach it? then run: mcpvault doctor {name}"
_CHECKS: tuple[tuple[type[McpVaultError], str], ...] = (
    (UnresolvedReferenceError, "entry.references"),
    (BindingMismatchError, "entry.binding"),
    (TamperedError, "entry.seal"),
)


def stated(document: Document, name: str, env: Mapping[str, str]) -> Check[None]:
    """Look at what the entry says: approval, program, plain http."""
    entry = document.server(name)
    where = f"servers.{name}"
    if entry.command is None:
        parts = urlsplit(entry.url or "")
        if parts.scheme == "http" and entry.allow_http and not _loopback(parts.hostname or ""):
            what = f"{where}.allow_http: the credential goes to {parts.hostname} in clear"
            hint = f"use https: mcpvault set {name} url https://…; then mcpvault set {name} allow_http --unset"
            yield warn("entry.http", what, hint, server=name)
        return
    if not entry.approved:
        what = f"{where}: its command was imported and has not been approved"
        yield fail("entry.approval", what, f"look at it: mcpvault approve {name}", server=name)
    yield _program(entry, entry.command, env)
    if entry.cwd and "${" not in entry.cwd and not Path(entry.cwd).is_dir():
        what = f"{where}.cwd: {entry.cwd!r} is no folder"
        yield fail("entry.program", what, f"run: mcpvault set {name} cwd PATH", server=name)


def _loopback(host: str) -> bool:
    from mcpvault.http.policy import is_loopback

    return is_loopback(host)


def _program(entry: ServerEntry, command: str, env: Mapping[str, str]) -> Finding:
    """Look for the program where its child process will: on the PATH that the entry or this run gives it."""
    given = entry.env.get("PATH")
    path = given if isinstance(given, str) and "${" not in given else env.get("PATH", os.defpath)
    sought = command
    if os.path.dirname(command) and entry.cwd and "${" not in entry.cwd:  # noqa: PTH120  # Path drops a leading "./"
        sought = str(Path(entry.cwd) / command)
    if (found := shutil.which(sought, path=path)) is not None:
        return ok("entry.program", f"servers.{entry.name}.command: {found}; it was not started", server=entry.name)
    what = f"servers.{entry.name}.command: {command!r} is no program on this run's PATH"
    hint = f"install it, or name it in full: mcpvault set {entry.name} command /path/to/{Path(command).name}"
    return fail("entry.program", what, hint, server=entry.name)


def dated(document: Document, name: str, now: float) -> Check[None]:
    """Compare the dates of the entry's sealed secrets with policy, marks and the clock; tell of an open rotation."""
    entry, common = document.server(name), document.header.policy
    policy = entry.policy
    most, near = seconds(policy.max_age or common.max_age or ""), seconds(policy.warn or common.warn or WARN) or 0
    if entry.rotation is not None and entry.rotation.open:
        yield _rotation(entry.rotation, name, now)
    for path, _, held in document.secrets(name):
        for version in held if not isinstance(held, str) else ():
            if version.stage == "current":
                yield from _dates(f"servers.{name}.{path}", name, path, version, most=most, near=near, now=now)


def _rotation(rotation: Rotation, name: str, now: float) -> Finding:
    where = f"servers.{name}.rotation"
    told = f"{where}: of {rotation.field}, at step {rotation.step!r} since {rotation.updated}, by {rotation.by}"
    resume = f"run{f' on {rotation.host}' if rotation.host else ''}: mcpvault rotate {name} --resume"
    if rotation.problem:
        return warn("entry.rotation", f"{told}; {rotation.problem}", resume, server=name)
    if rotation.until is not None and rotation.step == "grace" and moment(rotation.until) > now:
        return ok("entry.rotation", f"{told}; the old one is good until {rotation.until}", server=name)
    return warn("entry.rotation", told, resume, server=name)


def _dates(
    where: str, name: str, path: str, version: Version, *, most: int | None, near: int, now: float
) -> Check[None]:
    renew, rotate = f"run: mcpvault set {name} {path} --stdin", f"run: mcpvault rotate {name} {path}"
    created = moment(version.created)
    if created > now + CLOCK_TOLERANCE:
        what = f"{where}: was sealed at {version.created}, which this host's clock has not reached"
        yield warn("clock.created", what, "set this host's clock: timedatectl set-ntp true", server=name)
    if version.not_after is not None:
        left = moment(version.not_after) - now
        if left <= 0:
            yield fail("entry.expired", f"{where}: ended at {version.not_after}", renew, code=9, server=name)
        elif left <= near:
            yield warn("entry.expiry", f"{where}: ends at {version.not_after}", rotate, server=name)
    if version.due is not None:
        yield warn("entry.due", f"{where}: is due: {version.due}", rotate, server=name)
    if most is not None and now - created > most - near:
        days = f"{(now - created) / 86_400:.0f} days old"
        state = "overdue by policy" if now - created > most else "due soon by policy"
        yield warn("entry.age", f"{where}: {days}, {state}", rotate, server=name)


def granted(document: Document, name: str, state: StateDirectory, now: float) -> Check[bool]:
    """Look at the state of the entry's grant, if it is one; tell whether a call can work without a person."""
    from mcpvault.upkeep.standing import standing

    found = standing(document, name, state, now)
    if found.state == "static":
        return True
    what = f"servers.{name}: {'; '.join((found.state, *found.notes))}"
    if found.needs_login:
        yield fail("entry.grant", what, found.hint or "", code=3, server=name)
    elif found.hint or found.state == "ambiguous" or found.trouble:
        yield warn("entry.grant", what, found.hint or f"watch it: mcpvault status {name}", server=name)
    else:
        yield ok("entry.grant", what, server=name)
    return not found.needs_login


def usable(vault: Vault, name: str) -> Check[Concrete | None]:
    """Fill in the references and open the secrets; judge what would be sent, and drop it."""
    place = f"servers.{name}"
    told = _misbound(vault, name)
    for error in told.values():
        yield of_error("entry.binding", error, place=place)
    try:
        found = vault.resolve(name)
    except McpVaultError as error:
        broken = error
    else:
        if not told:
            what = f"{place}: every reference has a value, every sealed value opens"
            yield ok("entry.values", what, server=name)
        if found.kind == "http":
            yield from _sendable(vault, found)
        return found
    if broken.message not in told:
        check = next((check for kind, check in _CHECKS if isinstance(broken, kind)), "entry.values")
        yield of_error(check, broken, place=place, hint=f"run: mcpvault show {name}")
    return None


def _misbound(vault: Vault, name: str) -> dict[str, McpVaultError]:
    wrong: dict[str, McpVaultError] = {}
    for path in vault.file.sealed_fields(name):
        table, _, leaf = path.partition(".")
        for version in vault.file.table(name)[table][leaf]:
            try:
                vault.file.check_binding(name, path, version)
            except BindingMismatchError as error:
                wrong[error.message] = error
    return wrong


def _sendable(vault: Vault, entry: Concrete) -> Check[None]:
    """Build what would send the entry's requests, and the TLS configuration, without sending anything."""
    from mcpvault.http.auth import NoAuth
    from mcpvault.http.tls import context_for
    from mcpvault.vault.permissions import read_secret_file

    place, hint = f"servers.{entry.name}", f"run: mcpvault show {entry.name}"
    try:
        carriers.http_session(entry, env=vault.env, auth=NoAuth() if entry.custom else None).close()
    except McpVaultError as error:
        yield of_error("entry.http", error, place=place, hint=hint)
    tls = entry.tls
    pair = (tls.client_cert_file, tls.client_key_file) if tls.client_cert_file else None
    if tls.ca_file is None and pair is None:
        return
    try:
        context_for(tls.ca_file, pair)
        if tls.client_key_file:
            read_secret_file(Path(tls.client_key_file))
    except McpVaultError as error:
        yield of_error("entry.tls", error, place=place, hint=f"run: mcpvault set {entry.name} tls.ca_file PATH")
    else:
        yield ok("entry.tls", f"{place}.tls: its files are there and load", server=entry.name)


def answers(vault: Vault, name: str, entry: Concrete, timeout: float) -> Check[bool]:
    """Ask the server what it is and what it has, as any session does; tell whether anybody was there."""
    place = f"servers.{name}"
    if entry.custom:
        what = f"{place}: is not asked, because only its caller can authenticate"
        yield ok("entry.reachable", what, server=name)
        return False
    try:
        session = vault.session(name, timeout=timeout)
        try:
            said = f"{place}: {_accepted(session, Deadline(timeout))}"
        finally:
            session.close()
    except McpVaultError as error:
        broken = error
    else:
        yield ok("entry.reachable", said, server=name)
        return True
    there = not isinstance(broken, TransportError | ConfigurationError)
    hint = f"look closer: mcpvault tools {name} --debug" if there else _UNREACHED.format(name=name)
    yield of_error("entry.reachable", broken, place=place, hint=hint)
    return there


def _accepted(session: Session, deadline: Deadline) -> str:
    """Ask for something that a credential is for: to say what it is, a server may need none."""
    offered = session.discover(timeout=deadline.remaining()).get("capabilities")
    version = f"MCP {session.protocol_version}"
    lists = {"tools": session.list_tools, "resources": session.list_resources, "prompts": session.list_prompts}
    for kind in lists:
        if isinstance(offered, dict) and kind in offered:
            lists[kind](timeout=deadline.remaining())
            return f"answers, and accepts what it is sent ({kind}/list, {version})"
    return f"answers ({version}); it has nothing to list, so whether it accepts what it is sent was not seen"


def connects(vault: Vault, entry: Concrete, timeout: float) -> Check[bool]:
    """Tell whether anybody is there, by a request that carries no credential: nobody has logged in yet."""
    from mcpvault.http.auth import NoAuth

    place = f"servers.{entry.name}"
    try:
        with carriers.http_session(entry, env=vault.env, auth=NoAuth()) as http:
            http.request("OPTIONS", entry.url, timeout=timeout, allow_redirects=False)
    except McpVaultError as error:
        broken = error
    else:
        what = f"{place}: answers; whether it accepts what it is sent is seen after a login"
        yield ok("entry.reachable", what, server=entry.name)
        return True
    yield of_error("entry.reachable", broken, place=place, hint=_UNREACHED.format(name=entry.name))
    return False


def clock(vault: Vault, entry: Concrete, timeout: float) -> Check[None]:
    """Compare the server's clock with ours, by a request that carries no credential."""
    from mcpvault.http.auth import NoAuth

    origin = entry.credential.origin
    with carriers.http_session(entry, env=vault.env, auth=NoAuth()) as http:
        before = time.time()
        try:
            date = http.request("OPTIONS", entry.url, timeout=timeout, allow_redirects=False).headers.get("Date", "")
        except McpVaultError:
            return  # whether it can be reached was another question
        after = time.time()
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return
    # The header has whole seconds.
    ahead = max(theirs - after, 0) or min(theirs + 1 - before, 0)
    if abs(ahead) > CLOCK_TOLERANCE:
        what = f"{origin}: its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this host's"
        yield warn("clock.skew", what, "set this host's clock: timedatectl set-ntp true", server=entry.name)
    else:
        yield ok("clock.skew", f"{origin}: its clock and this host's agree", server=entry.name)
