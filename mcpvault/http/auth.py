"""
What ``session.auth`` is: the one way by which a credential reaches a request.

requests looks into ``~/.netrc`` when a session has no ``auth``, and lets it win
over an explicit ``Authorization`` header (psf/requests#3929). So there is always
one, also for a server that wants no credential.

Decides when a request is signed with a token that changes (as late as possible) and when it is signed again
(401 and 403 mean that it was not carried out). Leaves getting and replacing tokens to a ``TokenSource``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from requests import PreparedRequest
from requests.auth import AuthBase

from mcpvault.credentials import Credential, check_header
from mcpvault.errors import ConfigurationError, McpVaultError, OriginMismatchError
from mcpvault.http.policy import OriginPolicy, origin_of
from mcpvault.secret import Secret

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.http.token_source import TokenSource

OWN_HEADERS = ("Authorization", "DPoP")  # what a source sets; an entry's headers cannot
_MOST_REPEATS = 2  # of one request: a DPoP nonce that was asked for, then a token that had expired
_REFUSED = frozenset({401, 403})


class NoAuth(AuthBase):
    """Send no credential, and no other in its place."""

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Return the request as it is."""
        return r


class StaticAuth(AuthBase):
    """
    Send fixed headers, to one origin and to no other.

    Args:
        policy: The origin.
        headers: Whole values by name.
        own: A caller's authentication, applied afterwards.
    """

    def __init__(self, policy: OriginPolicy, headers: Mapping[str, Secret], own: AuthBase | None = None) -> None:
        self._policy = policy
        self._headers = tuple(headers.items())
        self._own = own

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """
        Add the headers.

        Raises:
            OriginMismatchError: The request is for another origin.
        """
        check_origin(r.url or "", self._policy)
        for name, value in self._headers:
            r.headers[name] = value.reveal()
        return r if self._own is None else self._own(r)


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
        failure = self.sign(r, self._policy.allowance().deadline)
        if failure is not None:
            raise failure
        return r

    def sign(self, request: PreparedRequest, deadline: Deadline) -> McpVaultError | None:
        """Add the headers, in the place of those of an earlier signature; return the error where that is not to be."""
        url = request.url or ""
        try:
            check_origin(url, self._policy)
            told = self._source.headers(request.method or "GET", url, deadline)
        except McpVaultError as e:
            return e.with_traceback(None)
        for name, value in self._headers:
            request.headers[name] = value.reveal()
        for name in OWN_HEADERS:
            request.headers.pop(name, None)
        for name, value in told.items():
            request.headers[name] = value.reveal()
        self._sent[request] = told
        return None

    def judge(
        self, request: PreparedRequest, status: int, headers: Mapping[str, str], repeats: int, deadline: Deadline
    ) -> PreparedRequest | McpVaultError | None:
        """
        Look at an answer; return the request to sign and send again, the error that ends it, or None: it stands.

        Args:
            request: What was sent.
            status: What came back.
            headers: The answer's.
            repeats: How often it was sent again before.
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
            return request if self._source.rejected(sent, status, headers, deadline) else None
        except McpVaultError as e:
            return e.with_traceback(None)


def check_origin(url: str, policy: OriginPolicy) -> None:
    """
    Refuse a URL of another origin.

    Raises:
        OriginMismatchError: The credential is not for that origin; take another session.
    """
    if not url.startswith(policy.prefixes) and origin_of(url) != policy.origin:
        raise mismatch(url, policy)


def mismatch(url: str, policy: OriginPolicy) -> OriginMismatchError:
    """Return the error for a URL that is not the policy's; of the URL it shows the origin only."""
    return OriginMismatchError(
        f"the request is for {origin_of(url) or 'no origin'!r}, this session is for {policy.origin!r}; it was not sent",
        hint="add that server to the vault under a name of its own",
        server=policy.server,
    )


def auth_for(
    policy: OriginPolicy,
    credential: Credential | None,
    *,
    headers: Mapping[str, Secret | str],
    auth: AuthBase | None,
) -> AuthBase:
    """
    Return the ``auth`` of a session.

    Args:
        policy: The origin it is for.
        credential: What the vault holds for it.
        headers: The entry's further headers; they are sent in any case.
        auth: A caller's own authentication; it takes the credential's place entirely.

    Raises:
        OriginMismatchError: The credential is bound to another origin.
        HeaderRefusedError: A header must not be sent.
        ConfigurationError: Credential and headers name the same header.
    """
    if credential is not None and credential.origin != policy.origin:
        raise OriginMismatchError(
            f"the credential is for {credential.origin!r}, the server is at {policy.origin!r}", server=policy.server
        )
    carried = own_headers(policy, headers, taken=credential.headers if credential is not None and auth is None else ())
    if credential is not None and auth is None:
        for name, value in credential.headers.items():
            check_header(name, value)
        carried.update(credential.headers)
    return StaticAuth(policy, carried, auth) if carried or auth is not None else NoAuth()


def own_headers(
    policy: OriginPolicy, headers: Mapping[str, Secret | str], *, taken: Iterable[str]
) -> dict[str, Secret]:
    """
    Return an entry's further headers, checked.

    Raises:
        HeaderRefusedError: A header must not be sent.
        ConfigurationError: It is one of those *taken* by the entry's auth.
    """
    names = {name.lower(): name for name in taken}
    carried = {}
    for name, value in headers.items():
        if (double := names.get(name.lower())) is not None:
            raise ConfigurationError(
                f"headers.{double}: set by the entry's auth as well", hint="remove one of the two", server=policy.server
            )
        check_header(name, value)
        carried[name] = value if isinstance(value, Secret) else Secret(value)
    return carried
