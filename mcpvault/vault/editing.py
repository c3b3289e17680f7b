"""
A vault in an editor: sealed values as placeholders, and back.

No secret is ever decrypted into an editor. An unchanged placeholder keeps its ciphertext
byte for byte; new text in a secret field is sealed; a moved placeholder is refused, and so is
what resembles one: sealed, it would take the place of the secret.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mcpvault.errors import ConfigurationError, VaultFormatError
from mcpvault.secret import Secret
from mcpvault.vault import sealing
from mcpvault.vault.change import Change
from mcpvault.vault.run_variables import check_run_env
from mcpvault.vault.vaultfile import VaultFile
from vault_schema import SchemaError, binding_for, is_secret, new_text, rewrite, spec_for
from vault_schema.canonical import same
from vault_schema.forms import has_reference, without_references

_PLACEHOLDER = re.compile(r"<sealed (?:[0-9a-f]{8}|damaged)>")
_LIKE_ONE = re.compile(r"\W*sealed\b", re.IGNORECASE)
_LONGEST_LIKE_ONE = 40  # characters; a longer text is never so close to a placeholder
_DEEPEST = 40  # levels of tables and arrays; the format has fewer
_LINE = re.compile(r" \(at (line \d+), column \d+\)\Z")


def placeholder(vault: VaultFile, name: str, field: str, version: dict[str, Any]) -> str:
    """Return what stands for a sealed value: ``<sealed 9c1f2a7b>``, its fingerprint."""
    context = vault.seal_context(name, field, version)
    return f"<sealed {sealing.fingerprint_of(vault.keys.vault_key, version['sealed'], context) or 'damaged'}>"


def to_editor(vault: VaultFile, name: str | None = None) -> str:
    """Return the text to edit: the whole vault with its comments, or only the entry *name*."""
    if name is not None:
        vault.entry(name)
        return new_text({"servers": {name: _shown(vault, name)}})
    tree = vault.document.tree
    if "servers" not in tree:
        return vault.document.text
    return rewrite(
        vault.document.text, tree, {**tree, "servers": {each: _shown(vault, each) for each in tree["servers"]}}
    )


def _shown(vault: VaultFile, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = copy.deepcopy(vault.document.tree["servers"][name])
    for field in vault.sealed_fields(name):
        table, _, leaf = field.partition(".")
        current = [v for v in entry[table][leaf] if v["stage"] == "current"]
        entry[table][leaf] = placeholder(vault, name, field, current[0])
    return entry


def from_editor(change: Change, text: str, name: str | None = None) -> None:
    """
    Carry what an editor made of ``to_editor``'s text into *change*.

    Raises:
        VaultFormatError: It is no TOML; the message names the line and quotes nothing.
        ConfigurationError: A placeholder was moved or altered, the ``[vault]`` table was, something stands
            outside of it and of the entries, or ``run_env`` names a variable that steers programs.
    """
    vault = change.vault
    edited = _loaded(text)
    before = vault.document.tree.get("servers", {})
    if name is None and not same(edited.get("vault"), vault.document.tree["vault"]):
        raise ConfigurationError(
            "vault: this table is not for editing", hint="use slots, trust and sign; undo that part"
        )
    for key in edited.keys() - {"servers", *(("vault",) if name is None else ())}:
        raise ConfigurationError(f"{key!r} is no part of it", hint="entries are written [servers.NAME]")
    servers: Mapping[str, Any] = edited.get("servers", {})
    if not isinstance(servers, dict):
        raise ConfigurationError("servers: expected a table")
    if name is not None and set(servers) - {name}:
        raise ConfigurationError(f"expected only servers.{name} in the text", hint="run: mcpvault edit, without a name")
    for gone in set({name} & before.keys() if name else before) - servers.keys():
        change.remove_server(gone)
    for each, table in servers.items():
        if not isinstance(table, dict):
            raise ConfigurationError(f"servers.{each}: expected a table")
        _carry(change, each, table)


def _loaded(text: str) -> dict[str, Any]:
    try:
        tree = tomllib.loads(text)
        if _is_shallow(tree):
            return tree
        problem = "nested too deeply"
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as error:  # an integer of 5000 digits is one that names no line
        found = _LINE.search(str(error))
        problem = f"not TOML ({found[1]})" if found else "not TOML"
    raise VaultFormatError(f"the edited text is {problem}")


def _is_shallow(tree: dict[str, Any]) -> bool:
    """Tell whether walking *tree* by recursion is safe; dotted keys nest as deep as a line is long."""
    level: list[Any] = [tree]
    for _ in range(_DEEPEST):
        level = [inner for each in level for inner in _inner(each) if isinstance(inner, dict | list)]
    return not level


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in *value*, keys among them."""
    if isinstance(value, str):
        yield value
    for inner in _inner(value):
        yield from _texts(inner)


def _carry(change: Change, name: str, table: dict[str, Any]) -> None:
    vault = change.vault
    known = name in vault.document.tree.get("servers", {})
    kept = dict.fromkeys(vault.sealed_fields(name), vault.document.tree["servers"][name]) if known else {}
    fresh: list[tuple[str, Secret]] = []
    for field, holder, leaf in list(_leaves(table)):
        value = holder[leaf]
        found = _PLACEHOLDER.search(value)
        if found is not None:
            head, _, tail = field.partition(".")
            versions = kept[field][head][tail] if field in kept else []
            current = [v for v in versions if v["stage"] == "current"]
            if not current or placeholder(vault, name, field, current[0]) != value:
                raise _misplaced(name, field, found[0])
            holder[leaf] = copy.deepcopy(versions)
        elif (is_secret(field) or field in kept) and value:
            _check_no_remnant(vault, name, field, value, kept=field in kept)
            if not has_reference(value):
                fresh.append((field, Secret(value)))
                del holder[leaf]
    strays = (stray for text in _texts({name: table}) if (stray := _PLACEHOLDER.search(text)) is not None)
    if (stray := next(strays, None)) is not None:
        raise _misplaced(name, "", stray[0])
    moved: list[str] = []
    if known:
        old = vault.document.tree["servers"][name]
        moved = [field for field in kept if _bound(old, field) != _bound(table, field)]
        # An entry that leads nowhere is refused as such.
        if any(_stays(table, field) and _bound(table, field) for field in moved):
            changed = next(each for each in ("url", "command", "args") if old.get(each) != table.get(each))
            raise ConfigurationError(
                f"servers.{name}.{changed}: sealed values are bound to the old one",
                hint=f"let them follow knowingly: mcpvault set {name} {changed} …",
                server=name,
            )
        if same(old, table) and not fresh:
            return
        change.tree["servers"][name] = copy.deepcopy(old)
    check_run_env(name, table.get("run_env"))
    change.replace_server(name, table, keep=[field for field, _ in fresh if field in kept and field not in moved])
    for field, secret in fresh:
        change.set_secret(name, field, secret)


def _check_no_remnant(vault: VaultFile, name: str, field: str, value: str, *, kept: bool) -> None:
    """Refuse what an editor has made of a placeholder; it is not quoted, for it may be a secret after all."""
    text = without_references(value).strip()
    if _LIKE_ONE.match(text) is None and (
        len(text) > _LONGEST_LIKE_ONE or not get_close_matches(text.lower(), _handed_out(vault), n=1, cutoff=0.6)
    ):
        return
    way = f"a secret that looks so: mcpvault set {name} {field} --stdin"
    if kept:
        versions: Any = vault.document.tree["servers"][name]
        for part in field.split(".", 1):
            versions = versions[part]
        [current] = (version for version in versions if version["stage"] == "current")
        way = f"{placeholder(vault, name, field, current)} keeps the secret; {way}"
    raise ConfigurationError(
        f"servers.{name}.{field}: resembles a placeholder, and is none that was shown there", hint=way, server=name
    )


def _handed_out(vault: VaultFile) -> set[str]:
    found = set()
    for name in vault.document.server_names:
        shown = _shown(vault, name)
        for field in vault.sealed_fields(name):
            table, _, leaf = field.partition(".")
            found.add(shown[table][leaf])
    return found


def _misplaced(name: str, field: str, shown: str) -> ConfigurationError:
    return ConfigurationError(
        f"servers.{name}{'.' if field else ''}{field}: {shown} does not belong here",
        hint="a sealed value cannot be moved; set it again with: mcpvault set",
        server=name,
    )


def _bound(entry: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """Return what a sealed *field* of *entry* would be bound to; nothing where that leads nowhere."""
    spec = spec_for(field)
    try:
        return binding_for(entry, spec) if spec is not None else ()
    except SchemaError:
        return ()


def _stays(table: Mapping[str, Any], field: str) -> bool:
    head, _, tail = field.partition(".")
    held = table.get(head)
    return isinstance(held, dict) and isinstance(held.get(tail), list)


def _leaves(table: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    for head, held in table.items():
        if isinstance(held, str):
            yield head, table, head
        elif isinstance(held, dict):
            for leaf, value in held.items():
                if isinstance(value, str):
                    yield f"{head}.{leaf}", held, leaf
