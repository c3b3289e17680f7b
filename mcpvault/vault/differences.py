"""What changed between two vaults, as a person must see it before signing: structure, never secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vault_schema.record import Record

_DANGEROUS = frozenset(
    "url command args cwd approved allow_http allow_private_hosts allow_commands credential issuer resource "
    "strict_resource assertion_audience client_metadata_url redirect_uri token_endpoint_auth_method "
    "assume_pkce_s256 idp_issuer idp_token_endpoint".split()
)
_DANGEROUS_TABLES = (".env.", ".proxies.", ".tls.")
_RUNS = ("${cmd:", "${file:")
_OWN = frozenset({"serial", "mac", "sig"})
_Leaf = tuple[str | None, Mapping[str, Any]]
_NOTHING: _Leaf = (None, {})


class Difference(Record):
    """
    One change.

    ``path`` is dotted; ``before`` and ``after`` are shown values (None: not there); ``alarming`` marks
    what can send a secret elsewhere or run a program.
    """

    path: str
    before: str | None
    after: str | None
    alarming: bool

    def __str__(self) -> str:
        mark = "! " if self.alarming else "  "
        if self.before is None:
            return f"{mark}+ {self.path} = {self.after}"
        if self.after is None:
            return f"{mark}- {self.path} (was {self.before})"
        return f"{mark}~ {self.path}: {self.before} -> {self.after}"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return what differs between two trees, in the order of the file; sealed values show as ``<sealed v3>``."""
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    found = []
    for path in {**new, **old}:
        was, now = old.get(path, _NOTHING), new.get(path, _NOTHING)
        if was != now:
            shown = now[0] if was[0] != now[0] else _beyond_the_summary(was[1], now[1])
            found.append(Difference(path=path, before=was[0], after=shown, alarming=_alarming(path, now[0], after)))
    return found


def _alarming(path: str, value: str | None, after: Mapping[str, Any]) -> bool:
    table, _, rest = path.partition(".")
    if value is None and table == "servers" and rest.partition(".")[0] not in after.get("servers", {}):
        return False
    # Where the setting alone is gone its default decides: without "approved = false" a command runs.
    dangerous = path.rpartition(".")[2] in _DANGEROUS or any(table in path for table in _DANGEROUS_TABLES)
    return path.startswith("vault.") or dangerous or any(mark in (value or "") for mark in _RUNS)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, _Leaf]]:
    """Yield path, and what is shown with, for a slot or a sealed value, the whole of it."""
    if isinstance(value, Mapping):
        for name, held in value.items():
            if path == "vault" and name in _OWN:
                continue
            yield from _leaves(held, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            if "sealed" in item or "pub" in item:
                yield f"{path}[{item.get('id', item.get('v', index))}]", (_summary(item), item)
            else:
                yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, (repr(value), {})


def _summary(item: Mapping[str, Any]) -> str:
    if "sealed" in item:
        bound = " ".join(map(str, item.get("bound", ())[1:]))
        return f"<sealed v{item.get('v')} {item.get('stage')} for {bound} …{str(item['sealed'])[-8:]}>"
    return f"<{item.get('role')} slot, {item.get('kind')}, key {str(item.get('pub'))[:8]}…>"


def _beyond_the_summary(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return f"the same, but for {', '.join(changed)}"
