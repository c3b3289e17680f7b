"""
A browser of a few lines: consents on the fake server's page and comes back with the redirect.

As a program it also calls the address it is redirected to, which makes it a ``BROWSER`` for tests of a login:

    BROWSER="python -m mcpvault.testing.user_agent %s &"
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from http.client import HTTPConnection
from urllib.parse import urlencode, urljoin, urlsplit

_MOST_HOPS = 10
_PATIENCE = 30  # seconds


def follow(url: str, *, user: str = "user", allow: bool = True) -> str:
    """
    Open *url*, answer the page that asks for consent, and return the address of the client that this leads to.

    Args:
        url: An authorization URL on this machine.
        user: The name to give on the page.
        allow: What to say there.

    Raises:
        ValueError: It led to an error page, or nowhere.
    """
    form: dict[str, str] | None = None
    cookies: dict[str, str] = {}
    for _ in range(_MOST_HOPS):
        status, location, text = _fetch(url, cookies, form)
        if location is not None:
            there = urljoin(url, location)
            if urlsplit(there)[:2] != urlsplit(url)[:2]:
                return there
            url, form = there, None
            continue
        page = _Page(text)
        if status != 200 or page.action is None:
            raise ValueError(f"the authorization server answered {status}: {page.text}")
        url = urljoin(url, page.action)
        form = {**page.fields, "user": user, "decision": "allow" if allow else "deny"}
    raise ValueError("the authorization server redirects in circles")


def visit(url: str, *, user: str = "user", allow: bool = True) -> str:
    """Follow *url*, call the client's address, and return the text of its answer."""
    return _fetch(follow(url, user=user, allow=allow), {}, None)[2]


def _fetch(url: str, cookies: dict[str, str], form: Mapping[str, str] | None) -> tuple[int, str | None, str]:
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise ValueError(f"this browser speaks plain http only, not {parts.scheme}")
    headers = {"Accept": "text/html"} | (
        {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
    )
    connection = HTTPConnection(parts.hostname, parts.port, timeout=_PATIENCE)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if form is None:
            connection.request("GET", target, headers=headers)
        else:
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", target, urlencode(form), {**headers, **kind})
        answer = connection.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            cookies[name.strip()] = value.strip()
        return answer.status, answer.headers.get("Location"), answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


class _Page(HTMLParser):
    """What a page says, and its form."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._said: list[str] = []
        self.feed(text)

    @property
    def text(self) -> str:
        """The words of the page."""
        return " ".join(" ".join(self._said).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember the form and its fields."""
        named = dict(attrs)
        if tag == "form":
            self.action = named.get("action") or ""
        if tag == "input" and named.get("name"):
            self.fields[str(named["name"])] = named.get("value") or ""

    def handle_data(self, data: str) -> None:
        """Remember the words."""
        self._said.append(data)


if __name__ == "__main__":
    visit(sys.argv[1])
