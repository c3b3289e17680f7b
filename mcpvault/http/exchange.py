"""
One MCP endpoint, request by request: what the transports send through.

Decides nothing about what may be sent: ``session.auth`` and the mounted
``GuardedAdapter`` do, for these requests as for any other. Skips what
``Session.request`` repeats each time: merging, parsing the URL, cookies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest
from requests.auth import AuthBase

from mcpvault.errors import McpVaultError
from mcpvault.http.adapter import GuardedAdapter
from mcpvault.http.auth import TokenAuth
from mcpvault.http.response import GuardedResponse

if TYPE_CHECKING:
    from mcpvault.deadline import Deadline
    from mcpvault.http.policy import Allowance
    from mcpvault.http.session import GuardedSession


class RequestsAnswer:
    """The head of an answer, and its body as it arrives."""

    __slots__ = ("_raw", "headers", "status")

    def __init__(self, raw: GuardedResponse) -> None:
        self._raw = raw
        self.status: int = raw.status
        self.headers: Mapping[str, str] = raw.headers

    def read1(self, n: int) -> bytes:
        """
        Return what has arrived, decoded, at most *n* bytes; ``b""`` at the end.

        Raises:
            DeadlineExceededError: The time is over.
            RequestLostError: The connection broke before the end.
            RemoteProtocolError: The body is not encoded as the head says.
        """
        return self._raw.read1(n, True)

    def fileno(self) -> int:
        """Return the descriptor to wait on, or -1 when nothing more comes."""
        # Not the connection's ``sock``: http.client gives that up where the answer ends with the connection.
        inner: Any = getattr(self._raw.connection, "_inner", None)
        return int(inner.fileno()) if inner is not None else -1

    def arrived(self) -> bytes | None:
        """
        Return what is here already: None if nothing is, ``b""`` at the end; wait for nothing.

        Raises:
            RequestLostError: The connection broke before the end.
            RemoteProtocolError: The body is not framed as the head says, or encoded although that was not asked for.
        """
        return self._raw.arrived()

    def close(self) -> None:
        """Be done; the connection is used again if the answer is at its end."""
        self._raw.finish()


class RequestsExchange:
    """
    Send requests to one URL over a guarded session.

    Args:
        session: From ``new_session``; it is closed with this exchange.
        url: The MCP endpoint.
    """

    def __init__(self, session: GuardedSession, url: str) -> None:
        self.url = url
        self._session = session
        self._kept: dict[str, PreparedRequest] = {}

    def send(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes | Callable[[], bytes] | None,
        deadline: Deadline,
        *,
        safe: bool = False,
        meanwhile: Callable[..., bool] | None = None,
    ) -> RequestsAnswer:
        """
        Send one request and return its answer, whatever its status.

        Args:
            method: The HTTP method.
            headers: Of this request, besides the session's and the credential's.
            body: The whole body, or what makes it for each try.
            deadline: For all of it, reading the body included.
            safe: Carrying it out twice is the same as once; it may be repeated.
            meanwhile: Waits in our place while nothing comes; see ``Allowance``.

        Raises:
            McpVaultError: As ``GuardedAdapter.send``.
        """
        renew, body = (body, body()) if callable(body) else (None, body)
        outcome = self._send(self._prepare(method, headers, body), deadline, safe, meanwhile, renew)
        if isinstance(outcome, McpVaultError):
            raise outcome
        return RequestsAnswer(outcome)

    def at(self, url: str) -> RequestsExchange:
        """Return the exchange with another URL over the same session, whose guard refuses other origins."""
        return RequestsExchange(self._session, url)

    def interrupt(self) -> None:
        """Wake whoever waits for an answer, so that it looks at its deadline."""
        self._session.guard.interrupt()

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    def _prepare(self, method: str, headers: Mapping[str, str], body: bytes | None) -> PreparedRequest:
        kept = self._kept.get(method)
        if kept is None:
            # Signed when it is sent, each time: this one is kept, and must not hold a credential.
            kept = self._kept[method] = self._session.blank(method, self.url)
        request = kept.copy()
        request.body = body
        request.headers.update(headers)
        if body is not None:
            request.headers["Content-Length"] = str(len(body))
        return request

    def _send(
        self,
        request: PreparedRequest,
        deadline: Deadline,
        safe: bool,
        meanwhile: Callable[..., bool] | None,
        renew: Callable[[], bytes] | None,
    ) -> GuardedResponse | McpVaultError:
        session = self._session
        auth: Any = session.auth
        tokens = auth if isinstance(auth, TokenAuth) else None
        allowance = session.policy.until(deadline, meanwhile)
        if tokens is None:
            request = _sign(request, auth)
        hops = repeats = 0
        while True:
            outcome = self._once(request, allowance, safe, renew, tokens)
            if isinstance(outcome, McpVaultError):
                return outcome
            following: PreparedRequest | McpVaultError | None = None
            if tokens is not None:
                following = tokens.judge(request, outcome.status, outcome.headers, repeats, deadline)
                repeats += following is not None
            if following is None and outcome.get_redirect_location():
                from mcpvault.http.redirects import next_hop

                following = next_hop(
                    request, outcome.status, outcome.headers, hops, policy=session.policy, auth=None if tokens else auth
                )
                hops += 1
            if following is None:
                return outcome
            outcome.finish()
            if isinstance(following, McpVaultError):
                return following
            request = following

    def _once(
        self,
        request: PreparedRequest,
        allowance: Allowance,
        safe: bool,
        renew: Callable[[], bytes] | None,
        tokens: TokenAuth | None,
    ) -> GuardedResponse | McpVaultError:
        adapter = self._session.get_adapter(request.url or "")
        if isinstance(adapter, GuardedAdapter) and not request.hooks["response"]:
            return adapter.perform(
                request, allowance, safe=safe, renew=renew, sign=tokens.sign if tokens is not None else None
            )
        # A caller's own authentication may want to see the answer (HTTP Digest does).
        failure: McpVaultError
        try:
            response = self._session.send_once(request, allowance, tokens)
        except McpVaultError as e:
            failure = e.with_traceback(None)
        else:
            raw = response.raw
            assert isinstance(raw, GuardedResponse)  # noqa: S101  # the adapter's
            return raw
        return failure


def _sign(request: PreparedRequest, auth: AuthBase) -> PreparedRequest:
    body = request.body
    request = auth(request)
    if request.body is not body:
        request.prepare_content_length(request.body)
    return request
