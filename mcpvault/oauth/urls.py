"""
The URLs of OAuth: what they are made of, and which may be talked to.

Rule: nothing here re-serialises a URL. Issuers and resources are compared as they were written, and a
class that normalises them breaks that.
"""

from __future__ import annotations

import re

from mcpvault.quoting import quote
from vault_schema import SchemaError, origin_of

# RFC 3986 appendix B. It matches any text: what is no URL has an empty base.
_URL = re.compile(r"((?:[^:/?#]+:)?(?://[^/?#]*)?)([^?#]*)(\?[^#]*)?", re.DOTALL)
_LOOPBACK = re.compile(r"http://(?:(?:[^:]+\.)?localhost|127(?:\.[0-9]+){3}|\[::1\]):[0-9]+")


def split(url: str) -> tuple[str, str, str]:
    """Return the three pieces of *url*: scheme and authority, path, query with its question mark."""
    found = _URL.match(url)
    return (found[1], found[2], found[3] or "") if found is not None else ("", url, "")


def pasted(text: str) -> str:
    """Return what was copied, without the space or the pair of quotes around it: no address ends with one."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and f"{text[0]}{text[-1]}" in ('""', "''", "``", "<>") else text


def shown(url: str) -> str:
    """Return *url* fit for a message: quoted, and without its query, which may hold a credential."""
    base, path, query = split(url)
    return quote(f"{base}{path}{'?…' if query else ''}")


def flaw(url: str, *, allow_http: bool = False) -> str | None:
    """
    Return what forbids to send an OAuth request to *url*, or None.

    "All authorization server endpoints MUST be served over HTTPS." -- MCP 2026-07-28, Communication Security.
    Plain http is left to loopback, and to an entry that says *allow_http*.
    """
    try:
        origin = origin_of(url)
    except SchemaError as error:
        return error.message
    if origin.startswith("http:") and not allow_http and not _LOOPBACK.fullmatch(origin):
        return "plain http, and not loopback"
    return None
