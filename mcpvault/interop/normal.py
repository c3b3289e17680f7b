"""
One server's table in a client's own words, turned into the words that most clients share.

Pure; texts are ``Written`` and stay so. What has no common word stays as it is, and is kept or reported later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mcpvault.interop.source import Written

Tree = Mapping[str, Any]
_DOLLAR = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)|%([A-Za-z_][A-Za-z0-9_]*)%")
NAMED = "named"  # of a reference that Codex does not write, and means by the key
_SSE = re.compile(r"/sse(?:/|\Z)")


def as_it_is(table: Tree) -> Tree:
    """Return the table."""
    return table


def of_zed(table: Tree) -> Tree:
    """Zed: an older ``command`` is a table of path, args and env; ``timeout`` is in seconds."""
    found = dict(table)
    if isinstance(found.get("command"), dict):
        older: dict[str, Any] = found.pop("command")
        found = {**found, **{key: older[key] for key in ("args", "env") if key in older}}
        if "path" in older:
            found["command"] = older["path"]
    return _seconds(found, "timeout")


def of_codex(table: Tree) -> Tree:
    """Codex: environment variables are named by keys of their own, and nothing else is expanded."""
    found = dict(table)
    headers = dict(_table(found.pop("http_headers", None)))
    for name, variable in _table(found.pop("env_http_headers", None)).items():
        headers = {key: value for key, value in headers.items() if key.lower() != name.lower()}
        headers[name] = _reference(variable)
    if (variable := found.pop("bearer_token_env_var", None)) is not None:
        headers["Authorization"] = _reference(variable, "Bearer ")
    if headers:
        found["headers"] = headers
    passed = found.pop("env_vars", None)
    for each in passed if isinstance(passed, list) else ():
        variable = each.get("name") if isinstance(each, dict) else each
        if isinstance(variable, Written):
            found["env"] = {variable.reveal(): _reference(variable), **_table(found.get("env"))}
    if (scopes := found.pop("scopes", None)) is not None:
        found["oauth"] = {**_table(found.get("oauth")), "scopes": scopes}
    return _seconds(found, "tool_timeout_sec")


def of_gemini(table: Tree) -> Tree:
    """Gemini CLI: ``httpUrl`` is Streamable HTTP, ``url`` is HTTP+SSE; ``$VAR`` and ``%VAR%`` are references."""
    found = {key: _deep(value, _dollars) for key, value in table.items()}
    if "httpUrl" in found:
        found["url"] = found.pop("httpUrl")
    elif "url" in found:
        found["type"] = Written("sse")
    return _milliseconds(found, "timeout")


def of_fastmcp(table: Tree) -> Tree:
    """fastmcp: ``timeout`` is in milliseconds, and a URL with ``/sse`` in its path is HTTP+SSE."""
    found = dict(table)
    url = found.get("url")
    if isinstance(url, Written) and "transport" not in found and _SSE.search(url.reveal().partition("?")[0]):
        found["transport"] = Written("sse")
    return _milliseconds(found, "timeout")


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _reference(name: Any, before: str = "") -> Any:
    return Written(f"{before}${{{NAMED}:{name.reveal()}}}") if isinstance(name, Written) else name


def _seconds(found: dict[str, Any], key: str) -> dict[str, Any]:
    return _total(found, key, 1)


def _milliseconds(found: dict[str, Any], key: str) -> dict[str, Any]:
    return _total(found, key, 1000)


def _total(found: dict[str, Any], key: str, unit: int) -> dict[str, Any]:
    """Turn a length of time into whole seconds for a call, where it is a sane one."""
    value = found.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value / unit <= 86_400:
        del found[key]
        found["timeout_total"] = max(1, -int(-value // unit))
    return found


def _deep(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, Written):
        return Written(change(value.reveal()))
    if isinstance(value, list):
        return [_deep(each, change) for each in value]
    if isinstance(value, dict):
        return {key: _deep(each, change) for key, each in value.items()}
    return value


def _dollars(text: str) -> str:
    return _DOLLAR.sub(lambda found: f"${{{found[1] or found[2]}}}", text)
