"""What changed between two vaults, as a person must see it before signing: structure, never secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vault_schema.record import Record

_DANGEROUS = ("url", "command", "args", "cwd", "approved", "allow_http", "allow_private_hosts", "allow_commands")
_DANGEROUS_TABLES = (".env.", ".proxies.", ".tls.")
_RUNS = ("${cmd:", "${file:")
_OWN = frozenset({"serial", "mac", "sig"})


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
    return [
        Difference(path=path, before=old.get(path), after=new.get(path), alarming=_alarming(path, new.get(path)))
        for path in {**new, **old}
        if old.get(path) != new.get(path)
    ]


def _alarming(path: str, value: str | None) -> bool:
    if value is None:
        return False
    leaf = path.rpartition(".")[2]
    dangerous = leaf in _DANGEROUS or any(table in path for table in _DANGEROUS_TABLES)
    return path.startswith("vault.") or dangerous or any(mark in value for mark in _RUNS)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, held in value.items():
            if path == "vault" and name in _OWN:
                continue
            yield from _leaves(held, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            if "sealed" in item or "pub" in item:
                yield f"{path}[{item.get('id', item.get('v', index))}]", _summary(item)
            else:
                yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, repr(value)


def _summary(item: Mapping[str, Any]) -> str:
    if "sealed" in item:
        bound = " ".join(map(str, item.get("bound", ())[1:]))
        return f"<sealed v{item.get('v')} {item.get('stage')} for {bound} …{str(item['sealed'])[-8:]}>"
    return f"<{item.get('role')} slot, {item.get('kind')}, key {str(item.get('pub'))[:8]}…>"
