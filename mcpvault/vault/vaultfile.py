"""
``VaultFile``: one vault, opened with one key.

Decides what can be read from an open vault. Leaves the making of one to ``creation``, edits to
``change``, the acceptance of a hand edit to ``signing``, references to ``references``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcpvault.errors import BindingMismatchError, RollbackError, UnknownFieldError
from mcpvault.vault import slot_keys, unlock
from mcpvault.vault.documents import entry_of, read, read_document
from mcpvault.vault.keysources import Key
from vault_schema import Document, Header, ServerEntry, Slot, binding_for, spec_for
from vault_schema.record import Record

if TYPE_CHECKING:
    from mcpvault.secret import Secret
    from mcpvault.vault.change import Change
    from mcpvault.vault.sealing import SealContext
    from mcpvault.vault.slots import NewSlot
    from mcpvault.vault.unlock import AnchorStore, Unlocked


class VersionFacts(Record):
    """What ``history`` shows of one version of a secret; never the secret."""

    field: str
    version: int
    stage: str
    created: str
    not_after: str | None
    fingerprint: str | None


class VaultFile:
    """
    An open vault: verified as a whole, its secrets still sealed.

    Make one with ``open`` or ``create``. ``document`` is what was verified.
    """

    def __init__(
        self,
        path: Path,
        document: Document,
        keys: Unlocked,
        anchor: AnchorStore | None,
        now: Callable[[], float],
        trusted_roots: Collection[str] = (),
    ) -> None:
        self.path = path
        self.document = document
        self.now = now
        self.trusted_roots = trusted_roots
        self._keys = keys
        self._anchor = anchor

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        key: Key | Callable[[Header], Key],
        anchor: AnchorStore | None = None,
        trusted_roots: Collection[str] = (),
        now: Callable[[], float] = time.time,
        document: Document | None = None,
    ) -> VaultFile:
        """
        Open the vault at *path*.

        Args:
            path: The vault file.
            key: The key, or a callable that finds it once the header is known.
            anchor: What this host has seen; None checks nothing.
            trusted_roots: Root fingerprints (``mvr1-…``) that this host vouches for; if there are any, no
                other is believed.
            now: The clock, Unix seconds.
            document: The parsed file where the caller has read it already.

        Raises:
            VaultError: It cannot be opened, or must not be believed; the subclass says why.
            ConfigurationError: The key or the file's content cannot be used as it stands.
        """
        document = read_document(path) if document is None else document
        key = key if isinstance(key, Key) else key(document.header)
        keys = unlock.unlock(document.header, key, trusted_roots=trusted_roots)
        unlock.verify(document, keys)
        try:
            unlock.check_anchor(document, keys, anchor, trusted_roots=trusted_roots)
        except RollbackError:
            # Another process may have written file and anchor between our reading of the two.
            again = read_document(path)
            if again.text == document.text:
                raise
            return cls.open(path, key=key, anchor=anchor, trusted_roots=trusted_roots, now=now, document=again)
        return cls(path, document, keys, anchor, now, trusted_roots)

    @classmethod
    def create(cls, path: Path, *, new_slots: Sequence[NewSlot], vault_id: bytes | None = None,
               now: Callable[[], float] = time.time, dry_run: bool = False) -> str:  # fmt: skip
        """
        Write a new, empty vault and return its text.

        Raises:
            ConfigurationError: There is a file already, or no slot is an admin's whose key we hold.
        """
        from mcpvault.vault.creation import new_vault

        return new_vault(path, new_slots, vault_id=vault_id, now=now, dry_run=dry_run)

    @property
    def slot(self) -> Slot:
        """The slot that the key opened."""
        return self._keys.slot

    @property
    def role(self) -> str:
        """``admin`` or ``reader``."""
        return self._keys.slot.role

    @property
    def keys(self) -> Unlocked:
        """The keys of the open vault, for the other modules of this room."""
        return self._keys

    def keys_of(self, epoch: int) -> list[bytes]:
        """Return the vault keys of *epoch*: the one of the vault's own, those that it keeps of an earlier one."""
        header, keys = self.document.header, self._keys
        if epoch == header.epoch:
            return [keys.vault_key]
        from mcpvault.vault import retired

        return retired.keys_of(header, keys.vault_key, keys.vault_id, epoch)

    @property
    def anchor(self) -> AnchorStore | None:
        """What this host has seen."""
        return self._anchor

    @property
    def root_fingerprint(self) -> str:
        """``mvr1-…``: what people compare before they trust the vault on a new host."""
        return slot_keys.root_fingerprint(slot_keys.id_bytes(self.document.header.root))

    def entry(self, name: str) -> ServerEntry:
        """
        Return the typed entry *name*.

        Raises:
            UnknownServerError: There is none; the hint offers the nearest name.
        """
        return entry_of(self.document, name)

    def table(self, name: str) -> dict[str, Any]:
        """Return the entry *name* as a plain table; do not change it."""
        self.entry(name)
        table: dict[str, Any] = self.document.tree["servers"][name]
        return table

    def secret(self, name: str, field: str, *, stage: str = "current") -> Secret:
        """
        Return the sealed value of *field* of the entry *name*.

        Raises:
            UnknownFieldError: The field holds no sealed value of that stage.
            BindingMismatchError: The value is for another origin or command than the entry now names.
            TamperedError: The seal does not hold.
        """
        version = self._version(name, field, stage)
        self.check_binding(name, field, version)
        from mcpvault.vault import sealing  # here: many an entry holds no sealed value

        return sealing.unseal(self._keys.vault_key, version["sealed"], self.seal_context(name, field, version))

    def seal_context(self, name: str, field: str, version: dict[str, Any]) -> SealContext:
        """Return the context of a version's seal."""
        from mcpvault.vault.sealing import SealContext

        header = self.document.header
        return SealContext(self._keys.vault_id, header.epoch, name, field, version["v"], tuple(version["bound"]))

    def check_binding(self, name: str, field: str, version: dict[str, Any]) -> None:
        """
        Compare what a version is bound to with what the entry names now.

        Raises:
            BindingMismatchError: They differ.
        """
        spec = spec_for(field)
        bound = binding_for(self.document.tree["servers"][name], spec) if spec else ()
        if bound != tuple(version["bound"]):
            meant, now = (" ".join(each[1:]) for each in (tuple(version["bound"]), bound or ("", "nothing")))
            moved = "url" if bound[:1] == ("url.origin",) else "command"
            raise BindingMismatchError(
                f"servers.{name}.{field}: sealed for {meant!r}, the entry names {now!r}",
                hint=f"an admin decides whether the value may go there: mcpvault set {name} {moved} …",
                server=name,
            )

    def _version(self, name: str, field: str, stage: str) -> dict[str, Any]:
        table, _, leaf = field.partition(".")
        held = self.table(name).get(table, {})
        value = held.get(leaf) if isinstance(held, dict) else None
        for version in value if isinstance(value, list) else ():
            if version["stage"] == stage:
                found: dict[str, Any] = version
                return found
        raise UnknownFieldError(
            f"servers.{name}.{field}: holds no sealed value{'' if stage == 'current' else f' of stage {stage!r}'}",
            hint=f"run: mcpvault show {name}",
            server=name,
        )

    def sealed_fields(self, name: str) -> Iterator[str]:
        """Yield the paths of the fields of *name* that hold sealed versions."""
        for path, _, value in self.document.secrets(name):
            if not isinstance(value, str):
                yield path

    def fingerprint(self, secret: Secret) -> str:
        """Return the eight hex digits that stand for *secret* in lists and logs."""
        from mcpvault.vault import sealing

        return sealing.fingerprint(self._keys.vault_key, secret)

    def history(self, name: str) -> list[VersionFacts]:
        """Return every version of every sealed field of *name*, newest first; a fingerprint of None does not open."""
        from mcpvault.vault import sealing

        facts = []
        self.entry(name)
        for path in self.sealed_fields(name):
            table, _, leaf = path.partition(".")
            for version in self.document.tree["servers"][name][table][leaf]:
                context = self.seal_context(name, path, version)
                facts.append(
                    VersionFacts(
                        field=path,
                        version=version["v"],
                        stage=version["stage"],
                        created=version["created"],
                        not_after=version.get("not_after"),
                        fingerprint=sealing.fingerprint_of(self._keys.vault_key, version["sealed"], context),
                    )
                )
        return facts

    def change(self, *, dry_run: bool = False) -> AbstractContextManager[Change]:
        """
        Edit the vault: ``with vault.change() as change: change.set_secret(…)``.

        What was changed is written when the block ends without an exception; see ``change.Change``.

        Raises:
            RoleError: The key is a reader's.
            VaultBusyError, VaultChangedError: Somebody else is writing or has written; open it again.
        """
        from mcpvault.vault.change import changing

        return changing(self, dry_run=dry_run)

    def reread(self) -> bool:
        """
        Take over what another process has written since; tell whether there was anything.

        Raises:
            VaultError: The slot is gone, or what is there must not be believed; what was verified before stays.
        """
        if read(self.path) == self.document.text.encode():
            return False
        from mcpvault.vault.reopening import reopened

        again = reopened(self)
        self.document, self._keys = again.document, again.keys
        return True

    def adopt(self, document: Document, keys: Unlocked | None = None) -> None:
        """Go on with what a change has just written, and remember it."""
        self.document = document
        self._keys = keys or self._keys
        if self._anchor is not None:
            self._anchor.advance(self.slot.id, unlock.anchor_record(document.header, self._keys))
