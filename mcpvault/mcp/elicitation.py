"""
Elicitation: what a server asks a person through us, as the values that a callback gets.

Decides what makes a request proper, which URL is not even shown or deserves a warning, and which answer fits.
Opens no URL and fetches none.

Spec: MCP 2026-07-28 "Elicitation"; ElicitResult.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from mcpvault.errors import RemoteProtocolError, UsageError
from mcpvault.mcp import forms
from mcpvault.mcp.wire import Json

_LONGEST_URL = 8192  # characters
_URL = re.compile(r"https?://[!-\[\]-~]+", re.IGNORECASE)  # in ASCII, and without a backslash
_PLACE = re.compile(r"(?:\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9.-]*)(?::[0-9]*)?")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")  # what "ends in a number" is an address -- WHATWG URL


class _Elicitation:
    """What both modes have: who asks, and why."""

    def __init__(self, params: Json, server: str) -> None:
        message = params.get("message")
        if not isinstance(message, str):
            raise RemoteProtocolError(f"{server}: the server asks without a message", server=server)
        self.server = server
        self.message = message
        self.raw = params

    def decline(self) -> Json:
        """Return the answer "no"."""
        return {"action": "decline"}

    def cancel(self) -> Json:
        """Return the answer of somebody who closes the question without saying yes or no."""
        return {"action": "cancel"}


class FormElicitation(_Elicitation):
    """
    A form to fill in. Show who asks, let the answers be reviewed, and take no for an answer.

    Attributes:
        server: The vault entry whose server asks.
        message: Why, in the server's words.
        fields: What it asks for; see ``mcpvault.mcp.forms.Field``.
    """

    def __init__(self, params: Json, server: str) -> None:
        super().__init__(params, server)
        self.fields = forms.fields_of(params.get("requestedSchema"), server=server)

    def accept(self, content: Mapping[str, Any] | None = None) -> Json:
        """
        Return the answer with *content*, and with the defaults of the fields that it leaves out.

        Raises:
            UsageError: A field does not fit its schema; the message begins with its name.
        """
        filled = forms.filled_in(self.fields, content or {})
        if (fault := forms.fault_in(self.fields, filled)) is not None:
            raise UsageError(f"{self.server}: the form: {fault}", server=self.server)
        return {"action": "accept", "content": filled}


class UrlElicitation(_Elicitation):
    """
    A page for a person to visit, outside of this conversation.

    Show ``url`` in full, ``host`` and ``warnings``, and open it only after the person agreed: in their
    browser, without a shell. Nothing here has fetched any of it.

    Attributes:
        server: The vault entry whose server asks.
        message: Why, in the server's words.
        url: The whole URL.
        host: Where it leads.
        warnings: What is suspicious about it.
        elicitation_id: The server's name for it (2025-11-25), or None.
    """

    def __init__(self, params: Json, server: str) -> None:
        super().__init__(params, server)
        url = params.get("url")
        if not isinstance(url, str) or len(url) > _LONGEST_URL or not _URL.fullmatch(url):
            raise RemoteProtocolError(f"{server}: the server wants a visit to something that is no URL", server=server)
        parts = _parts(url)
        if parts is None or not parts.hostname:
            raise RemoteProtocolError(
                f"{server}: the server wants a visit to a URL whose host browsers may read otherwise", server=server
            )
        self.url = url
        self.host = host = parts.hostname
        found = params.get("elicitationId")
        self.elicitation_id = found if isinstance(found, str) else None
        doubts = {
            "the host is written in Punycode: it may look like another": "xn--" in host,
            "the URL holds a user name, which may look like the host": "@" in parts.netloc,
            "the connection is not encrypted": parts.scheme == "http" and host not in ("localhost", "127.0.0.1", "::1"),
        }
        self.warnings = tuple(text for text, holds in doubts.items() if holds)

    def accept(self) -> Json:
        """Return the consent: the person agreed to go there. What became of it, only the server knows."""
        return {"action": "accept"}


def _parts(url: str) -> SplitResult | None:
    """
    Return the parts of *url*; None where its host is none, or a browser may see another one in it.

    Browsers decode the host's percent signs, take a backslash for a slash, and numbers of any base for addresses.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        if ":" in host or _NUMBER.fullmatch(host):
            ip_address(host)
    except ValueError:
        return None
    return parts if _PLACE.fullmatch(parts.netloc.rpartition("@")[2].lower()) else None


def answer_of(asked: FormElicitation | UrlElicitation, given: Any) -> Json:
    """
    Return a callback's answer as an ElicitResult; None declines.

    Raises:
        UsageError: The callback returned something else.
    """
    if given is None:
        return asked.decline()
    action = given.get("action") if isinstance(given, dict) else None
    if action in ("decline", "cancel"):
        return {"action": action}
    if action == "accept":
        return asked.accept(given.get("content")) if isinstance(asked, FormElicitation) else asked.accept()
    raise UsageError(
        f"{asked.server}: the elicitation callback returned no answer",
        hint="return request.accept(…), request.decline(), request.cancel() or None",
        server=asked.server,
    )
