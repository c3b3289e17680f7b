"""
One change of a vault: lock, read again, compare, edit a copy, seal it off, write, remember.

Decides what each edit does to versions and bindings. Leaves the text to
``vault_schema.rewrite`` (comments, order and untouched ciphertext survive) and the disk to ``file``.

Spec: SPEC §9.3, §14.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mcpvault.errors import BindingMismatchError, ConfigurationError, RoleError, UnknownFieldError, VaultChangedError
from mcpvault.secret import Secret
from mcpvault.vault import file, primitives, sealing, unlock
from mcpvault.vault.documents import entry_of, judged, timestamp
from mcpvault.vault.key_change import KeyChange
from mcpvault.vault.open_rotations import check_untouched
from mcpvault.vault.rekeying import relined, sealed_fields
from mcpvault.vault.run_variables import check_variable
from mcpvault.vault.sealing import SealContext
from mcpvault.vault.unlock import Unlocked
from mcpvault.vault.vaultfile import VaultFile
from vault_schema import Document, SchemaError, binding_for, rewrite, spec_for
from vault_schema.canonical import same

BINDING_FIELDS = frozenset({"url", "command", "args", "auth.issuer", "auth.idp_issuer"})


@contextmanager
def changing(vault: VaultFile, *, dry_run: bool) -> Iterator[Change]:
    """Run the block on a copy of the vault's tree and write what it made; see ``VaultFile.change``."""
    if vault.role != "admin":
        raise RoleError(
            f"slot {vault.slot.id!r} is a reader's: it opens the vault and cannot change it",
            hint="ask an admin, or use an admin's key",
        )
    change = Change(vault)
    if dry_run:
        yield change
        _finished(vault, change)
        return
    with file.write_lock(vault.path):
        if file.read(vault.path) != vault.document.text.encode():
            raise VaultChangedError(
                f"{vault.path}: changed since it was read (serial {vault.document.header.serial})", hint="try again"
            )
        yield change
        document = _finished(vault, change)
        if document is vault.document:
            return
        forget = change.forget or change.keys is not vault.keys
        file.replace(vault.path, change.text.encode(), forget=forget)
    vault.adopt(document, change.keys)


def _finished(vault: VaultFile, change: Change) -> Document:
    """Return the changed vault with a new serial, MAC and signature; the old document if nothing was changed."""
    before = vault.document
    if same(change.tree, before.tree):
        return before
    check_untouched(before.tree, change.tree)
    signable = True
    try:
        resigned = signed_tree(change.keys, change.tree, serial=before.header.serial + 1)
    except ValueError:  # a date, a fraction, half of a surrogate pair: nothing that can be signed
        signable = False
    if not signable:
        judged(before.text, change.tree)
        raise ConfigurationError("the change holds text that is not UTF-8", hint="was it typed or pasted wrongly?")
    text, tree = before.text, before.tree
    if change.keys.vault_key != vault.keys.vault_key:
        text, tree = relined(text, tree, resigned)
    change.text = rewrite(text, tree, resigned)
    return judged(change.text, resigned, before)


def signed_tree(keys: Unlocked, tree: Mapping[str, Any], *, serial: int) -> dict[str, Any]:
    """Return a copy of *tree* with *serial* and the MAC and signature that belong to it."""
    if keys.root_seed is None:
        raise RoleError(f"slot {keys.slot.id!r} is a reader's", hint="use an admin's key")
    head = {**tree["vault"], "serial": serial}
    signed = {**tree, "vault": head}
    mac = unlock.document_mac(keys.vault_key, signed)
    head["mac"] = primitives.encode(mac)
    head["sig"] = primitives.encode(unlock.signature(keys.root_seed, keys.vault_id, mac))
    return signed


class Change(KeyChange):
    """
    An edit in progress. ``tree`` is a copy: entries are copied when they are first touched.

    Set ``forget`` to keep no earlier generation beside the file, as where a secret is to be gone.
    After the block, ``text`` is the text that was written (or would have been, in a dry run).
    """

    def __init__(self, vault: VaultFile) -> None:
        super().__init__(vault)
        self.text = vault.document.text
        self.forget = False
        self._own: set[str] = set()

    def _entry(self, name: str) -> dict[str, Any]:
        if name not in self._own:
            if name not in self.tree.get("servers", {}):
                entry_of(self.vault.document, name)
            self.tree["servers"][name] = copy.deepcopy(self.tree["servers"][name])
            self._own.add(name)
        entry: dict[str, Any] = self.tree["servers"][name]
        return entry

    def table(self, name: str) -> dict[str, Any]:
        """Return the entry *name* to be edited, for the other modules of this room; raises ``UnknownServerError``."""
        return self._entry(name)

    def add_server(self, name: str, table: Mapping[str, Any]) -> None:
        """
        Add the entry *name*; secrets follow with ``set_secret``.

        Raises:
            ConfigurationError: There is one of that name, regardless of case.
        """
        for taken in self.tree.get("servers", {}):
            if taken.lower() == name.lower():
                raise ConfigurationError(
                    f"servers.{name}: there is a server {taken!r} already",
                    hint=f"change it with: mcpvault set {taken}, or remove it first",
                    server=name,
                )
        self.tree.setdefault("servers", {})[name] = copy.deepcopy(dict(table))
        self._own.add(name)

    def remove_server(self, name: str) -> None:
        """Remove the entry *name* with all its secrets."""
        self._entry(name)
        del self.tree["servers"][name]

    def replace_server(self, name: str, table: Mapping[str, Any], *, keep: Sequence[str] = ()) -> None:
        """Put *table* in place of the entry; the versions of the sealed fields in *keep* stay, for ``set_secret``."""
        old = self.tree.get("servers", {}).get(name, {})
        new = copy.deepcopy(dict(table))
        for field in keep:
            _put(new, field, copy.deepcopy(_get(old, field)))
        self.tree.setdefault("servers", {})[name] = new
        self._own.add(name)

    def set_plain(self, name: str, field: str, value: Any, *, rebind: bool = False) -> None:
        """
        Set a field that is no secret, or a secret field to a reference.

        Args:
            name: The entry.
            field: The path below it, ``note`` or ``headers.X-API-Version``.
            value: What TOML can say; the schema judges it.
            rebind: Let the entry's sealed values follow a changed ``url``, ``command``, ``args`` or issuer.

        Raises:
            BindingMismatchError: Sealed values are bound to what this would change, and *rebind* is False.
            ConfigurationError: *field* is a variable of ``run_env`` that steers how programs run.
        """
        entry = self._entry(name)
        if field.startswith("run_env."):
            check_variable(field.removeprefix("run_env."), f"servers.{name}.run_env.")
        changed = self._rebound(name, field, value) if field in BINDING_FIELDS else []
        if changed and not rebind:
            raise BindingMismatchError(
                f"servers.{name}.{field}: the sealed {', '.join(sorted(changed))} would go to {value!r}",
                hint="confirm it on a terminal or with --yes",
                server=name,
            )
        opened = self._opened(name) if changed else {}
        _put(entry, field, value)
        for path in changed:
            self._reseal(name, path, opened[path])

    def unset(self, name: str, field: str) -> None:
        """
        Remove a field of the entry.

        Raises:
            UnknownFieldError: It is not there.
            BindingMismatchError: Sealed values are bound to it.
        """
        entry, (*tables, leaf) = self._entry(name), field.split(".", 1)
        held = entry.get(tables[0]) if tables else entry
        if not isinstance(held, dict) or leaf not in held:
            raise UnknownFieldError(f"servers.{name}.{field}: is not set", server=name)
        if field in BINDING_FIELDS and self._bound_to(name, field):
            raise BindingMismatchError(
                f"servers.{name}.{field}: sealed values are bound to it",
                hint=f"let them follow knowingly: mcpvault set {name} {field} …",
                server=name,
            )
        del held[leaf]
        if tables and not held:
            del entry[tables[0]]

    def set_secret(
        self, name: str, field: str, secret: Secret, *, stage: str = "current", not_after: str | None = None
    ) -> None:
        """
        Seal *secret* as the newest version of *field*.

        As ``current`` it makes the old one ``previous`` and drops the one before that; as ``pending``
        it replaces an older pending one.

        Raises:
            UnknownFieldError: The field cannot hold a secret.
        """
        entry = self._entry(name)
        held = _get(entry, field)
        versions: list[dict[str, Any]] = held if isinstance(held, list) else []
        kept = [
            dict(v) for v in versions if v["stage"] not in ({"current", "previous"} if stage == "current" else {stage})
        ]
        if stage == "current":
            kept += [{**v, "stage": "previous"} for v in versions if v["stage"] == "current"]
        number = max((v["v"] for v in versions), default=0) + 1
        new: dict[str, Any] = {"v": number, "stage": stage, "created": timestamp(self.vault.now)}
        if not_after is not None:
            new["not_after"] = not_after
        new["bound"] = list(self._binding(name, field))
        new["sealed"] = sealing.seal(self.keys.vault_key, secret, self._context(name, field, new))
        _put(entry, field, sorted([*kept, new], key=lambda v: -int(v["v"])))

    def set_allow_commands(self, allowed: bool) -> None:
        """Let ``${cmd:[…]}`` references of this vault run, or not."""
        self.tree["vault"]["allow_commands"] = allowed

    def _binding(self, name: str, field: str, entry: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        spec = spec_for(field)
        if spec is None or spec.bound_to is None:
            raise UnknownFieldError(
                f"servers.{name}.{field}: is no field that can hold a sealed value",
                hint=f"run: mcpvault show {name}",
                server=name,
            )
        fault: SchemaError | None = None
        try:
            return binding_for(entry or self.tree["servers"][name], spec)
        except SchemaError as error:
            fault = error
        raise ConfigurationError(f"servers.{name}.{fault}", server=name)

    def _context(self, name: str, field: str, version: Mapping[str, Any]) -> SealContext:
        epoch = self.tree["vault"]["epoch"]
        return SealContext(self.keys.vault_id, epoch, name, field, version["v"], tuple(version["bound"]))

    def _bound_to(self, name: str, field: str) -> bool:
        """Tell whether a sealed value of the entry is for what *field* says."""
        kinds = {"url": "url.origin", "args": "command"}
        return any(self._binding(name, path)[0] == kinds.get(field, field) for path, _ in self.sealed(name))

    def _rebound(self, name: str, field: str, value: Any) -> list[str]:
        """Return the sealed fields that would be for something else if *field* were *value*."""
        after = copy.deepcopy(self.tree["servers"][name])
        _put(after, field, value)
        return [path for path, _ in self.sealed(name) if self._binding(name, path, after) != self._binding(name, path)]

    def sealed(self, name: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield the sealed fields of the entry *name* as the change has them, each with its versions."""
        entry = self.tree["servers"][name]
        for table, leaf in sealed_fields(entry):
            yield f"{table}.{leaf}", entry[table][leaf]

    def _opened(self, name: str) -> dict[str, list[Secret]]:
        key = self.keys.vault_key
        return {
            path: [sealing.unseal(key, v["sealed"], self._context(name, path, v)) for v in versions]
            for path, versions in self.sealed(name)
        }

    def _reseal(self, name: str, field: str, secrets: Sequence[Secret]) -> None:
        bound = list(self._binding(name, field))
        versions = []
        for version, secret in zip(_get(self._entry(name), field), secrets, strict=True):
            moved = {**version, "bound": bound}
            moved["sealed"] = sealing.seal(self.keys.vault_key, secret, self._context(name, field, moved))
            versions.append(moved)
        _put(self._entry(name), field, versions)


def _get(entry: Mapping[str, Any], field: str) -> Any:
    table, _, leaf = field.partition(".")
    held = entry.get(table)
    if not leaf:
        return held
    return held.get(leaf) if isinstance(held, dict) else None


def _put(entry: dict[str, Any], field: str, value: Any) -> None:
    table, _, leaf = field.partition(".")
    if not leaf:
        entry[table] = value
        return
    held = entry.setdefault(table, {})
    if not isinstance(held, dict):
        raise UnknownFieldError(f"{field}: {table!r} has no fields below it")
    held[leaf] = value
