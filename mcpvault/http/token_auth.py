"""
``session.auth`` for a credential that changes: an access token, a DPoP proof for each request.

Decides when a request is signed (as late as possible) and when it is signed again (401 and 403 mean
that it was not carried out). Leaves getting and replacing tokens to a ``TokenSource``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

from requests import PreparedRequest
from requests.auth import AuthBase

from mcpvault.errors import McpVaultError
from mcpvault.http.auth import check_origin, own_headers

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.http.policy import OriginPolicy
    from mcpvault.secret import Secret

OWN_HEADERS = ("Authorization", "DPoP")  # what a source sets; an entry's headers cannot
_MOST_REPEATS = 2  # of one request: a DPoP nonce that was asked for, then a token that had expired
_REFUSED = frozenset({401, 403})


class TokenSource(Protocol):
    """
    Who knows the token of one server. All calls may come from several threads at once.

    What it raises is a ``McpVaultError`` and ends the request.
    """

    def headers(self, method: str, url: str, deadline: Deadline) -> Mapping[str, Secret]:
        """Return the whole headers of one request; a token that is about to expire is replaced before."""

    def rejected(self, sent: Mapping[str, Secret], status: int, headers: Mapping[str, str], deadline: Deadline) -> bool:
        """
        Judge an answer 401 or 403; True: sign the request anew and send it again.

        Args:
            sent: What ``headers`` had returned for this request, the very object: another thread may have
                replaced the token since.
            status: 401 or 403.
            headers: The answer's, names without regard to case; ``WWW-Authenticate`` says why.
            deadline: For replacing the token.
        """

    def answered(self, headers: Mapping[str, str]) -> None:
        """Look at the head of every answer that carries a ``DPoP-Nonce`` (RFC 9449 §8.2)."""


class TokenAuth(AuthBase):
    """
    Send what a source says, to one origin and to no other.

    Args:
        policy: The origin.
        source: Of the token.
        headers: The entry's further headers.

    Raises:
        HeaderRefusedError: A header must not be sent.
        ConfigurationError: A header is the source's to set.
    """

    def __init__(self, policy: OriginPolicy, source: TokenSource, headers: Mapping[str, Secret | str]) -> None:
        self._policy = policy
        self._source = source
        self._headers = tuple(own_headers(policy, headers, taken=OWN_HEADERS).items())
        self._sent: WeakKeyDictionary[PreparedRequest, Mapping[str, Secret]] = WeakKeyDictionary()

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """
        Add the headers, within the entry's own time.

        Raises:
            OriginMismatchError: The request is for another origin.
            McpVaultError: There is no token; the source says why.
        """
        return self.sign(r, self._policy.allowance().deadline)

    def sign(self, request: PreparedRequest, deadline: Deadline) -> PreparedRequest:
        """Add the headers, within *deadline*; raises as a call does."""
        url = request.url or ""
        check_origin(url, self._policy)
        for name, value in self._headers:
            request.headers[name] = value.reveal()
        told = self._source.headers(request.method or "GET", url, deadline)
        for name in OWN_HEADERS:
            request.headers.pop(name, None)  # of an earlier signature
        for name, value in told.items():
            request.headers[name] = value.reveal()
        self._sent[request] = told
        return request

    def signed_again(
        self, request: PreparedRequest, status: int, headers: Mapping[str, str], repeats: int, deadline: Deadline
    ) -> PreparedRequest | McpVaultError | None:
        """
        Look at an answer; return the request to send in its place, the error that ends it, or None: it stands.

        Args:
            request: What was sent.
            status: What came back.
            headers: The answer's.
            repeats: How often it was signed again before.
            deadline: Of the whole call.
        """
        if "DPoP-Nonce" in headers:
            self._source.answered(headers)
        sent = self._sent.get(request)
        if status not in _REFUSED or sent is None or repeats >= _MOST_REPEATS:
            return None
        if not isinstance(request.body, (bytes, str, type(None))):
            return None  # an upload that cannot be read again
        try:
            if not self._source.rejected(sent, status, headers, deadline):
                return None
            return self.sign(request, deadline)
        except McpVaultError as e:
            return e.with_traceback(None)
