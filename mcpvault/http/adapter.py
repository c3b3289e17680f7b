"""
The guard: whatever a session sends passes ``GuardedAdapter``.

Decides whether a request may leave, and whether it is tried again. A request
for any other origin meets ``RefusingAdapter``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter, HTTPAdapter

from mcpvault.errors import DeadlineExceededError, HeaderRefusedError, McpVaultError
from mcpvault.http.auth import mismatch
from mcpvault.http.policy import Allowance, OriginPolicy, origin_of
from mcpvault.http.pool import Failure, Pool

if TYPE_CHECKING:
    import ssl

    from mcpvault.deadline import Deadline
    from mcpvault.http.proxies import Proxy
    from mcpvault.http.response import GuardedResponse

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 §9.2.1
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_FIRST_PAUSE = 0.2  # seconds; doubled each time


class GuardedAdapter(HTTPAdapter):
    """
    Send requests to the origin of a policy, and to no other.

    It connects to the policy's origin and nowhere else, whatever a URL or a
    header says; TLS and proxy come from the policy, never from the call.

    Args:
        policy: The origin and its conditions.
        proxy: To go through, or None.
        pace: Waits for the turn of a request and returns the error where there is none in time, or None.
    """

    def __init__(
        self, policy: OriginPolicy, proxy: Proxy | None, pace: Callable[[Deadline], McpVaultError | None] | None = None
    ) -> None:
        super().__init__()
        self.policy = policy
        self._pace = pace
        self._prefixes = policy.prefixes
        self._forwarding = proxy if proxy and policy.scheme == "http" else None
        tls = partial(_context_for, policy.ca_file, policy.client_cert)
        self._pool = Pool(
            policy,
            proxy=proxy,
            context=tls if policy.scheme == "https" else None,
            proxy_context=partial(_context_for, policy.ca_file, None) if proxy and proxy.scheme == "https" else None,
        )

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """
        Send one request and return its answer, the body unread.

        *verify*, *cert* and *proxies* are requests' interface and change nothing here.

        Raises:
            HeaderRefusedError: A header must not be sent; nothing was.
            OriginMismatchError: The request is for another origin; it was not sent.
            PrivateAddressError: The origin leads into a private network; nothing was sent.
            ConnectFailedError: Nothing was sent; try again later.
            DeadlineExceededError: The time is over; allow more, or try again.
            RequestLostError: It may have been carried out; look before repeating it.
            RemoteProtocolError: What came back is not HTTP.
        """
        return self.send_signing(request, self.policy.allowance(timeout), None)

    def send_signing(
        self,
        request: PreparedRequest,
        allowance: Allowance,
        sign: Callable[[PreparedRequest, Deadline], McpVaultError | None] | None,
    ) -> Response:
        """Send as ``send`` does; *sign* is that of ``perform``."""
        outcome = self.perform(request, allowance, safe=request.method in SAFE_METHODS, sign=sign)
        if isinstance(outcome, McpVaultError):
            raise outcome
        return self.build_response(request, outcome)

    def perform(
        self,
        request: PreparedRequest,
        allowance: Allowance,
        *,
        safe: bool,
        renew: Callable[[], bytes] | None = None,
        sign: Callable[[PreparedRequest, Deadline], McpVaultError | None] | None = None,
    ) -> GuardedResponse | McpVaultError:
        """
        Send *request*, again where that cannot do harm, and return the answer or the error.

        Args:
            request: Complete; its credential is included, or *sign* adds it.
            allowance: For everything, pauses included.
            safe: Carrying it out twice is the same as once.
            renew: Gives the body of each further try.
            sign: Signs every try when its turn has come, since a DPoP proof is good once and not for long
                (RFC 9449 §11.1); what it returns ends the request.
        """
        target = request.path_url if self._forwarding is None else f"{self.policy.origin}{request.path_url}"
        body = request.body.encode() if isinstance(request.body, str) else request.body
        tries = 1 + (self.policy.retries if body is None or isinstance(body, bytes) else 0)
        method = request.method or "GET"
        for number in range(1, tries + 1):
            if self._pace is not None and (late := self._pace(allowance.deadline)) is not None:
                return late
            if sign is not None and (unsigned := sign(request, allowance.deadline)) is not None:
                return unsigned
            refusal, headers = self._inspect(request)
            if refusal is not None:
                return refusal
            outcome = self._pool.exchange(method, target, headers, body, allowance)
            pause = _pause(outcome, number, safe)
            if number == tries or pause is None or pause >= allowance.deadline.remaining():
                break
            if not isinstance(outcome, Failure):
                outcome.finish()
            try:
                allowance.deadline.pause(pause)
            except DeadlineExceededError as e:
                return e.with_traceback(None)
            if renew is not None:
                body = request.body = renew()
                request.headers["Content-Length"] = str(len(body))
        return outcome.error if isinstance(outcome, Failure) else outcome

    def _inspect(self, request: PreparedRequest) -> tuple[McpVaultError | None, dict[str, Any]]:
        """Judge a request by itself; return its headers as they will be sent."""
        headers: dict[str, Any] = {}
        url = request.url or ""
        if not url.startswith(self._prefixes) and origin_of(url) != self.policy.origin:
            return mismatch(url, self.policy), headers
        for name, value in request.headers.items():
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if not is_sendable(text):
                reason = "holds a character that no header may hold, or an unresolved reference"
                return self._refusal(name, reason), headers
            if name.lower() == "host":
                return self._refusal(name, "is the origin's and cannot be set"), headers
            headers[name] = text
        if self._forwarding is not None and self._forwarding.authorization is not None:
            headers["Proxy-Authorization"] = self._forwarding.authorization.reveal()
        return None, headers

    def _refusal(self, name: str, reason: str) -> McpVaultError:
        return HeaderRefusedError(f"header {name!r}: {reason}; nothing was sent", server=self.policy.server)

    def interrupt(self) -> None:
        """Wake whoever waits for an answer: see ``Pool.interrupt``."""
        self._pool.interrupt()

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()


class RefusingAdapter(BaseAdapter):
    """Send nothing."""

    def __init__(self, policy: OriginPolicy) -> None:
        super().__init__()
        self._policy = policy

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> NoReturn:
        """
        Refuse.

        Raises:
            OriginMismatchError: Always.
        """
        raise mismatch(request.url or "", self._policy)

    def close(self) -> None:
        """Nothing is open."""


def is_sendable(text: str) -> bool:
    """Tell whether a header may hold *text*: RFC 9110 §5.5, old text in Latin-1 included; no unresolved reference."""
    if "${" in text:
        return False
    plain = text.isascii() and text.isprintable()
    return plain or all(c == "\t" or " " <= c <= "~" or "\xa0" <= c <= "\xff" for c in text)


def _context_for(ca_file: str | None, client_cert: tuple[str, str | None] | None) -> ssl.SSLContext:
    from mcpvault.http.tls import context_for

    return context_for(ca_file, client_cert)


def _pause(outcome: GuardedResponse | Failure, number: int, safe: bool) -> float | None:
    """Return the seconds after which to try again, or None."""
    asked = None
    if isinstance(outcome, Failure):
        if outcome.lasting or (outcome.sent and not safe):
            return None
    elif not safe or outcome.status not in _TRANSIENT:
        return None
    else:
        from mcpvault.figures import retry_after

        asked = retry_after(outcome.headers.get("Retry-After"))
    spread = random.uniform(0.5, 1)  # noqa: S311  # so that clients do not come back together; nothing to guess
    return _FIRST_PAUSE * 2 ** (number - 1) * spread if asked is None else asked
