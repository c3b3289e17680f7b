"""
What is written into the audit log: who did what with which server's secrets, and how it ended.

Decides what an event says. Leaves the chain to ``mcpvault.state.audit``. Secrets are named by fingerprint only.

Spec: SPEC §18.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mcpvault.audit_keys import LogKeys
from mcpvault.errors import BusyError, McpVaultError
from mcpvault.state.audit import PATIENCE, AuditLog
from mcpvault.state.host import host_name
from vault_schema.canonical import same

if TYPE_CHECKING:
    from mcpvault.secret import Secret
    from mcpvault.state.files import StateDirectory
    from mcpvault.vault.change import Change
    from mcpvault.vault.vaultfile import VaultFile
    from vault_schema import Document

_LITTLE_PATIENCE = 0.1  # seconds
_EVER_NEW = frozenset({"serial", "mac", "sig"})  # of [vault], in every generation


class Auditor:
    """
    Writes down what is done with one open vault.

    Where ``[vault] audit`` is ``required``, an event that cannot be written is an error, and what it was about is
    not done; else it is a warning, once. With ``off`` nothing is written.

    Args:
        directory: The state folder.
        file: The open vault.
    """

    def __init__(self, directory: StateDirectory, file: VaultFile) -> None:
        self._file = file
        self._log = AuditLog(directory, LogKeys(directory, file))
        self._warned = False
        self._patience = PATIENCE

    def __call__(
        self,
        event: str,
        *,
        server: str | None = None,
        field: str | None = None,
        secrets: Mapping[str, Secret] | None = None,
        ok: bool = True,
        why: str | None = None,
        durable: bool = False,
        **more: Any,
    ) -> None:
        """
        Write one event down.

        Args:
            event: ``unlock``, ``resolve``, ``refresh``, ``reveal`` and so on (SPEC §18.2).
            server: The entry.
            field: A field of it.
            secrets: Secrets that were opened, by field; their fingerprints are written.
            ok: Whether it was done.
            why: The kind of the error, where it was not.
            durable: It is on the disk when this returns.
            more: Further facts, no secrets.

        Raises:
            PermissionsError, BusyError: It cannot be written, and the vault says that it must be.
        """
        mode = self._file.document.header.audit
        if mode == "off":
            return
        said = {**_who(), "serial": self._file.document.header.serial, "ev": event}
        said |= {name: value for name, value in (("server", server), ("field", field)) if value is not None}
        if secrets:
            said["fp"] = {path: self._file.fingerprint(secret) for path, secret in secrets.items()}
        said |= {**more, "ok": ok, **({"why": why} if why is not None else {})}
        problem: McpVaultError | None = None
        try:
            self._log.append([said], durable=durable or mode == "required", patience=self._patience)
        except McpVaultError as error:
            problem = error
        if problem is None:
            self._patience = PATIENCE
            return
        if mode == "required":
            raise problem
        if isinstance(problem, BusyError):
            self._patience = _LITTLE_PATIENCE  # who is stopped with the log in hand costs us five seconds, but once
        if not self._warned:
            self._warned = True
            warnings.warn(f"{problem.message}; what is done with the vault is not written down", stacklevel=3)

    @contextmanager
    def watching(self, event: str, **facts: Any) -> Iterator[dict[str, Any]]:
        """
        Write *event* down when the block ends, with the error's kind where it fails.

        The block may add facts to the dict that it is given.
        """
        told = dict(facts)
        failure: McpVaultError | None = None
        try:
            yield told
        except McpVaultError as error:
            failure = error
        if failure is not None:
            self(event, **{**told, "ok": False, "why": failure.kind})
            raise failure
        self(event, **told)

    @contextmanager
    def of_change(self, change: AbstractContextManager[Change]) -> Iterator[Change]:
        """Write down that the vault was changed, once it is; see ``changed``."""
        before = self._file.document
        with change as opened:
            yield opened
        if self._file.document is not before:
            self.changed(before, self._file.document)

    def changed(self, before: Document | None, after: Document) -> None:
        """Write down what *after* changes: which entries, and which fields of each and of the vault; never a value."""
        old, new = before.tree if before is not None else {"vault": {}}, after.tree
        one, other = old.get("servers", {}), new.get("servers", {})
        touched = sorted(name for name in {*one, *other} if not same(one.get(name), other.get(name)))
        fields = {name: _changed(one.get(name), other.get(name)) for name in touched}
        told: dict[str, Any] = {"servers": [*fields], "fields": fields}
        if common := [name for name in _changed(old["vault"], new["vault"]) if name not in _EVER_NEW]:
            told["vault"] = common
        self("change", **told, durable=True)


def _changed(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[str]:
    """Return the fields that differ in two states of a table, None where there is or was none."""
    one, other = dict(_fields(old or {})), dict(_fields(new or {}))
    both = one.keys() & other.keys()
    return sorted(name for name in {*one, *other} if name not in both or not same(one[name], other[name]))


def _fields(table: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict) and name != "rotation":  # a journal is one statement
            yield from ((f"{name}.{leaf}", held) for leaf, held in value.items())
        else:
            yield name, value


@contextmanager
def unlocking(directory: StateDirectory, document: Document) -> Iterator[None]:
    """
    Write down that the vault was not opened, where the block fails.

    Nobody has a key to sign that with: the next writer that has one vouches for it. Nobody is told if it cannot be
    written.
    """
    failure: McpVaultError | None = None
    try:
        yield
    except McpVaultError as error:
        failure = error
    if failure is None:
        return
    if document.header.audit != "off":
        said = {**_who(), "serial": document.header.serial, "ev": "unlock", "ok": False, "why": failure.kind}
        with suppress(McpVaultError):
            AuditLog(directory).append([said])
    raise failure


def _who() -> dict[str, Any]:
    user = os.getuid() if hasattr(os, "getuid") else None
    program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"  # noqa: PTH119  no path is meant
    return {"host": host_name(), "uid": user, "pid": os.getpid(), "prog": program[:64]}
