"""
The judge of documents: one pass over a decoded tree, driven by the tables of ``fields``.

Decides which fields there may be and which belong together. Leaves single values to
``values``, and lines to ``parse``.

Spec: SPEC §5, §6, §9.5, §10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from vault_schema.fields import (
    FIELDS,
    HEADER_FIELDS,
    RETIRED_FIELDS,
    SLOT_FIELDS,
    VERSION_FIELDS,
    is_sensitive_name,
)
from vault_schema.forms import FORMS, KEY_FORMS, MATCH, MATCH_KEY, FieldSpec
from vault_schema.values import CHECKS, Fault, expected, extra, extra_name, name_of, plain_by_name, secret_text, unknown

_DEEPEST: Final = 16  # levels inside an ``x-`` key

Check = Callable[[Any, FieldSpec], None]


class Node:
    """What one table may hold: fields, tables, or (``any``) any name that ``key_form`` allows."""

    __slots__ = ("any", "fields", "key_form", "of_kind", "required", "tables")

    def __init__(self, specs: Iterable[tuple[str, FieldSpec]], key_form: str = "") -> None:
        self.fields: dict[str, tuple[Check, FieldSpec]] = {}
        self.tables: dict[str, Node] = {}
        self.any: FieldSpec | None = None
        self.key_form = key_form
        below: dict[str, list[tuple[str, FieldSpec]]] = {}
        for path, spec in specs:
            head, _, rest = path.partition(".")
            if head == "*":
                self.any = spec
            elif rest:
                below.setdefault(head, []).append((rest, spec))
            else:
                self.fields[head] = (_check_for(spec), spec)
        for head, inner in below.items():
            self.tables[head] = Node(inner, head)
        required = [(key, spec.kinds) for key, (_, spec) in self.fields.items() if spec.required]
        self.required = tuple(key for key, kinds in required if not kinds)
        self.of_kind: dict[str, list[str]] = {}
        for key, kinds in required:
            for kind in kinds:
                self.of_kind.setdefault(kind, []).append(key)


def _node(specs: Iterable[FieldSpec]) -> Node:
    return Node((spec.path, spec) for spec in specs)


def _check_for(spec: FieldSpec) -> Check:
    if spec.may_be_secret:
        return _secret
    return CHECKS[spec.form if spec.form in ("url", "proxy") else spec.type]


MOST_PASSPHRASES: Final = 8  # each costs whoever types a passphrase a whole Argon2id


def header(table: dict[str, Any]) -> None:
    """Judge the ``[vault]`` table and its slots."""
    _walk(table, _HEADER)
    seen: set[str] = set()
    admins = 0
    for index, slot in enumerate(table["slots"]):
        try:
            _walk(slot, _SLOT)
            _kind_rules(slot, _SLOT, slot["kind"], "a slot of kind")
            if slot["id"].lower() in seen:
                raise Fault(f"a second slot is named {slot['id']!r}", "id")
            if (slot["role"] == "admin") != ("sbox" in slot):
                raise Fault("belongs to a slot of role admin, and only there", "sbox")
        except Fault as fault:
            fault.trail[:0] = ["slots", index]
            raise
        seen.add(slot["id"].lower())
        admins += slot["role"] == "admin"
    if sum(slot["kind"] == "passphrase" for slot in table["slots"]) > MOST_PASSPHRASES:
        raise Fault(f"more than {MOST_PASSPHRASES} slots of kind 'passphrase'", "slots")
    if not admins:
        raise Fault("no slot has role 'admin', so nobody could ever change this vault", "slots")
    for index, row in enumerate(table.get("retired", ())):
        try:
            _walk(row, _RETIRED)
            if row["epoch"] >= table["epoch"]:
                raise Fault("expected an epoch before the vault's", "epoch")
            if not row["key"].startswith(f"mv1.{table['epoch']}."):
                raise Fault("sealed in another epoch than the vault's", "key")
        except Fault as fault:
            fault.trail[:0] = ["retired", index]
            raise


def servers(table: dict[str, Any], epoch: int, good: Mapping[str, Any] = MappingProxyType({})) -> None:
    """
    Judge all entries.

    Args:
        table: The entries.
        epoch: The vault's, which every sealed value must carry.
        good: Entries that were judged before in this epoch; the very same object is not judged again.
    """
    match = MATCH["name"]
    prefix = f"mv1.{epoch}."
    folded: dict[str, str] = {}
    walk, node = _walk, _ENTRY
    for name, entry in table.items():
        try:
            if match(name) is None:
                raise Fault(f"an entry's name is {FORMS['name'].expects}")
            lower = name.lower()
            if lower in folded:
                raise Fault(f"differs only in case from the entry {folded[lower]!r}")
            folded[lower] = name
            if entry is good.get(name):
                continue
            if type(entry) is not dict:
                raise Fault(f"expected a table, got {name_of(entry)}")
            walk(entry, node)
            _entry_rules(entry, prefix)
        except Fault as fault:
            fault.trail.insert(0, name)
            raise


def _walk(table: dict[str, Any], node: Node) -> None:
    fields, tables = node.fields, node.tables
    key = ""
    try:
        for key, value in table.items():
            found = fields.get(key)
            if found is not None:
                found[0](value, found[1])
            elif key in tables:
                if type(value) is not dict:
                    raise Fault(f"expected a table, got {name_of(value)}")
                inner = tables[key]
                if inner.any is None:
                    _walk(value, inner)
                else:
                    _names(value, inner)
            elif node is _ENTRY and key.startswith("x-"):
                extra_name(key)
                extra(value, _DEEPEST)
            else:
                raise unknown(key, [*fields, *tables])
    except Fault as fault:
        fault.trail.insert(0, key)
        raise
    for key in node.required:
        if key not in table:
            raise Fault("missing", key)


def _names(table: dict[str, Any], node: Node) -> None:
    spec, match = node.any, MATCH_KEY[node.key_form]
    assert spec is not None  # noqa: S101 -- the caller looked
    folded: set[str] = set()
    key = ""
    try:
        for key, value in table.items():
            if match(key) is None:
                raise Fault(f"expected {KEY_FORMS[node.key_form].expects} as its name")
            if spec.form == "header":
                if key.lower() in folded:
                    raise Fault("a second header of that name, whatever its case")
                folded.add(key.lower())
            if not spec.may_be_secret:
                CHECKS[spec.type](value, spec)
            elif type(value) is str and not is_sensitive_name(key):
                plain_by_name(value, spec)
            else:
                _secret(value, spec)
    except Fault as fault:
        fault.trail.insert(0, key)
        raise


def _secret(value: Any, spec: FieldSpec) -> None:
    if type(value) is str:
        secret_text(value, spec)
    elif type(value) is list:
        _versions(value, spec)
    else:
        raise expected("text", value)


def _versions(versions: list[Any], spec: FieldSpec) -> None:
    stages: set[str] = set()
    numbers: set[int] = set()
    if not versions:
        raise Fault("expected at least one version")
    for index, version in enumerate(versions):
        try:
            if type(version) is not dict:
                raise expected("a table", version)
            _walk(version, _VERSION)
            bound = version["bound"]
            if len(bound) < 2 or bound[0] != spec.bound_to:
                raise Fault(f"expected {spec.bound_to!r} and what it says", "bound")
            if version["stage"] in stages:
                raise Fault(f"a second version has stage {version['stage']!r}", "stage")
            if version["v"] in numbers:
                raise Fault(f"a second version has number {version['v']}", "v")
        except Fault as fault:
            fault.trail.insert(0, index)
            raise
        stages.add(version["stage"])
        numbers.add(version["v"])
    if "current" not in stages:
        raise Fault("no version has stage 'current'")


def _kind_rules(table: dict[str, Any], node: Node, kind: str, what: str) -> None:
    for key in table:
        found = node.fields.get(key)
        if found is not None and found[1].kinds and kind not in found[1].kinds:
            raise Fault(f"has no meaning for {what} {kind!r}", key)
    for key in node.of_kind.get(kind, ()):
        if key not in table:
            raise Fault(f"missing, and {what} {kind!r} needs it", key)


def _client_rules(auth: dict[str, Any]) -> None:
    """Judge what belongs together in the OAuth kinds (SPEC §10.3)."""
    kind, secret, key = auth["kind"], "client_secret" in auth, "private_key" in auth
    if kind == "client_credentials" and not (secret or key):
        raise Fault("missing, and auth of kind 'client_credentials' needs it or private_key", "client_secret")
    if secret and key:
        raise Fault("a client proves itself by client_secret or by private_key, not by both", "private_key")
    if secret or key:
        what = "client_secret" if secret else "private_key"
        for needed in ("client_id", "issuer"):
            if needed not in auth:
                raise Fault(f"missing, and {what} needs it: a secret goes to the issuer that it is for", needed)
    if "client_id" in auth and "client_metadata_url" in auth:
        raise Fault("has no meaning beside client_id", "client_metadata_url")


def _entry_rules(entry: dict[str, Any], prefix: str) -> None:
    if "url" in entry:
        if not _STDIO_ONLY.isdisjoint(entry):
            key = next(key for key in entry if key in _STDIO_ONLY)
            raise Fault("has no meaning beside url, an entry names either a url or a command", key)
    elif "command" not in entry:
        raise Fault("names neither a url nor a command")
    elif not _HTTP_ONLY.isdisjoint(entry):
        key = next(key for key in entry if key in _HTTP_ONLY)
        raise Fault("has no meaning for a command", key)
    auth = entry.get("auth")
    if auth is not None:
        try:
            _kind_rules(auth, _ENTRY.tables["auth"], auth["kind"], "auth of kind")
            _client_rules(auth)
        except Fault as fault:
            fault.trail.insert(0, "auth")
            raise
    for table in ("auth", "headers", "env"):
        for key, value in entry.get(table, _NOTHING).items():
            if type(value) is list:
                for index, version in enumerate(value):
                    if not version["sealed"].startswith(prefix):
                        raise Fault("sealed in another epoch than the vault's", table, key, index, "sealed")


_HEADER: Final = _node(HEADER_FIELDS)
_SLOT: Final = _node(SLOT_FIELDS)
_RETIRED: Final = _node(RETIRED_FIELDS)
_VERSION: Final = _node(VERSION_FIELDS)
_ENTRY: Final = _node(FIELDS)
_HTTP_ONLY: Final = frozenset(spec.path.partition(".")[0] for spec in FIELDS if spec.entry == "http")
_STDIO_ONLY: Final = frozenset(spec.path.partition(".")[0] for spec in FIELDS if spec.entry == "stdio")
_NOTHING: Final[dict[str, Any]] = {}
