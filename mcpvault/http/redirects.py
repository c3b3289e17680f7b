"""
Where a redirect may lead: to the same origin, with the same method and body.

requests would follow to any host, drop ``Authorization`` on the way, and keep
``X-API-Key`` and the body. Nothing is followed by itself here: senders ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin

from requests import PreparedRequest
from requests.auth import AuthBase
from requests.utils import requote_uri

from mcpvault.errors import McpVaultError, OriginMismatchError, RemoteProtocolError
from mcpvault.http.policy import OriginPolicy, origin_of

MOST_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAME_REQUEST = frozenset({307, 308})  # RFC 9110 §15.4.8, §15.4.9: the method must not change


def next_hop(
    request: PreparedRequest,
    status: int,
    headers: Mapping[str, str],
    hops: int,
    *,
    policy: OriginPolicy,
    auth: AuthBase | None,
) -> PreparedRequest | McpVaultError | None:
    """
    Return the request that a redirect asks for.

    Args:
        request: What was sent.
        status: What came back.
        headers: The answer's; ``Location`` may hold what must not be shown.
        hops: How many redirects were followed already.
        policy: The origin that must not be left.
        auth: Signs the new request, whose URL is another; None leaves the headers as they are, for tokens to replace.

    Returns:
        The next request; None if the answer is final; the error if it leads elsewhere or in circles.
    """
    if status not in _REDIRECTS or not (location := headers.get("Location")):
        return None
    try:
        url = requote_uri(urljoin(request.url or "", location))
    except ValueError:
        url = ""
    origin = origin_of(url)
    if origin != policy.origin:
        return OriginMismatchError(
            f"{policy.origin}: redirects to {origin or 'no origin'!r}; it was not followed",
            hint="if the server has moved, set its url",
            server=policy.server,
        )
    if status not in _SAME_REQUEST or not isinstance(request.body, (bytes, str, type(None))):
        return None
    if hops >= MOST_HOPS:
        return RemoteProtocolError(f"{policy.origin}: more than {MOST_HOPS} redirects", server=policy.server)
    following = request.copy()
    following.url = url
    if auth is None:
        return following
    try:
        return auth(following)
    except McpVaultError as e:
        return e.with_traceback(None)
