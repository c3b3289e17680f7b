"""
What a call of one entry would do now: from which vault, by which key, with which values, to where and as whom.

Nothing is sent, no server is started and no ``${cmd:}`` is run. Decides what is told: names, places and times,
and never a value.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mcpvault import entries
from mcpvault.errors import ConfigurationError, McpVaultError, NotApprovedError
from mcpvault.state.journal import stamp
from mcpvault.upkeep.standing import Standing, standing
from mcpvault.vault.references import Reference, references_in
from vault_schema import is_secret, origin_of, spec_for
from vault_schema.fields import OAUTH_KINDS

if TYPE_CHECKING:
    from mcpvault.connect import Vault
    from vault_schema import ServerEntry

Told = dict[str, Any]
_SIGNS = {"bearer": "auth.token", "header": "auth.value", "basic": "auth.username, auth.password"}
_FIRST: Mapping[str, list[str]] = {"modern": [], "legacy": ["initialize", "notifications/initialized"]}
_ASKED_DURING = "what the server wants to know during a call: asked on a terminal, declined elsewhere"


def explain(vault: Vault, name: str, now: float) -> Told:
    """
    Return what a call of the entry *name* would do, as JSON can say it.

    Raises:
        UnknownServerError: There is none.
    """
    return _Explanation(vault, vault.entry(name)).told(now)


class _Explanation:
    """The facts about one entry, and the problems that came up while they were collected."""

    def __init__(self, vault: Vault, entry: ServerEntry) -> None:
        self._vault = vault
        self._entry = entry
        self._place = f"servers.{entry.name}"
        self._resolver = entries.resolver_of(
            vault.file, entry.name, env=vault.env, credentials_dir=vault.places.credentials_dir
        )
        self._problems: list[Told] = []

    def told(self, now: float) -> Told:
        file, header = self._vault.file, self._vault.document.header
        stands = standing(self._vault.document, self._entry.name, self._vault.state, now)
        told: Told = {
            "server": self._entry.name,
            "kind": self._entry.kind,
            "vault": {
                "path": str(file.path),
                "id": header.id,
                "serial": header.serial,
                "epoch": header.epoch,
                "root": file.root_fingerprint,
            },
            "key": {
                "source": file.keys.source,
                "slot": file.slot.id,
                "kind": file.slot.kind,
                "role": file.role,
            },
            "state": str(self._vault.state.path),
            "references": [*self._references()],
            "sealed": [*self._sealed()],
            **(self._http(stands) if self._entry.kind == "http" else self._stdio()),
            "credential": self._credential(stands, now),
            "timeout": self._entry.timeout.fields(),
            "asks": [*self._asks(stands)],
        }
        return {**told, "problems": self._problems}

    def _problem(self, error: McpVaultError) -> str:
        found = {"kind": error.kind, "code": error.exit_code, "message": error.message, "hint": error.hint}
        if found not in self._problems:
            self._problems.append(found)
        return error.message

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Yield every field that may hold references, with its text."""
        for path, text in _flat(self._vault.file.table(self._entry.name)):
            spec = spec_for(path.partition("[")[0])
            if spec is not None and spec.references and isinstance(text, str) and "${" in text:
                yield path, text

    def _references(self) -> Iterator[Told]:
        for path, text in self._texts():
            try:
                found = [*references_in(text, where=f"{self._place}.{path}")]
            except ConfigurationError as error:
                self._problem(error)
                continue
            for reference in found:
                yield {"field": path, "reference": reference.text, "standing": self._looked_up(path, reference)}

    def _looked_up(self, path: str, reference: Reference) -> str:
        """Return how a reference stands; its value is dropped as soon as it was found."""
        if reference.scheme == "cmd":
            if self._vault.document.header.allow_commands:
                return "a command, run by a call and not now"
            self._problem(ConfigurationError(f"{self._place}.{path}: commands are not allowed in this vault"))
            return "is not allowed in this vault"
        resolver = self._resolver()
        missing = len(resolver.missing)
        try:
            value = resolver.resolve(path, reference.text, secret=is_secret(path))
        except McpVaultError as error:
            return self._problem(error)
        if len(resolver.missing) > missing:
            hint = f"set it where this runs, or store the value: mcpvault set {self._entry.name} {path} --stdin"
            self._problem(ConfigurationError(resolver.reasons[-1], hint=hint))
            return resolver.reasons[-1].rpartition(": ")[2]
        if value is None:
            return "is not set, so the field is left out"
        used = reference.default is not None and not self._vault.env.get(reference.body)
        return "is not set, so its default is used" if used else "has a value"

    def _sealed(self) -> Iterator[Told]:
        for path in self._vault.file.sealed_fields(self._entry.name):
            table, _, leaf = path.partition(".")
            versions = self._vault.file.table(self._entry.name)[table][leaf]
            current = next((each for each in versions if each["stage"] == "current"), None)
            stands = "opens"
            try:
                self._vault.file.secret(self._entry.name, path)
            except McpVaultError as error:
                stands = self._problem(error)
            told: Told = {"field": path, "standing": stands}
            if current is not None:
                told |= {"version": current["v"], "created": current["created"], "bound": [*current["bound"]]}
            yield told

    def _plain(self, path: str, text: str | None) -> str | None:
        """Return *text* filled in, for use and not to be told; None where that takes a command, or fails."""
        if text is None or "${" not in text:
            return text
        try:
            if any(each.scheme == "cmd" for each in references_in(text, where=path)):
                return None
            value = self._resolver().resolve(path, text, secret=False)
        except McpVaultError:
            return None
        return value.reveal() if value is not None else None

    def _http(self, stands: Standing) -> Told:
        entry = self._entry
        told: Told = {
            "url": entry.url,
            "origin": origin_of(entry.url or ""),
            "headers": [*self._headers(stands)],
            "proxy": self._proxy(),
            "tls": {"minimum": "1.2", "authorities": "the system's", **entry.tls.fields()},
            "retries": entry.retries,
        }
        if urlsplit(entry.url or "").scheme == "http":
            told["tls"] = None
        url = self._plain("url", entry.url)
        from mcpvault.transports.streamable_http import verdict_key_of

        return {**told, "protocol": self._protocol(verdict_key_of(url) if url else None)}

    def _headers(self, stands: Standing) -> Iterator[Told]:
        auth = self._entry.auth
        if auth.kind in _SIGNS:
            name = auth.header if auth.kind == "bearer" else auth.name if auth.kind == "header" else "Authorization"
            yield {"name": name, "from": _SIGNS[auth.kind]}
        elif auth.kind in OAUTH_KINDS:
            yield {"name": "Authorization", "from": "its access token"}
            if auth.dpop:
                yield {"name": "DPoP", "from": "a proof by the key that the token is bound to"}
        elif auth.kind == "custom":
            yield {"name": None, "from": "the caller's code, or a package's entry point"}
        for name in self._entry.headers:
            yield {"name": name, "from": f"headers.{name}"}

    def _proxy(self) -> Told:
        from mcpvault.http.policy import OriginPolicy
        from mcpvault.http.proxies import choose_proxy

        entry = self._entry
        whence = "proxies of the entry" if entry.proxies else "the environment"
        told: Told = {"via": None, "from": whence}
        configured = {key: self._plain(f"proxies.{key}", text) for key, text in entry.proxies.items()}
        if None in configured.values():
            return {**told, "via": "what its reference says"}
        known = {key: text for key, text in configured.items() if text is not None}
        there = OriginPolicy(origin_of(entry.url or ""))
        found = choose_proxy(there.scheme, there.host, there.port, configured=known, env=self._vault.env)
        if isinstance(found, McpVaultError):
            return {**told, "via": self._problem(found)}
        # A proxy's URL may hold a password: host and port are all that is told.
        return told if found is None else {**told, "via": f"{found.scheme}://{found.host}:{found.port}"}

    def _stdio(self) -> Told:
        from mcpvault.transports.environment import child_environment
        from mcpvault.transports.stdio import verdict_key_of

        entry, env = self._entry, self._vault.env
        given = entry.env.get("PATH")
        path = self._plain("env.PATH", given) if isinstance(given, str) else env.get("PATH")
        command = entry.command or ""
        program = shutil.which(command, path=path) if os.sep not in command else command
        if program is None:
            self._problem(ConfigurationError(f"{self._place}.command: {command!r} is no program on this run's PATH"))
        if not entry.approved:
            what = f"{entry.name}: its command was imported and has not been approved"
            self._problem(NotApprovedError(what, hint=f"run: mcpvault approve {entry.name}"))
        words = [command, *(self._plain(f"args[{index}]", arg) for index, arg in enumerate(entry.args))]
        known = [word for word in words if word is not None]
        key = verdict_key_of(known, self._plain("cwd", entry.cwd)) if len(known) == len(words) else None
        return {
            "command": [command, *entry.args],
            "program": program,
            "cwd": entry.cwd,
            "approved": entry.approved,
            "env": {"given": [*entry.env], "inherited": sorted(child_environment(env, {}, windows=os.name == "nt"))},
            "protocol": self._protocol(key),
        }

    def _protocol(self, key: str | None) -> Told:
        from mcpvault.state.verdicts import FileVerdicts

        remembered = FileVerdicts(self._vault.state).get(key) if key is not None else None
        era = remembered if self._entry.era == "auto" else self._entry.era
        first = _FIRST.get(era or "", ["server/discover"])
        return {"wanted": self._entry.era, "remembered": remembered, "first": first}

    def _credential(self, stands: Standing, now: float) -> Told:
        told = {name: value for name, value in stands.fields().items() if value is not None and name != "server"}
        told["notes"] = [*stands.notes]
        if stands.auth in OAUTH_KINDS:
            from mcpvault.oauth_entry import check_sharing

            try:
                check_sharing(self._vault.document, stands.server)
            except McpVaultError as error:
                self._problem(error)
        if stands.expires_at is not None:
            told["refresh"] = self._refresh(stands, now)
        return told

    def _refresh(self, stands: Standing, now: float) -> Told:
        """Return who replaces the access token, and when."""
        from mcpvault.state.brake import HURRIED
        from mcpvault.state.record import window_of
        from mcpvault.state.tokens import peek

        by_itself = stands.human_by is None and not stands.needs_login
        facts = peek(self._vault.state, stands.credential or stands.server)
        if not by_itself or facts is None or facts.expires_at is None:
            return {"by": "a person", "from": stands.human_by or stands.expires_at}
        # The window differs a little from process to process; whole minutes are what can be promised.
        begins = facts.expires_at - round(window_of(facts) / 60) * 60
        if facts.trouble is not None and facts.trouble.refused:
            return {"by": "this host, once somebody has mended what is refused", "from": int(max(begins, now))}
        if facts.trouble is not None and facts.trouble.reason != HURRIED and facts.trouble.left(now):
            begins = max(begins, facts.trouble.until)
        how = "refreshes it" if stands.auth == "oauth" else "obtains another"
        return {"by": f"this host: the first call from then on {how}", "from": int(max(begins, now))}

    def _asks(self, stands: Standing) -> Iterator[str]:
        if self._vault.file.slot.kind == "passphrase":
            yield "the vault's passphrase"
        if stands.needs_login:
            on_terminal = self._entry.auth.interactive == "tty"
            told = "a call on a terminal asks for it" if on_terminal else f"run: {stands.login_command}"
            yield f"to log in: {told}"
            error = {"kind": "authorization_required", "code": 3, "message": f"{stands.server}: needs a login"}
            self._problems.append({**error, "hint": stands.hint})
        elif stands.human_by is not None:
            yield f"to log in, by {stamp(stands.human_by)}: {stands.login_command}"
        if not self._entry.approved:
            yield f"to look at its command: mcpvault approve {self._entry.name}"
        yield _ASKED_DURING


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the fields of a table by their dotted paths; items of a list by their index."""
    for key, held in table.items():
        if isinstance(held, dict):
            yield from _flat(held, f"{prefix}{key}.")
        elif isinstance(held, list):
            yield from ((f"{prefix}{key}[{index}]", each) for index, each in enumerate(held))
        else:
            yield f"{prefix}{key}", held
