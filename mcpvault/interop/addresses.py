"""
The URL of a foreign entry: without a password, without a fragment, without a secret in clear.

Decides what of a URL can stand in a vault. A secret in a query or a path has no field to be
sealed in: a reference takes its place, and the source keeps it.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from mcpvault.interop import literals
from mcpvault.interop.dialects import variable
from mcpvault.interop.entry import Draft, Unfit
from mcpvault.interop.source import Written

_LOOPBACK = re.compile(r"(?i)http://(?:localhost|127(?:\.[0-9]+){3}|\[::1\])(?:[:/?]|\Z)")
_USER = re.compile(r"(?i)\A(https?://)([^/?#@]*)@")


def place(draft: Draft, address: Written) -> tuple[Written, Written] | None:
    """
    Put *address* into the draft, and return the user name and password that stood in it.

    Raises:
        Unfit: It leads nowhere that a session can go.
    """
    address = Written(address.reveal().strip())
    if not re.match(r"(?i)https?://", address.reveal()):
        raise Unfit("url: expected http or https, with the host in clear")
    login = _login(address)
    if login is None and _USER.match(address.reveal()):
        draft.kept_back = True
        draft.losses.append("url: the user name in it, which has no password")
        draft.todo.append(f"url: if its user name was a token, store it: mcpvault set {draft.name} auth.token --stdin")
    found = draft.translated("url", _USER.sub(r"\1", address.reveal()).partition("#")[0])
    if "#" in address.reveal():
        draft.losses.append("url: its fragment, which is never sent")
    draft.put("url", _without_secrets(draft, Written(found.text)))
    if found.text.lower().startswith("http://") and not _LOOPBACK.match(found.text):
        draft.todo.append(f"url: is plain http; if that is meant, run: mcpvault set {draft.name} allow_http true")
    return login


def _login(address: Written) -> tuple[Written, Written] | None:
    user = _USER.match(address.reveal())
    if user is None:
        return None
    name, _, word = user[2].partition(":")
    return (Written(unquote(name)), Written(unquote(word))) if name and word else None


def _without_secrets(draft: Draft, url: Written) -> str:
    """Return the URL with references where secrets stood in its query and path."""
    head, mark, query = url.reveal().partition("?")
    parts = []
    for part in query.split("&") if mark else ():
        name, equals, value = part.partition("=")
        if equals and literals.left_in_clear(unquote(name), unquote(value)):
            part = f"{name}={_reference(draft, variable(unquote(name), 'SECRET'), 'query')}"
        parts.append(part)
    pieces = head.split("/")
    for index, piece in enumerate(pieces[3:], start=3):
        if literals.left_in_clear("", unquote(piece)):
            pieces[index] = _reference(draft, variable(f"{draft.name} url", "SECRET"), "path")
    return "/".join(pieces) + (f"?{'&'.join(parts)}" if mark else "")


def _reference(draft: Draft, name: str, part: str) -> str:
    draft.kept_back = True
    draft.references.append(name)
    draft.losses.append(f"url: the secret in its {part}, which no field can hold")
    draft.todo.append(f"url: a secret stood in its {part}: set {name} where mcpvault runs")
    return f"${{env:{name}}}"
