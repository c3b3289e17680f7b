"""
What a foreign file says about OAuth: a client that is registered already, scopes, where to be sent back to.

Decides what of it can be taken over. A client's secret cannot: it is sealed for its issuer, which no such file names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcpvault.interop.entry import Draft
from mcpvault.interop.source import Written

_NAMES: Mapping[str, tuple[str, ...]] = {
    "client_id": ("client_id", "clientId", "CLIENT_ID"),
    "client_metadata_url": ("client_metadata_url", "clientMetadataUrl"),
    "redirect_uri": ("redirect_uri", "redirectUri"),
}
_SECRETS = ("client_secret", "clientSecret", "CLIENT_SECRET")
_SCOPES = ("scope", "scopes")


def take(draft: Draft, kind: str, keys: dict[str, Any]) -> None:
    """Take over ``auth`` and ``oauth`` of a server's table, where they are about OAuth."""
    said = [keys.pop(key) for key in ("oauth", "auth") if isinstance(keys.get(key), dict | bool)]
    resource = keys.pop("oauth_resource", None)
    tables = [each for each in said if isinstance(each, dict) and each.get("enabled") is not False]
    if not tables and True not in said:
        return
    if draft.tree.get("auth", {}).get("kind", "oauth") != "oauth":
        draft.losses.append("oauth: the entry has a token besides, which is used")
        return
    draft.put("auth.kind", "oauth")
    if isinstance(resource, Written):
        draft.put("auth.resource", resource.reveal())
    for table in tables:
        _client(draft, kind, table)


def _client(draft: Draft, kind: str, table: Mapping[str, Any]) -> None:
    for field, names in _NAMES.items():
        value = _first(table, names)
        if value is None or (field == "client_metadata_url" and "client_id" in draft.tree["auth"]):
            continue
        if "${" in value.reveal():
            draft.todo.append(f"auth.{field}: {names[0]} is a reference, which has no meaning there: write what it is")
        else:
            draft.put(f"auth.{field}", value.reveal())
    scopes = next((table[name] for name in _SCOPES if name in table), None)
    words = [each.reveal() for each in scopes if isinstance(each, Written)] if isinstance(scopes, list) else []
    if text := " ".join(scopes.reveal().split() if isinstance(scopes, Written) else words):
        draft.put("auth.scope", text)
    if _first(table, _SECRETS) is not None:
        draft.kept_back = True
        draft.losses.append("auth.client_secret: is sealed for its issuer, which the source does not name")
        draft.todo.append(
            f"auth.client_secret: run: mcpvault set {draft.name} auth.issuer URL, "
            f"then: mcpvault set {draft.name} auth.client_secret --stdin"
        )
    if kind == "cursor" and "client_id" in draft.tree["auth"]:
        draft.todo.append("auth: a client registered for Cursor's redirect URI cannot be used here: register another")
    known = {name for names in (*_NAMES.values(), _SECRETS, _SCOPES) for name in names} | {"enabled"}
    draft.losses += [f"oauth.{key}: is found out by mcpvault itself" for key in table if key not in known]


def _first(table: Mapping[str, Any], names: tuple[str, ...]) -> Written | None:
    found = next((table[name] for name in names if isinstance(table.get(name), Written)), None)
    return found if found is not None and found.reveal() else None
