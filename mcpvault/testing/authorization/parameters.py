"""The parameters of a request, read as RFC 6749 tells: once each, and empty is absent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

from mcpvault.testing.authorization.reply import OAuthRefusal
from mcpvault.testing.listener import Recorded

_FORM = "application/x-www-form-urlencoded"
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
# Parameters that carry a secret: in the query they end in everybody's log (RFC 6749 §2.3.1, §3.2).
_SECRET = frozenset(
    {"client_secret", "code", "code_verifier", "refresh_token", "assertion", "client_assertion", "token"}
)
_REPEATABLE = frozenset({"resource", "audience"})  # RFC 8707 §2, RFC 8693 §2.1


class Parameters(Mapping[str, str]):
    """
    Parameters by name; ``resources`` are the resource indicators (RFC 8707).

    Raises:
        OAuthRefusal: One is given twice, or the text cannot be decoded.
    """

    def __init__(self, text: str) -> None:
        self._values: dict[str, str] = {}
        self.resources: tuple[str, ...] = ()
        try:
            pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
        except ValueError:
            raise OAuthRefusal("invalid_request", "the parameters are not form-urlencoded UTF-8") from None
        seen: set[str] = set()
        for name, value in pairs:
            # RFC 6749 §3.1: "Request and response parameters MUST NOT be included more than once."
            if name in seen and name not in _REPEATABLE:
                raise OAuthRefusal("invalid_request", f"{name} is included more than once")
            seen.add(name)
            # RFC 6749 §3.1: "Parameters sent without a value MUST be treated as if they were omitted".
            if value:
                self._values[name] = value
                self.resources += (value,) if name == "resource" else ()

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def needed(self, name: str) -> str:
        """Return the parameter *name*, or refuse."""
        if name not in self._values:
            raise OAuthRefusal("invalid_request", f"{name} is missing")
        return self._values[name]

    def scope(self) -> str | None:
        """Return the scope, or None; refuse one that breaks the grammar."""
        scope = self.get("scope")
        if scope is not None and not well_formed(scope):
            raise OAuthRefusal("invalid_scope", "scope tokens are separated by one space each and hold no quotes")
        return scope


def well_formed(scope: str) -> bool:
    """Tell whether *scope* keeps to the grammar (RFC 6749 §3.3)."""
    return all(_SCOPE_TOKEN.fullmatch(token) for token in scope.split(" "))


def form(request: Recorded) -> Parameters:
    """Return the form in the body of a POST; refuse any other body, and secrets in the query."""
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != _FORM:
        raise OAuthRefusal("invalid_request", f"the body is to be {_FORM}")
    if _SECRET & request.query.keys():
        raise OAuthRefusal("invalid_request", "secrets do not belong into the query")
    try:
        return Parameters(request.body.decode("utf-8"))
    except UnicodeDecodeError:
        raise OAuthRefusal("invalid_request", "the body is not UTF-8") from None


def query(request: Recorded) -> Parameters:
    """Return the parameters of the query."""
    return Parameters(urlsplit(request.path).query)


def absolute(uri: str) -> bool:
    """Tell whether *uri* is absolute and has no fragment (RFC 8707 §2)."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) and "#" not in uri
