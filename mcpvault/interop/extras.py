"""
Keys that only a client understands: kept below ``x-<client>``, so that nothing is lost unseen.

Decides what may be kept. A secret there has no field to be sealed in: it is reported, and
the source keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from mcpvault.interop import literals
from mcpvault.interop.entry import Draft
from mcpvault.interop.source import Written
from vault_schema import is_sensitive_name

_DEEPEST = 8  # levels


def keep(draft: Draft, kind: str, keys: Mapping[str, Any]) -> None:
    """Take over what is left of a server's table, and say what it means for the person."""
    rest = dict(keys)
    for key in ("disabled", "enabled"):
        if isinstance(rest.get(key), bool) and rest[key] is (key == "disabled"):
            draft.todo.append(f"{key}: the entry was switched off in the source; here it can be used")
    if "headersHelper" in rest:
        del rest["headersHelper"]
        draft.kept_back = True
        draft.losses.append("headersHelper: a command that makes headers is never run")
        draft.todo.append("headersHelper: store what it prints, or refer to it by ${cmd:[…]} in a vault that allows it")
    if kind == "claude-code" and isinstance(rest.get("timeout"), int | float) and 0 < rest["timeout"] < 86_400_000:
        draft.put("timeout", {"total": max(1, ceil(rest.pop("timeout") / 1000))})
    if isinstance(rest.get("envFile"), Written):
        draft.todo.append("envFile: its variables are not read; name those that the server needs in env")
    kept = {key: value for key, value in ((key, _clean(draft, key, value, 0)) for key, value in rest.items())
            if value is not None}  # fmt: skip
    if kept:
        draft.tree.setdefault(f"x-{kind}", {}).update(kept)
        draft.losses += [f"{key}: means nothing to mcpvault; kept below x-{kind}" for key in kept]


def keep_inputs(draft: Draft, kind: str) -> None:
    """Keep what VS Code asks a person for, by the variable that stands for it here: ``export`` asks in these words."""
    kept = {}
    for name, called in draft.inputs.items():
        said = dict(draft.dialect.declared.get(called, {}))
        if (draft.dialect.inputs or {}).get(called) is None:
            said.pop("default", None)  # it may be a secret
        kept[name] = {**(_clean(draft, f"inputs.{name}", said, 0) or {}), "id": called}
    if kept:
        draft.tree.setdefault(f"x-{kind}", {})["inputs"] = kept


def _clean(draft: Draft, path: str, value: Any, depth: int) -> Any:
    """Return *value* as TOML can say it, or None if it is left out."""
    if isinstance(value, Written):
        name = path.rpartition(".")[2]
        if literals.left_in_clear(name, value.reveal()):
            draft.kept_back = True
            draft.losses.append(f"{path}: a secret that no field of an entry can hold")
            return None
        return value.reveal()
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else str(value)
    if isinstance(value, bool | int):
        return value
    if value is None or depth >= _DEEPEST:
        draft.losses.append(f"{path}: cannot be written down")
        return None
    if isinstance(value, dict):
        cleaned = {key: _clean(draft, f"{path}.{key}", each, depth + 1) for key, each in value.items()}
        return {key: each for key, each in cleaned.items() if each is not None}
    # The items of a list share its name: "tokens": ["…"] is as secret as "token".
    item = path if is_sensitive_name(path.rpartition(".")[2]) else f"{path}.item"
    return [each for each in (_clean(draft, item, each, depth + 1) for each in value) if each is not None]
