"""What an endpoint answers: a ``Reply``, or an ``OAuthRefusal`` that becomes one."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

Json = dict[str, Any]

DECISION = (
    '<label>Name <input name="user" value="user"></label> <button name="decision" value="allow">Allow</button> '
    '<button name="decision" value="deny">Deny</button>'
)

# RFC 6749 §5.1: "Cache-Control … no-store", "Pragma … no-cache" in any response with tokens.
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer; ``document`` is the JSON in the body, if it is JSON."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Json | None = None

    def adding(self, headers: Mapping[str, str]) -> Reply:
        """Return it with more headers."""
        return Reply(self.status, self.body, {**self.headers, **headers}, self.document)


class OAuthRefusal(Exception):
    """An error answer in JSON (RFC 6749 §5.2 and those that borrow from it)."""

    def __init__(
        self,
        error: str,
        description: str = "",
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{error}: {description}")
        self.error, self.description, self.status = error, description, status
        self.headers, self.extra = dict(headers or {}), dict(extra or {})

    def reply(self) -> Reply:
        """Return the answer."""
        told = {"error": self.error, "error_description": self.description, **self.extra}
        return json_reply(told, self.status).adding({**NO_STORE, **self.headers})


def json_reply(document: Json, status: int = 200) -> Reply:
    """Return a JSON document."""
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"}, document)


def redirect(url: str, parameters: Mapping[str, str], status: int = 302) -> Reply:
    """Send the user-agent to *url* with *parameters* added to whatever query it has."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode(parameters)]))
    return Reply(status, b"", {"Location": urlunsplit(parts._replace(query=query)), **NO_STORE})


def page(title: str, inner: str, status: int = 200, **headers: str) -> Reply:
    """Return a small page of HTML; *inner* is markup, *title* is text."""
    text = f'<!doctype html><html lang="en"><title>{html.escape(title)}</title><h1>{html.escape(title)}</h1>{inner}'
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, text.encode(), {"Content-Type": "text/html; charset=utf-8", **NO_STORE, **named})
